use std::io;
use std::net::TcpStream;

use http::FileRange;

use crate::syscalls::Calls;

/// A piece of a file that is in memory and goes out to a socket.
pub struct Piece {
    bytes: Vec<u8>,
    sent: usize,
}

impl Piece {
    /// Nothing of it is sent yet.
    pub fn new(bytes: Vec<u8>) -> Piece {
        Piece { bytes, sent: 0 }
    }

    /// Sends some of it, and says how many bytes; 0 if it is empty, the file having shrunk. `range` is what is still to be
    /// sent of the file.
    pub fn send(&mut self, calls: Calls, socket: &TcpStream, range: FileRange<'_>) -> io::Result<usize> {
        let rest = &self.bytes[self.sent..];
        if rest.is_empty() {
            return Ok(0);
        }
        let n = calls.write(socket, rest, (rest.len() as u64) < range.len)?;
        self.sent += n;
        Ok(n)
    }

    /// Is all of it sent?
    pub fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Its memory, for another one.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
