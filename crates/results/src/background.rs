//! The background load: connections that are not measured, and what became of them.

use serde::{Deserialize, Serialize};

/// Connections that are not measured, but which the server has to handle at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundLoad {
    /// Connections that made one request and then stay idle.
    pub idle: usize,
    /// Connections that send a request head one byte at a time and never complete it.
    pub slow_senders: usize,
    /// Connections that request the plan's `slow_reader_workload` and read the answer in small pieces.
    pub slow_readers: usize,
    /// Clients that connect, send a request, and reset the connection before they read the answer, again and again.
    pub resetters: usize,
    /// Clients that request the plan's `busy_workload` and read the answer, one request a connection, again and again.
    #[serde(default)]
    pub busy: usize,
}

impl BackgroundLoad {
    /// The number of background connections of all kinds, or the largest number if there are more.
    pub fn total(&self) -> usize {
        let BackgroundLoad { idle, slow_senders, slow_readers, resetters, busy } = *self;
        [idle, slow_senders, slow_readers, resetters, busy].into_iter().fold(0, usize::saturating_add)
    }
}

/// The background connections of one kind.
///
/// Only an answered connection is up: the kernel establishes connections that wait in the backlog, too, of which the
/// server knows nothing. listen(2)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundGroup {
    /// Connections asked for.
    pub asked: u64,
    /// Connections that were up at the end of the window. An idle connection is up from the end of the answer to its
    /// request, whatever the status, until it is closed; a slow reader from the end of the answer's head. A busy client
    /// is up if its latest request was answered with success. Of a slow sender no answer shows that the server has
    /// accepted it, so it is up while it is established. A resetter never is.
    pub up: u64,
    /// Established connections that the server closed or that got an answer that is not HTTP, over the trial. Each was
    /// opened again.
    pub cut_off: u64,
    /// Attempts to connect that failed, over the trial.
    pub failed: u64,
}

/// The background connections of one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundResults {
    /// Connections that made one request and stay idle.
    pub idle: BackgroundGroup,
    /// Connections whose request never ends.
    pub slow_senders: BackgroundGroup,
    /// Connections that read a large answer in small pieces.
    pub slow_readers: BackgroundGroup,
    /// Clients that reset their connection again and again.
    pub resetters: BackgroundGroup,
    /// Connections that the resetters reset, over the trial.
    pub resets: u64,
    /// Clients that send one request after the other.
    #[serde(default)]
    pub busy: BackgroundGroup,
    /// Requests of the busy clients that were answered with success, over the trial.
    #[serde(default)]
    pub busy_answers: u64,
}

impl BackgroundResults {
    /// Background connections that were up at the end of the window.
    pub fn up(&self) -> u64 {
        [self.idle, self.slow_senders, self.slow_readers, self.resetters, self.busy].iter().map(|group| group.up).sum()
    }
}
