//! The background load: connections that are not measured, and what became of them.

use crate::units::plural;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Connections that are not measured, but which the server has to handle at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundLoad {
    /// Connections that made one request and then stay idle.
    pub idle: usize,
    /// Connections that send a request head one byte at a time and never complete it.
    pub slow_senders: usize,
    /// Connections that request `slow_reader_workload` and read the answer in small pieces.
    pub slow_readers: usize,
    /// Clients that connect, send a request, and reset the connection before they read the answer, again and again.
    pub resetters: usize,
    /// Clients that request `busy_workload` and read the answer, one request a connection, again and again.
    #[serde(default)]
    pub busy: usize,
    /// What the busy clients request; null if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_workload: Option<String>,
    /// What the slow readers request; null if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_reader_workload: Option<String>,
}

impl BackgroundLoad {
    /// The number of background connections of all kinds, or the largest number if there are more.
    pub fn total(&self) -> usize {
        let BackgroundLoad { idle, slow_senders, slow_readers, resetters, busy, .. } = *self;
        [idle, slow_senders, slow_readers, resetters, busy].into_iter().fold(0, usize::saturating_add)
    }

    /// Whether there are no background connections.
    pub fn is_none(&self) -> bool {
        self.total() == 0
    }

    /// What busy clients and slow readers request; `None` where there are none.
    pub fn workloads(&self) -> [Option<&String>; 2] {
        [self.busy_workload.as_ref(), self.slow_reader_workload.as_ref()]
    }
}

impl fmt::Display for BackgroundLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: usize, workload: &Option<String>, kind: &str| match workload {
            Some(workload) if count > 0 => format!("{} of {workload}", plural(count, kind)),
            _ => plural(count, kind),
        };
        let kinds = [
            (self.idle, plural(self.idle, "idle connection")),
            (self.slow_senders, plural(self.slow_senders, "slow sender")),
            (self.slow_readers, of(self.slow_readers, &self.slow_reader_workload, "slow reader")),
            (self.resetters, plural(self.resetters, "resetter")),
            (self.busy, of(self.busy, &self.busy_workload, "client")),
        ];
        let there: Vec<String> = kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
        f.write_str(&there.join(", "))
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
    /// Bytes that all background connections received within the window.
    #[serde(default)]
    pub bytes: u64,
}

impl BackgroundResults {
    /// Background connections that were up at the end of the window.
    pub fn up(&self) -> u64 {
        [self.idle, self.slow_senders, self.slow_readers, self.resetters, self.busy].iter().map(|group| group.up).sum()
    }
}
