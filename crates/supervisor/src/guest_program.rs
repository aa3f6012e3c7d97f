//! A server of others, which the supervisor runs in place of a model: [`GuestProgram`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use crate::flags;

/// Where a server of others runs: what its command line and its configuration have to know.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address on which it has to listen.
    pub listen: SocketAddr,
    /// The directory that `/files/` serves.
    pub files: PathBuf,
    /// A directory for its configuration and its temporary files, which every user may open. It is removed at the end.
    pub folder: PathBuf,
    /// The processes, threads or loops that it shall have, where it has a setting for that.
    pub threads: usize,
    /// The connections that it shall be ready for, where it has a process or a thread for each.
    pub connections: usize,
}

/// A server of others: a program with its arguments, and what is said of it.
///
/// It is charged with its whole process tree. When the service ends, every process of the tree is dead, unless the supervisor is
/// killed with SIGKILL: then the kernel sends SIGTERM to the program itself, and it depends on the program whether its children
/// end, too; the folder of [`Place`] stays. A shell does not pass the signal on, so a command by `sh -c` has to begin its last
/// command with `exec`.
#[derive(Debug)]
pub struct GuestProgram {
    /// The path of the program, and its arguments.
    pub words: Vec<String>,
    /// Variables for its environment. It has those of the supervisor, too, but none that sets a flag of the service: a program may
    /// have a variable `FILES` or `LISTEN` of its own.
    pub env: BTreeMap<String, String>,
    /// The file to which its output goes; `None` means the standard error of the supervisor.
    pub log: Option<File>,
    /// Whether the service ends when the program ends. Otherwise it is started again, as a model is.
    pub once: bool,
    /// Whether each of its processes lives as long as it does. Then their clocks are all of its CPU time, and no control group is
    /// needed for that.
    pub keeps_processes: bool,
    /// What /info says about it.
    pub facts: BTreeMap<String, String>,
}

impl GuestProgram {
    /// Replaces this process by the program, which leads a process group of its own: some servers send signals to their whole
    /// group (Apache does when it stops). Its signals have their default actions, and none is blocked.
    ///
    /// # Errors
    /// Why that was not possible. There is no other result.
    pub(crate) fn exec(&self) -> io::Result<()> {
        let (program, args) = self.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).process_group(0);
        for name in flags::variables() {
            command.env_remove(name);
        }
        command.envs(&self.env);
        match &self.log {
            Some(log) => command.stdout(log.try_clone()?).stderr(log.try_clone()?),
            None => command.stdout(io::stderr().as_fd().try_clone_to_owned()?),
        };
        // A program inherits blocked and ignored signals through exec(2), for example from nohup(1).
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        for of_the_program in Signal::iterator().filter(|signal| ![Signal::SIGKILL, Signal::SIGSTOP].contains(signal)) {
            // SAFETY: the default action installs no handler.
            unsafe { signal(of_the_program, SigHandler::SigDfl)? };
        }
        Err(io::Error::other(format!("cannot run {program}: {}", command.exec())))
    }
}
