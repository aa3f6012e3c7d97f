use std::io;
use std::net::TcpStream;

use http1::FileRange;

use crate::poller::Id;
use crate::syscalls::Calls;

/// How a loop sends files to its connections.
pub trait SendFile {
    /// Sends the next bytes of the file to the socket, and returns how many; 0 if the file has shrunk.
    ///
    /// `None` means that the bytes are not in memory yet. The loop [resumes](crate::Connections::resume) the connection when
    /// another try is worth it.
    ///
    /// # Errors
    /// Those of the read and of the send; they end the connection.
    fn send(&mut self, id: Id, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>>;

    /// The connection is closed.
    fn closed(&mut self, _id: Id) {}
}

/// By sendfile(2), which waits for the disk where the file is not in memory.
impl SendFile for Calls {
    fn send(&mut self, _id: Id, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        self.sendfile(socket, range).map(Some)
    }
}

/// A chunk of a file that was read into memory and goes out to a socket.
pub struct FileChunk {
    bytes: Vec<u8>,
    sent: usize,
}

impl FileChunk {
    /// Nothing of it is sent yet.
    pub fn new(bytes: Vec<u8>) -> FileChunk {
        FileChunk { bytes, sent: 0 }
    }

    /// Sends some of it, and returns how many bytes; 0 if it is empty, because the file has shrunk. `range` is what is still to
    /// be sent of the file.
    ///
    /// # Errors
    /// Those of send(2).
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

    /// The chunk's memory, for the next chunk.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
