//! What the admin endpoint tells, and the loop keeps up to date.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::Settings;
use nix::unistd::Pid;
use process_tree::Cgroup;
use scoreboard::Scoreboard;

use crate::Model;
use crate::accounts::Accounts;
use crate::capacity::Capacity;

/// What does not change from start to end.
pub(crate) struct Service {
    pub model: Model,
    /// The real addresses, also where port 0 was asked for.
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub settings: Settings,
    pub capacity: Capacity,
    pub backlog: i32,
    pub grace: Duration,
    pub board: Scoreboard,
    /// The kernel's release: uname(2).
    pub kernel: String,
    /// The control group that this process lives in, with the model.
    pub cgroup: Option<Cgroup>,
}

/// How the service does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving(Pid),
    /// The model's process died, and another one is to come.
    Restarting,
    /// This machine does not permit the model, for that reason.
    Unsupported(String),
    Stopping(Option<Pid>),
}

/// The service and how it does.
pub(crate) struct Status {
    pub service: Service,
    pub phase: Phase,
    pub restarts: u64,
    pub accounts: Accounts,
}

impl Status {
    /// The model's process.
    pub fn model(&self) -> Option<Pid> {
        match self.phase {
            Phase::Serving(model) => Some(model),
            Phase::Stopping(model) => model,
            Phase::Restarting | Phase::Unsupported(_) => None,
        }
    }

    /// How many connections are open, as part of a sentence.
    pub fn open_connections(&self) -> String {
        match self.service.board.totals().active {
            1 => "1 connection".to_owned(),
            n => format!("{n} connections"),
        }
    }
}

/// A handle on the status. One thread has them all, so the lock is never waited for: it is there because
/// `prometheus` wants collectors that any thread may call.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Status>>);

impl Shared {
    pub fn new(status: Status) -> Shared {
        Shared(Arc::new(Mutex::new(status)))
    }

    pub fn get(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
