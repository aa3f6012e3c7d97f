use std::collections::HashSet;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use libc::pid_t;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{ForkResult, Pid};
use scoreboard::Syscall;

use crate::blocking::{heed_sigterm, prepare_for_sigterm};
use crate::door::{Door, Doorkeeper};
use crate::stop::signals;
use crate::syscalls::Calls;

/// Zombies are reaped after so many arrivals at the latest.
const REAP_EVERY: usize = 32;

/// The children of a process that forks for the connections that arrive at its listener.
pub struct Children<'a> {
    door: Door<'a>,
    living: HashSet<pid_t>,
    limit: usize,
    /// SIGTERM and SIGCHLD, which must wake a process that waits for a connection: std's `accept` would sleep on.
    signals: SignalFd,
    since_reaped: usize,
}

impl<'a> Children<'a> {
    /// None yet. Above `limit` a connection waits for a child to exit.
    pub fn new(listener: &'a TcpListener, limit: usize, calls: Calls) -> io::Result<Children<'a>> {
        let signals = signals([Signal::SIGTERM, Signal::SIGCHLD])?;
        prepare_for_sigterm()?;
        Ok(Children { door: Door::new(listener, calls)?, living: HashSet::new(), limit, signals, since_reaped: 0 })
    }

    /// Waits for a place and for a connection; `None` once SIGTERM has come and the queue is dry.
    pub fn next_arrival(&mut self) -> io::Result<Option<TcpStream>> {
        self.let_in()
    }

    /// Runs `serve` in a child of its own, and closes our side of the connection.
    ///
    /// Out of processes (EAGAIN, ENOMEM), it waits until the machine has one again: the connection is kept.
    pub fn fork(&mut self, socket: TcpStream, serve: impl FnOnce(TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.door.calls.0.opened();
        let mut work = Some(move || serve(socket)); // which stays ours, and is taken in the child
        loop {
            self.door.calls.0.syscall(Syscall::Fork);
            match fork(|| work.take().map_or(Ok(()), |work| work())) {
                Ok(child) => {
                    if self.door.stopping {
                        terminate(child);
                    }
                    self.living.insert(child);
                    self.since_reaped += 1;
                    return Ok(());
                }
                Err(Errno::EAGAIN | Errno::ENOMEM) => self.rest()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until every child has finished its connection.
    pub fn wait_for_all(mut self) -> io::Result<()> {
        while !self.living.is_empty() {
            self.wait(false, None)?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.door.stopping = true;
        self.living.iter().for_each(|&child| terminate(child));
    }

    /// Takes in those who have exited, with what they cost. (Ignoring SIGCHLD would lose that.)
    fn reap(&mut self) -> io::Result<()> {
        self.since_reaped = 0;
        while let Some((child, usage)) = wait4_any()? {
            self.door.calls.0.reaped(&usage);
            if self.living.remove(&child) {
                self.door.calls.0.closed();
            }
        }
        Ok(())
    }
}

impl Doorkeeper for Children<'_> {
    fn door(&self) -> &Door<'_> {
        &self.door
    }

    fn is_full(&mut self) -> io::Result<bool> {
        if self.since_reaped >= REAP_EVERY {
            self.wait(false, Some(Duration::ZERO))?;
        }
        Ok(self.living.len() >= self.limit)
    }

    fn wait(&mut self, arrivals: bool, most: Option<Duration>) -> io::Result<()> {
        let [signalled] = self.door.wait([self.signals.as_fd()], arrivals, most)?;
        while signalled && let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.stop();
            }
        }
        if signalled { self.reap() } else { Ok(()) }
    }
}

/// Forks a child that does its work, which SIGTERM interrupts, and exits: fork(2). For a process with one thread.
pub fn fork(work: impl FnOnce() -> io::Result<()>) -> Result<pid_t, Errno> {
    // SAFETY: this process has one thread, so the child may do whatever we may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => {
            let worked = heed_sigterm().and_then(|()| work());
            // SAFETY: `_exit` ends the child at once; what the parent has registered to run at exit is not its own.
            unsafe { libc::_exit(i32::from(worked.is_err())) }
        }
    }
}

/// Lets a child finish what it is at.
pub fn terminate(child: pid_t) {
    let _ = kill(Pid::from_raw(child), Signal::SIGTERM); // it may have exited: then there is nothing to stop
}

/// A child that has exited, and what it used; `None` if there is none just now: wait4(2).
pub fn wait4_any() -> io::Result<Option<(pid_t, libc::rusage)>> {
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
