//! A server of others, which the supervisor runs in place of a model: [`Foreign`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

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
}

/// A server of others: a program with its arguments, and what is said of it.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The path of the program, and its arguments.
    pub words: Vec<String>,
    /// Variables that are added to its environment.
    pub env: BTreeMap<String, String>,
    /// The file to which its output is appended; `None` means the standard error of the supervisor.
    pub log: Option<PathBuf>,
    /// Whether the service ends when the program ends. Otherwise it is started again, as a model is.
    pub once: bool,
    /// What /info says about it.
    pub facts: BTreeMap<String, String>,
}

impl Foreign {
    /// Replaces this process by the program, which leads a process group of its own: some servers send signals to their whole
    /// group (Apache does when it stops).
    ///
    /// # Errors
    /// Why that was not possible. There is no other result.
    pub(crate) fn exec(&self) -> io::Result<()> {
        let (program, args) = self.words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).envs(&self.env).stdin(Stdio::null()).process_group(0);
        match &self.log {
            Some(log) => {
                let log = File::options().create(true).append(true).open(log)?;
                command.stdout(log.try_clone()?).stderr(log);
            }
            None => {
                let stderr = std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned()?;
                command.stdout(stderr);
            }
        }
        // A program inherits blocked signals through exec(2). SIGPIPE gets its default action again: `exec` of the standard
        // library does that.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        Err(io::Error::other(format!("cannot run {program}: {}", command.exec())))
    }
}
