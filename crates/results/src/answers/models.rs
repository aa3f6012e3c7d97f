//! The lab's models, as far as answers tell them apart.

/// How a model gives connections to processes, threads or loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Each connection has a process or a thread to itself while it is open.
    Workers,
    /// A few loops serve all connections.
    Loops,
}

/// The model that the others are compared with.
pub(super) const EPOLL: &str = "epoll";

/// The lab's models with their families. The questions are about these; other targets get answers without a question of
/// their own.
pub const MODELS: [(&str, Family); 14] = [
    ("process-per-connection", Family::Workers),
    ("process-pool", Family::Workers),
    ("thread-per-connection", Family::Workers),
    ("thread-pool", Family::Workers),
    ("select", Family::Loops),
    ("poll", Family::Loops),
    (EPOLL, Family::Loops),
    ("posix-aio", Family::Loops),
    ("linux-aio", Family::Loops),
    ("uring", Family::Loops),
    ("callback", Family::Loops),
    ("event-loop", Family::Loops),
    ("async-await", Family::Loops),
    ("framework", Family::Loops),
];

/// The family of the model with this name; `None` if it is none of the lab's models.
pub(super) fn family(target: &str) -> Option<Family> {
    MODELS.iter().find(|(name, _)| *name == target).map(|(_, family)| *family)
}
