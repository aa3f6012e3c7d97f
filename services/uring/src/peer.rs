//! A connection, and what the kernel is doing for it.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use app::App;
use http::{Conn, FileRange, Want};

use crate::ring::{Op, Ring};

/// Received before it was wanted: above that many bytes we stop receiving, and the peer has to wait.
const HELD_MOST: usize = 64 << 10;
/// Bytes of a file that are read, and then sent, at a time.
const CHUNK: u64 = 128 << 10;

/// A connection. It is freed only when nothing of it is under way.
pub struct Peer {
    pub socket: TcpStream,
    pub conn: Conn<App>,
    /// Its one entry among the deadlines.
    pub reminder: Option<Instant>,
    /// A receive is under way.
    pub receiving: bool,
    /// A send or a read is under way, so what it works on must stay as it is.
    pub moving: bool,
    /// The peer sends no more.
    pub ended: bool,
    /// An operation has failed.
    pub broken: bool,
    pub closing: bool,
    pub chunk: Chunk,
    held: Vec<u8>,
    kept_alive: bool,
}

impl Peer {
    pub fn new(socket: TcpStream, conn: Conn<App>) -> Peer {
        Peer {
            socket,
            conn,
            reminder: None,
            receiving: false,
            moving: false,
            ended: false,
            broken: false,
            closing: false,
            chunk: Chunk::default(),
            held: Vec::new(),
            kept_alive: false,
        }
    }

    /// Can what comes now go straight into the connection?
    pub fn wants_read(&mut self) -> bool {
        !self.moving && self.held.is_empty() && matches!(self.conn.want(), Want::Read)
    }

    /// Keeps what has come too early.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Must the peer wait before it sends more?
    pub fn holds_too_much(&self) -> bool {
        self.receiving && self.held.len() > HELD_MOST
    }

    /// What was kept, or the end of the stream (no bytes), if there is anything.
    pub fn held(&mut self) -> Option<Vec<u8>> {
        (self.ended || !self.held.is_empty()).then(|| std::mem::take(&mut self.held))
    }

    /// Receives, unless a receive is under way already.
    ///
    /// The first is for once, since many a connection has but one request, and what goes on must be ended before the
    /// socket is closed. From the second on, one submission does for the rest of the connection.
    pub fn receive(&mut self, key: u64, ring: &mut Ring) -> io::Result<()> {
        self.chunk = Chunk::default();
        if !std::mem::replace(&mut self.receiving, true) {
            ring.receive(key, &self.socket, self.kept_alive)?;
            self.kept_alive = true;
        }
        Ok(())
    }

    /// Ends all that is under way.
    pub fn end(&mut self, key: u64, ring: &mut Ring) -> io::Result<()> {
        if self.receiving {
            ring.end(Op::Receive, key)?;
        }
        if self.moving {
            ring.end(Op::Send, key)?;
            ring.end(Op::Read, key)?;
        }
        Ok(())
    }
}

/// A piece of a file on its way from the disk to the socket.
#[derive(Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
}

impl Chunk {
    /// Sends what is left of the piece, or reads the next one.
    ///
    /// # Safety
    /// The chunk must stay as it is until the completion has come.
    pub unsafe fn send_or_read(
        &mut self,
        key: u64,
        socket: &TcpStream,
        range: FileRange<'_>,
        ring: &mut Ring,
    ) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes.resize(range.len.min(CHUNK) as usize, 0);
            // SAFETY: the caller's.
            unsafe { ring.read(key, range.file, range.offset, &mut self.bytes) }
        } else {
            let rest = &self.bytes[self.sent..];
            // SAFETY: the caller's.
            unsafe { ring.send(key, socket, rest, (rest.len() as u64) < range.len) }
        }
    }

    /// The file has given that many bytes.
    pub fn filled(&mut self, n: usize) {
        self.bytes.truncate(n);
        self.sent = 0;
    }

    /// The socket has taken that many bytes, if they were of this piece.
    pub fn sent(&mut self, n: usize) {
        if !self.bytes.is_empty() {
            self.sent += n;
            if self.sent == self.bytes.len() {
                self.filled(0);
            }
        }
    }
}
