//! The status of the service, which the supervisor's loop updates and the admin endpoint reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use app::Settings;
use humantime::format_duration;
use nix::unistd::Pid;
use process_tree::Cgroup;
use scoreboard::Scoreboard;

use crate::Model;
use crate::accounts::{Accounts, CLOCKS_AND_WAIT};
use crate::capacity::Capacity;
use crate::cpus::Cpus;
use crate::guest_program::GuestProgram;

/// The properties of the service that stay the same from its start to its end.
pub(crate) struct Service {
    /// The name of the model or of the guest.
    pub name: &'static str,
    pub program: Program,
    /// The bound addresses, with the real port where port 0 was given.
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// The directory that `/files/` serves.
    pub files: PathBuf,
    /// The time to finish the accepted connections after SIGTERM or SIGINT: `--grace`.
    pub grace: Duration,
    pub board: Scoreboard,
    pub cpus: Cpus,
    /// The flags that were given, without the dashes, and their values as they were written.
    pub given: BTreeMap<String, String>,
    /// The release of the kernel: uname(2).
    pub kernel: String,
    /// What the kernel drew at random when it was booted: random(4).
    pub boot_id: Option<String>,
    /// The control group of this process and of those that it runs.
    pub cgroup: Option<Cgroup>,
}

/// What the supervisor runs.
pub(crate) enum Program {
    /// One of our models.
    Model(Box<ModelProgram>),
    /// A server of others.
    Guest(GuestProgram),
}

/// A model, and how it is set.
pub(crate) struct ModelProgram {
    pub model: Model,
    pub settings: Settings,
    pub capacity: Capacity,
    pub backlog: i32,
}

/// The phase of the service's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The process of the model, or of the guest, is alive and has this pid.
    Serving(Pid),
    /// The process has died, and another one will be started.
    Restarting,
    /// This machine does not permit the model, or lacks what it needs, for this reason.
    Unsupported(String),
    /// The service is stopping; the process may have ended already.
    Stopping(Option<Pid>),
}

/// The service and its current state.
pub(crate) struct Status {
    pub service: Service,
    pub phase: Phase,
    pub restarts: u64,
    pub accounts: Accounts,
}

impl Status {
    /// How the CPU time is read: `clocks` where the clocks of live processes are all of it, else as the accounts say.
    pub fn cpu_source(&self) -> &'static str {
        match (&self.service.program, self.accounts.cpu_source()) {
            (Program::Guest(guest), CLOCKS_AND_WAIT) if guest.keeps_processes => "clocks",
            (_, source) => source,
        }
    }

    /// The pid of the process of the model, or of the guest, if there is one.
    pub fn model(&self) -> Option<Pid> {
        match self.phase {
            Phase::Serving(model) => Some(model),
            Phase::Stopping(model) => model,
            Phase::Restarting | Phase::Unsupported(_) => None,
        }
    }

    /// What there is to finish after SIGTERM, as the end of a line.
    pub fn to_finish(&self) -> String {
        let grace = format_duration(self.service.grace);
        match self.service.program {
            Program::Model(_) => format!("{} open and {grace} to finish", self.open_connections()),
            Program::Guest(_) => format!("{grace} to finish"),
        }
    }

    /// What it means that the process is killed, as the end of a line.
    pub fn loss(&self) -> String {
        match self.service.program {
            Program::Model(_) => format!("{} cut off", self.open_connections()),
            Program::Guest(_) => "the guest is killed".to_owned(),
        }
    }

    fn open_connections(&self) -> String {
        match self.service.board.totals().active {
            1 => "1 connection".to_owned(),
            n => format!("{n} connections"),
        }
    }
}

/// A handle on the status. All handles are used by one thread, so the lock is always free. It is needed because
/// `prometheus` requires collectors that any thread may call.
#[derive(Clone)]
pub(crate) struct SharedStatus(Arc<Mutex<Status>>);

impl SharedStatus {
    pub fn new(status: Status) -> SharedStatus {
        SharedStatus(Arc::new(Mutex::new(status)))
    }

    pub fn get(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
