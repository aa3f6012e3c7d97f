use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use scoreboard::Syscall;

use crate::alike::REST;
use crate::syscalls::{Calls, NotAccepted};
use crate::timers::timeout;

/// Where connections come in for workers that block.
pub(crate) struct Door<'a> {
    listener: &'a TcpListener,
    pub calls: Calls,
    /// SIGTERM has come.
    pub stopping: bool,
}

impl<'a> Door<'a> {
    pub fn new(listener: &'a TcpListener, calls: Calls) -> io::Result<Door<'a>> {
        listener.set_nonblocking(true)?; // accept(2) must not sleep through a signal
        Ok(Door { listener, calls, stopping: false })
    }

    /// Waits for any of `news`, for a connection if `arrivals`, or that long at most; says which news are readable.
    pub fn wait<const N: usize>(
        &self,
        news: [BorrowedFd<'_>; N],
        arrivals: bool,
        most: Option<Duration>,
    ) -> io::Result<[bool; N]> {
        let watched = news.into_iter().chain(arrivals.then(|| self.listener.as_fd()));
        let mut fds: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        self.calls.0.syscall(Syscall::Poll);
        match poll(&mut fds, timeout(most)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(std::array::from_fn(|n| fds[n].any().unwrap_or(false)))
    }
}

/// Who keeps the door, and has a worker for each who comes in.
pub(crate) trait Doorkeeper {
    fn door(&self) -> &Door<'_>;

    /// Is there no place for one more?
    fn is_full(&mut self) -> io::Result<bool>;

    /// Waits for news of the workers, for SIGTERM, for a connection if `arrivals`, or that long at most.
    fn wait(&mut self, arrivals: bool, most: Option<Duration>) -> io::Result<()>;

    /// Waits for a place and for a connection; `None` once SIGTERM has come and the queue is dry.
    fn let_in(&mut self) -> io::Result<Option<TcpStream>> {
        loop {
            if self.is_full()? {
                self.door().calls.0.accept_paused();
                self.wait(false, None)?;
                continue;
            }
            match self.door().calls.accept(self.door().listener, false) {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) => match error.into() {
                    NotAccepted::Nobody if self.door().stopping => return Ok(None),
                    NotAccepted::Nobody => self.wait(true, None)?,
                    NotAccepted::Exhausted => self.rest()?,
                    NotAccepted::ThatOne => {}
                    NotAccepted::Fatal(error) => return Err(error),
                },
            }
        }
    }

    /// Out of something: time may bring it back, or a worker that ends.
    fn rest(&mut self) -> io::Result<()> {
        self.door().calls.0.accept_paused();
        self.wait(false, Some(REST))
    }
}
