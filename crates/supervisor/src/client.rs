//! One connection to the admin endpoint.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use http::{Conn, Handler, Limits, Want};
use nix::poll::PollFlags;

/// Steps in one turn, so that a peer that pipelines does not hold up the supervisor: a page of metrics may take 20 ms.
const TURN: usize = 4;

pub(crate) struct Client<H> {
    socket: TcpStream,
    conn: Conn<H>,
    /// When it last moved.
    pub moved: Instant,
}

impl<H: Handler> Client<H> {
    /// One that was just accepted; the socket is non-blocking.
    pub fn new(socket: TcpStream, handler: H, limits: &'static Limits, now: Instant) -> Client<H> {
        Client { socket, conn: Conn::new(handler, limits, now), moved: now }
    }

    /// What to wait for.
    pub fn interest(&mut self) -> PollFlags {
        if matches!(self.conn.want(), Want::Read) { PollFlags::POLLIN } else { PollFlags::POLLOUT }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.conn.deadline()
    }

    /// Goes as far as it goes without waiting; false when it is to be closed.
    pub fn turn(&mut self, now: Instant) -> bool {
        self.moved = now;
        self.step(now)
    }

    /// Does what is due at the deadline; false when it is to be closed.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.conn.deadline().is_some_and(|deadline| deadline <= now) {
            self.conn.expired(now);
            return self.step(now);
        }
        true
    }

    fn step(&mut self, now: Instant) -> bool {
        let mut buffer = [0; 4096];
        for _ in 0..TURN {
            let done = match self.conn.want() {
                Want::Read => self.socket.read(&mut buffer).map(|n| self.conn.received(&buffer[..n], now)),
                Want::Write { bytes, .. } => self.socket.write(bytes).map(|n| self.conn.sent(n, now)),
                Want::Shut => self.socket.shutdown(Shutdown::Write).map(|()| self.conn.shut(now)),
                // The endpoint answers from memory and at once.
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

impl<H> AsFd for Client<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
