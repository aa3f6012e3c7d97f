//! A connection, and what the kernel does for it at the moment.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use app::App;
use driver::Id;
use http1::{Conn, Want};

use crate::chunk::Chunk;
use crate::ring::{Op, Ring};

/// A peer that has sent more than that many bytes too early has to wait: its receive is ended.
const MAX_EARLY: usize = 64 << 10;

/// A connection. It may be freed only when no operation of it is in progress.
pub struct Connection {
    pub socket: TcpStream,
    pub conn: Conn<App>,
    /// The one timer that is set for its deadline.
    pub timer: Option<Instant>,
    /// The end of its sleep, for which one timer is set.
    pub sleeps_until: Option<Instant>,
    /// A receive is in progress.
    pub is_receiving: bool,
    /// A send, or the read of a file that comes before it, is in progress, and the kernel uses its bytes: they must not change.
    pub is_sending: bool,
    /// A read of a file is in progress. That is not the peer's fault, so no deadline holds meanwhile.
    pub awaits_file: bool,
    /// The peer sends no more.
    pub peer_ended: bool,
    /// An operation has failed.
    pub broken: bool,
    pub closing: bool,
    pub chunk: Chunk,
    /// Bytes that a multishot receive has delivered before the connection could take them.
    early: Vec<u8>,
    has_received: bool,
}

impl Connection {
    pub fn new(socket: TcpStream, conn: Conn<App>) -> Connection {
        Connection {
            socket,
            conn,
            timer: None,
            sleeps_until: None,
            is_receiving: false,
            is_sending: false,
            awaits_file: false,
            peer_ended: false,
            broken: false,
            closing: false,
            chunk: Chunk::default(),
            early: Vec::new(),
            has_received: false,
        }
    }

    /// Can it take bytes that arrive now straight from the provided buffer?
    pub fn can_take_bytes(&mut self) -> bool {
        !self.is_sending && self.early.is_empty() && matches!(self.conn.want(), Want::Read)
    }

    /// Keeps bytes that it cannot take yet.
    pub fn keep_early(&mut self, bytes: &[u8]) {
        self.early.extend_from_slice(bytes);
        self.conn.unread();
    }

    /// Has the peer sent so much too early that the receive must end?
    pub fn has_too_much_early(&self) -> bool {
        self.is_receiving && self.early.len() > MAX_EARLY
    }

    /// Bytes that were kept, or no bytes at the end of the stream; `None` when there is neither.
    pub fn take_early(&mut self) -> Option<Vec<u8>> {
        (self.peer_ended || !self.early.is_empty()).then(|| std::mem::take(&mut self.early))
    }

    /// Submits a receive, unless one is in progress.
    ///
    /// The first receive is single-shot, since many connections have only one request, and a multishot receive must be
    /// cancelled before the socket is closed. The second is multishot: one submission serves the rest of the connection.
    ///
    /// # Errors
    /// Those of io_uring_enter(2); this holds for all functions that take the ring.
    pub fn receive(&mut self, id: Id, ring: &mut Ring) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_receiving, true) {
            ring.receive(id, &self.socket, self.has_received)?;
            self.has_received = true;
        }
        Ok(())
    }

    /// While it sleeps, a receive says that the peer has reset it. Bytes that it brings are kept.
    ///
    /// # Errors
    /// Those of io_uring_enter(2).
    pub fn watch_for_break(&mut self, id: Id, ring: &mut Ring) -> io::Result<()> {
        if self.peer_ended || self.early.len() > MAX_EARLY { Ok(()) } else { self.receive(id, ring) }
    }

    /// Cancels all operations in progress.
    pub fn cancel(&mut self, id: Id, ring: &mut Ring) -> io::Result<()> {
        if self.is_receiving {
            ring.cancel(Op::Receive, id)?;
        }
        if self.is_sending {
            ring.cancel(Op::Send, id)?;
            ring.cancel(Op::Read, id)?;
        }
        Ok(())
    }
}
