//! What the models with worker processes share: fork(2), SIGTERM to a worker, and wait4(2).

use std::io;

use libc::pid_t;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid};

use crate::blocking::unblock_sigterm;

/// Forks a worker process: fork(2). It runs `work`, which SIGTERM may interrupt, and then exits. Only for a process with one
/// thread.
///
/// # Errors
/// Those of fork(2); EAGAIN and ENOMEM may pass.
pub fn fork(work: impl FnOnce() -> io::Result<()>) -> Result<pid_t, Errno> {
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => {
            let worked = unblock_sigterm().and_then(|()| work());
            // SAFETY: `_exit` ends the child at once, without the functions that the parent has registered for its own exit.
            unsafe { libc::_exit(i32::from(worked.is_err())) }
        }
    }
}

/// Sends SIGTERM to a worker, which then finishes its connection.
pub fn terminate(worker: pid_t) {
    let _ = kill(Pid::from_raw(worker), Signal::SIGTERM); // it may have exited: then there is nothing to stop
}

/// Takes in a worker that has exited, with what it used; `None` if none has: wait4(2).
///
/// # Errors
/// None in practice: those of wait4(2) with valid arguments.
pub fn wait4() -> io::Result<Option<(pid_t, libc::rusage)>> {
    // SAFETY: a `rusage` is plain numbers, for which zero is valid, and the pointers are to our own variables.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, std::ptr::null_mut(), libc::WNOHANG, &mut usage), usage)
    };
    match Errno::result(pid) {
        Ok(0) | Err(Errno::ECHILD) => Ok(None),
        Ok(pid) => Ok(Some((pid, usage))),
        Err(errno) => Err(errno.into()),
    }
}
