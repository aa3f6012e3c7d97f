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

/// The first argument of a process that must run as a service, or as a built-in guest.
const RUN_SERVICE: &str = guest::BE;
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
pub enum Requested {
    /// The service of a model, with these arguments.
    Model(Model, Vec<OsString>),
    /// The program `guest`, with these arguments.
    Guest(Vec<OsString>),
    /// A built-in guest, if there is one of that name, with the arguments of the whole process.
    BuiltIn(Vec<OsString>),
}

/// What this process must run as, if its arguments say so. Models come before guests of their name.
pub fn requested(models: &[Model], args: impl IntoIterator<Item = OsString>) -> Option<Requested> {
    let args: Vec<OsString> = args.into_iter().collect();
    let [_, first, of_service @ ..] = &args[..] else { return None };
    let name = of_service.first().filter(|_| first == RUN_SERVICE)?;
    match models.iter().find(|model| *name == model.name) {
        Some(model) => Some(Requested::Model(*model, of_service.to_vec())),
        None if name == GUEST => Some(Requested::Guest(of_service.to_vec())),
        None => Some(Requested::BuiltIn(args)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use lab::MODELS;

    #[test]
    fn a_process_runs_as_what_its_arguments_name() {
        let requested = |args: &str| requested(MODELS, args.split(' ').map(OsString::from));
        assert!(requested("lab").is_none() && requested("lab be").is_none() && requested("lab serve epoll").is_none());
        match requested("lab be epoll --threads 2") {
            Some(Requested::Model(model, args)) => {
                assert_eq!((model.name, &args[..]), ("epoll", &["epoll", "--threads", "2"].map(OsString::from)[..]));
            }
            _ => panic!("a model"),
        }
        match requested("lab be guest hyper") {
            Some(Requested::Guest(args)) => assert_eq!(args, ["guest", "hyper"]),
            _ => panic!("the program guest"),
        }
        match requested("lab be hyper 127.0.0.1:1") {
            Some(Requested::BuiltIn(args)) => assert_eq!(args, ["lab", "be", "hyper", "127.0.0.1:1"]),
            _ => panic!("a built-in guest"),
        }
    }
}
