//! One non-blocking connection of the admin endpoint.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use http1::{Conn, Handler, Limits, Want};
use nix::poll::PollFlags;

/// The most steps in one turn of the loop, so that a peer that pipelines requests cannot hold up the supervisor: a page
/// of metrics may take 20 ms.
const MAX_STEPS: usize = 4;

pub(crate) struct Connection<H> {
    socket: TcpStream,
    conn: Conn<H>,
    /// When the socket was last ready.
    pub last_activity: Instant,
}

impl<H: Handler> Connection<H> {
    /// Takes a connection that was just accepted; the socket is non-blocking.
    pub fn new(socket: TcpStream, handler: H, limits: &'static Limits, now: Instant) -> Connection<H> {
        Connection { socket, conn: Conn::new(handler, limits, now), last_activity: now }
    }

    /// The events that poll(2) must wait for.
    pub fn interest(&mut self) -> PollFlags {
        if matches!(self.conn.want(), Want::Read) { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.conn.deadline()
    }

    /// Reads and writes until the socket would block; false when the connection is to be closed.
    pub fn advance(&mut self, now: Instant) -> bool {
        self.last_activity = now;
        self.run(now)
    }

    /// Handles the deadline if it has passed; false when the connection is to be closed.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.conn.deadline().is_some_and(|deadline| deadline <= now) {
            self.conn.expired(now);
            return self.run(now);
        }
        true
    }

    fn run(&mut self, now: Instant) -> bool {
        let mut buffer = [0; 4096];
        for _ in 0..MAX_STEPS {
            let done = match self.conn.want() {
                Want::Read => self.socket.read(&mut buffer).map(|n| self.conn.received(&buffer[..n], now)),
                Want::Write { bytes, .. } => self.socket.write(bytes).map(|n| self.conn.sent(n, now)),
                Want::Shut => self.socket.shutdown(Shutdown::Write).map(|()| self.conn.shut(now)),
                // Besides `Close`, these do not occur: the pages are answered at once and from memory.
                Want::SendFile(_) | Want::Sleep(_) | Want::Block(_) | Want::Pending | Want::Close => return false,
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl<H> AsFd for Connection<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
