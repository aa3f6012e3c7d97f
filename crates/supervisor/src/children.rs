//! Reaps and kills the supervisor's children: the model's process, and the orphans that it leaves.

use std::io;

use libc::pid_t;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid};

/// So many pids are named in a line.
const NAMED: usize = 10;

/// The result of [`try_wait`].
#[derive(Debug)]
pub(crate) enum WaitResult {
    /// This child had ended and is now reaped.
    Ended(EndedChild),
    /// There are children, but none of them has ended.
    AllRunning,
    /// There are no children.
    NoChildren,
}

/// A reaped child, with its usage and that of all children that it had reaped itself.
pub(crate) struct EndedChild {
    pub pid: Pid,
    pub status: WaitStatus,
    pub usage: libc::rusage,
}

impl std::fmt::Debug for EndedChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndedChild").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Reaps a child that has ended, if there is one: wait4(2).
pub(crate) fn try_wait() -> io::Result<WaitResult> {
    loop {
        let mut status = 0;
        // SAFETY: a `rusage` consists of numbers only, for which zero is valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are to our own variables, which live until after the call.
        let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
        return match Errno::result(pid) {
            Ok(0) => Ok(WaitResult::AllRunning),
            Ok(pid) => {
                let pid = Pid::from_raw(pid);
                Ok(WaitResult::Ended(EndedChild { pid, status: WaitStatus::from_raw(pid, status)?, usage }))
            }
            Err(Errno::ECHILD) => Ok(WaitResult::NoChildren),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Kills every child with SIGKILL.
///
/// Only direct children are killed. Their own children become ours when they die, because this process is their
/// subreaper, and a later call kills those. So a signal never goes to a pid that the kernel may have reused for an
/// unrelated process.
pub(crate) fn kill_all() -> io::Result<()> {
    for child in list()? {
        match kill(Pid::from_raw(child), Signal::SIGKILL) {
            // A guest's child may belong to another user by now. It is left behind, and the others are killed all the same.
            Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether there is a child, running or not reaped yet.
pub(crate) fn are_there() -> bool {
    list().is_ok_and(|children| !children.is_empty())
}

/// The pids of the children, for a line about them: the first ones, and how many there are besides.
pub(crate) fn pids() -> String {
    named(&list().unwrap_or_default())
}

fn named(pids: &[pid_t]) -> String {
    let first = pids.iter().take(NAMED).map(pid_t::to_string).collect::<Vec<_>>().join(", ");
    match pids.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// The children of this process, which has one thread: proc_tid_children(5).
fn list() -> io::Result<Vec<pid_t>> {
    match std::fs::read_to_string("/proc/thread-self/children") {
        Ok(pids) => Ok(pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => scan(), // the kernel lacks CONFIG_PROC_CHILDREN
        Err(error) => Err(error),
    }
}

/// Finds the children by the parent of every process on the machine.
fn scan() -> io::Result<Vec<pid_t>> {
    let me = getpid().as_raw();
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue }; // the process has ended
        // `pid (name) state ppid …`, and the name may contain parentheses: proc_pid_stat(5)
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
    fn a_line_names_some_of_many_children() {
        assert_eq!(named(&[3, 4]), "3, 4");
        let many: Vec<pid_t> = (1..=1800).collect();
        assert_eq!(named(&many), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1790 more");
    }

    #[test]
    fn a_child_is_found_by_the_children_file_and_by_the_scan() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id() as pid_t;
        assert!(list().unwrap().contains(&pid));
        assert!(scan().unwrap().contains(&pid));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
