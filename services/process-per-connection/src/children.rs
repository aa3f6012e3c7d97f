//! The child processes: one for each connection, from fork(2) to wait4(2).

use std::collections::HashSet;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use driver::{Backlog, BlockingAcceptor, Calls, fork, handle_signals, signal_fd, terminate, wait4};
use libc::pid_t;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use scoreboard::Syscall;

/// Exited children are taken in after so many forks at the latest, however many connections arrive.
const REAP_EVERY: usize = 32;

/// The main process's side: it accepts, forks, and takes in the children that have exited.
pub struct Children<'a> {
    backlog: Backlog<'a>,
    living: HashSet<pid_t>,
    limit: usize,
    /// SIGTERM and SIGCHLD, as a descriptor for poll(2). (After a signal, std's `accept` would go on waiting.)
    signals: SignalFd,
    forks_since_reap: usize,
}

impl<'a> Children<'a> {
    /// Has no child yet. Above `limit` children, a connection waits in the kernel's backlog until one exits.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new(listener: &'a TcpListener, limit: usize, calls: Calls) -> io::Result<Children<'a>> {
        let signals = signal_fd([Signal::SIGTERM, Signal::SIGCHLD])?;
        handle_signals([Signal::SIGTERM])?; // for the children: it ends a read that blocks
        let backlog = Backlog::new(listener, calls)?;
        Ok(Children { backlog, living: HashSet::new(), limit, signals, forks_since_reap: 0 })
    }

    /// Serves the connection in a child of its own: fork(2). The main process closes its copy of the socket.
    ///
    /// When the machine has no process left (EAGAIN, ENOMEM), the main process backs off and keeps the connection.
    ///
    /// # Errors
    /// Other errors of fork(2).
    pub fn fork(&mut self, socket: TcpStream, serve: impl FnOnce(TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.backlog.calls.0.opened();
        let mut work = Some(move || serve(socket)); // the child takes it; the main process keeps its copy, in case fork(2) fails
        loop {
            self.backlog.calls.0.syscall(Syscall::Fork);
            match fork(|| work.take().map_or(Ok(()), |work| work())) {
                Ok(child) => {
                    if self.backlog.draining {
                        terminate(child);
                    }
                    self.living.insert(child);
                    self.forks_since_reap += 1;
                    return Ok(());
                }
                Err(Errno::EAGAIN | Errno::ENOMEM) => self.back_off()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until every child has finished its connection and has exited.
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle.
    pub fn wait_for_all(mut self) -> io::Result<()> {
        while !self.living.is_empty() {
            self.wait(false, None)?;
        }
        Ok(())
    }

    /// Takes in the children that have exited, and adds what they used to the scoreboard. (With SIGCHLD ignored, the kernel
    /// would forget them without a trace, and their CPU time would be lost.)
    fn reap(&mut self) -> io::Result<()> {
        self.forks_since_reap = 0;
        while let Some((child, usage)) = wait4()? {
            self.backlog.calls.0.reaped(&usage);
            if self.living.remove(&child) {
                self.backlog.calls.0.closed();
            }
        }
        Ok(())
    }
}

impl BlockingAcceptor for Children<'_> {
    fn backlog(&self) -> &Backlog<'_> {
        &self.backlog
    }

    fn is_at_limit(&mut self) -> io::Result<bool> {
        if self.forks_since_reap >= REAP_EVERY {
            self.wait(false, Some(Duration::ZERO))?;
        }
        Ok(self.living.len() >= self.limit)
    }

    fn wait(&mut self, or_connection: bool, timeout: Option<Duration>) -> io::Result<()> {
        let [signalled] = self.backlog.wait([self.signals.as_fd()], or_connection, timeout)?;
        if !signalled {
            return Ok(());
        }
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.backlog.draining = true;
                self.living.iter().for_each(|&child| terminate(child));
            }
        }
        self.reap()
    }
}
