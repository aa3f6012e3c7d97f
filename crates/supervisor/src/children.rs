//! The supervisor's children: the model's process, and what it leaves behind.

use std::io;

use libc::pid_t;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid};

/// What waiting has found.
#[derive(Debug)]
pub(crate) enum Waited {
    /// This child is gone.
    Gone(Gone),
    /// The children that there are go on.
    NoneYet,
    /// There is no child.
    NoneLeft,
}

/// A child that is gone, and what it used; with it, what it had waited for itself.
pub(crate) struct Gone {
    pub pid: Pid,
    pub how: WaitStatus,
    pub usage: libc::rusage,
}

impl std::fmt::Debug for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gone").field("how", &self.how).finish_non_exhaustive()
    }
}

/// Takes in a child that has ended, if there is one: wait4(2).
pub(crate) fn wait() -> io::Result<Waited> {
    loop {
        let mut status = 0;
        // SAFETY: a `rusage` is plain numbers, for which zero is valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to our own variables, which live until after the call.
        let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
        return match Errno::result(pid) {
            Ok(0) => Ok(Waited::NoneYet),
            Ok(pid) => {
                let pid = Pid::from_raw(pid);
                Ok(Waited::Gone(Gone { pid, how: WaitStatus::from_raw(pid, status)?, usage }))
            }
            Err(Errno::ECHILD) => Ok(Waited::NoneLeft),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Kills every child with SIGKILL.
///
/// Only children, not theirs: those become ours when their parent is gone, since we are their subreaper, and then it
/// is their turn. So no pid is ever signalled that could belong to somebody else by now.
pub(crate) fn kill_all() -> io::Result<()> {
    for child in list()? {
        match kill(Pid::from_raw(child), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The children of this process, which has one thread. proc_tid_children(5)
fn list() -> io::Result<Vec<pid_t>> {
    match std::fs::read_to_string("/proc/thread-self/children") {
        Ok(pids) => Ok(pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => scan(), // a kernel without CONFIG_PROC_CHILDREN
        Err(error) => Err(error),
    }
}

/// The same from every process' parent.
fn scan() -> io::Result<Vec<pid_t>> {
    let me = getpid().as_raw();
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue }; // it is gone
        // `pid (name) state ppid …`, and the name may hold parentheses: proc_pid_stat(5)
        let ppid = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if ppid == Some(me) {
            children.push(pid);
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_finds_whom_the_kernel_lists() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id() as pid_t;
        assert!(list().unwrap().contains(&pid));
        assert!(scan().unwrap().contains(&pid));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
