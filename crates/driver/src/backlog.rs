//! Accepting for workers that block.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use scoreboard::Syscall;

use crate::common::BACK_OFF;
use crate::syscalls::{AcceptError, Calls};
use crate::timers::poll_timeout;

/// The listener of a server whose workers block, and the connections that wait in its backlog.
pub struct Backlog<'a> {
    listener: &'a TcpListener,
    /// What counts the acceptor's system calls.
    pub calls: Calls,
    /// SIGTERM has come: the backlog is accepted to its end.
    pub draining: bool,
}

impl<'a> Backlog<'a> {
    /// The backlog of that listener.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(listener: &'a TcpListener, calls: Calls) -> io::Result<Backlog<'a>> {
        listener.set_nonblocking(true)?; // accept(2) must not sleep through a signal
        Ok(Backlog { listener, calls, draining: false })
    }

    /// Waits until one of `others` is readable, or a connection has arrived if `or_connection`, at most that long; returns
    /// which of the others are readable.
    ///
    /// # Errors
    /// Those of poll(2), but for EINTR.
    pub fn wait<const N: usize>(
        &self,
        others: [BorrowedFd<'_>; N],
        or_connection: bool,
        timeout: Option<Duration>,
    ) -> io::Result<[bool; N]> {
        let watched = others.into_iter().chain(or_connection.then(|| self.listener.as_fd()));
        let mut fds: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        self.calls.0.syscall(Syscall::Poll);
        match poll(&mut fds, poll_timeout(timeout)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(std::array::from_fn(|n| fds[n].any().unwrap_or(false)))
    }
}

/// The main thread of a server that gives each connection to a worker that blocks.
pub trait BlockingAcceptor {
    /// Where the connections come from.
    fn backlog(&self) -> &Backlog<'_>;

    /// Are as many connections open as may be? An implementation may first take in workers that have ended.
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle; this holds for all functions here.
    fn is_at_limit(&mut self) -> io::Result<bool>;

    /// Waits until a worker ends, SIGTERM comes, or a connection arrives if `or_connection`, at most that long.
    fn wait(&mut self, or_connection: bool, timeout: Option<Duration>) -> io::Result<()>;

    /// Waits until a connection may be open and has arrived; `None` once SIGTERM has come and the backlog is empty.
    fn next_socket(&mut self) -> io::Result<Option<TcpStream>> {
        loop {
            if self.is_at_limit()? {
                self.backlog().calls.0.accept_paused();
                self.wait(false, None)?;
                continue;
            }
            match self.backlog().calls.accept(self.backlog().listener, false) {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) => match error.into() {
                    AcceptError::BacklogEmpty if self.backlog().draining => return Ok(None),
                    AcceptError::BacklogEmpty => self.wait(true, None)?,
                    AcceptError::Exhausted => self.back_off()?,
                    AcceptError::ConnectionLost => {}
                    AcceptError::Fatal(error) => return Err(error),
                },
            }
        }
    }

    /// Waits when the machine has run out of something: time may bring it back, or a worker that ends.
    fn back_off(&mut self) -> io::Result<()> {
        self.backlog().calls.0.accept_paused();
        self.wait(false, Some(BACK_OFF))
    }
}
