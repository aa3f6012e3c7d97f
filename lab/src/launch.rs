//! The command line of a service: this program runs once more, as a model or as the program `guest`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use guest::Guest;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, signal};
use supervisor::Model;

use crate::division::Division;
use crate::set;

/// The first argument of a process that must run as a service.
const RUN_SERVICE: &str = "be";
/// The second argument of one that must run as the program `guest`.
const GUEST: &str = "guest";

/// What a service runs.
#[derive(Clone, Copy)]
pub enum Server<'a> {
    Model(&'a Model),
    Guest(&'a Guest),
}

impl<'a> Server<'a> {
    /// The name of the target.
    pub fn name(self) -> &'a str {
        match self {
            Server::Model(model) => model.name,
            Server::Guest(guest) => &guest.name,
        }
    }

    /// What the command line of the service begins with, after [`RUN_SERVICE`].
    fn arguments(self) -> Vec<OsString> {
        match self {
            Server::Model(model) => vec![model.name.into()],
            Server::Guest(guest) => [vec![GUEST.into()], guest.arguments()].concat(),
        }
    }
}

/// How a service runs.
pub struct Placement<'a> {
    /// The ports of the service and of its admin endpoint on the loopback interface; 0 takes a free one.
    pub ports: (u16, u16),
    /// The directory that it serves; the default one if there is none.
    pub files: Option<&'a Path>,
    /// The CPUs of its model and of its supervisor; `None` means that both may use all.
    pub cpus: Option<&'a Division>,
    /// More flags, with their values.
    pub set: Option<&'a BTreeMap<String, String>>,
    /// The time to finish its connections when it is stopped, after which it may cut them off: that is no failure then.
    /// `None` is the service's own time, within which it should finish them. `set` has precedence.
    pub grace: Option<Duration>,
    /// Whether its routine lines are shown, too: that it stops and what it cuts off, and that this machine does not permit its
    /// model.
    pub shows_routine: bool,
    /// A guest ends with its process and writes to a log, which is kept if it fails. Otherwise it is started again as a model is,
    /// and writes to standard error.
    pub is_for_a_trial: bool,
    /// The connections that a guest shall be ready for; `None` is its own default.
    pub connections: Option<usize>,
    /// The start of a guest ends early when this is set.
    pub stop: &'static AtomicBool,
}

/// What this process must run as.
pub enum Requested<A> {
    /// The service of a model, with these arguments.
    Model(Model, A),
    /// The program `guest`, with these arguments.
    Guest(A),
}

/// What this process must run as, if its arguments say so.
pub fn requested(
    models: &[Model],
    args: impl IntoIterator<Item = OsString>,
) -> Option<Requested<impl Iterator<Item = OsString>>> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != RUN_SERVICE {
        return None;
    }
    let name = args.next()?;
    let model = models.iter().find(|model| name == model.name).copied();
    let is_guest = name == GUEST;
    let args = std::iter::once(name).chain(args);
    match model {
        Some(model) => Some(Requested::Model(model, args)),
        None => is_guest.then_some(Requested::Guest(args)),
    }
}

/// The command line of a service: this program once more. Its standard error is a pipe.
pub fn command(server: Server<'_>, placement: &Placement<'_>, grace: Option<Duration>) -> Command {
    // This file is the running program, even if another one has its path by now, or none.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_else(|| "lab".into()));
    command.arg(RUN_SERVICE).args(server.arguments());
    if let Some(Division { servers, load, .. }) = placement.cpus {
        command.args(["--cpus", &servers.to_string(), "--supervisor-cpus", &load.to_string()]);
    }
    let (listen, admin) = placement.ports;
    command.args(["--listen", &format!("127.0.0.1:{listen}"), "--admin", &format!("127.0.0.1:{admin}")]);
    if let Some(files) = placement.files {
        command.arg("--files").arg(files);
    }
    if let Some(grace) = grace {
        command.arg("--grace").arg(format!("{}ms", grace.as_millis()));
    }
    if let (Server::Guest(_), Some(connections)) = (server, placement.connections) {
        command.args(["--connections", &connections.to_string()]);
    }
    command.args(placement.set.into_iter().flat_map(set::arguments));
    // The service has its own process group, so that Ctrl-C reaches only the lab, which then stops the service.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let lab = nix::unistd::getpid();
    let cpus_of_both_sides = placement.cpus.map(Division::all);
    // SAFETY: between fork and exec there are only system calls, and no memory is allocated.
    unsafe {
        command.pre_exec(move || {
            // Until exec(2), the handler of the lab is still installed, and would ignore the signal that is
            // requested in the next line.
            signal(Signal::SIGTERM, SigHandler::SigDfl)?;
            set_pdeathsig(Signal::SIGTERM)?;
            if let Some(cpus) = &cpus_of_both_sides {
                // The lab itself keeps to the load's. Where this is not permitted, the service says what it lacks.
                let _ = cpus.apply();
            }
            if nix::unistd::getppid() != lab {
                return Err(io::ErrorKind::BrokenPipe.into()); // the lab died before the signal was requested
            }
            Ok(())
        });
    }
    command
}
