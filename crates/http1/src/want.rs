use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use crate::reply::Job;

/// What a connection wants its I/O model to do next. It wants the same until the model has answered.
#[derive(Debug)]
pub enum Want<'a> {
    /// Receive bytes from the peer. Answer with [`Conn::received`](crate::Conn::received); no bytes mean the end of the
    /// stream.
    Read,
    /// Send these bytes. Answer with [`Conn::sent`](crate::Conn::sent); the bytes keep their address until then.
    Write {
        /// What to send.
        bytes: &'a [u8],
        /// Does a [`Want::SendFile`] follow at once? Then the bytes need no packet of their own.
        more: bool,
    },
    /// Send a piece of a file. Answer with [`Conn::sent`](crate::Conn::sent); 0 bytes mean that the file has shrunk.
    SendFile(FileRange<'a>),
    /// Do nothing until then. Answer with [`Conn::woke`](crate::Conn::woke).
    Sleep(Instant),
    /// Run a call that blocks. Answer with [`Conn::done`](crate::Conn::done); the connection wants [`Want::Pending`]
    /// until then.
    Block(Job),
    /// Do nothing: a job is running, or the handler's reply comes later.
    Pending,
    /// Shut the write side down, so that the peer sees the end of the reply. Answer with
    /// [`Conn::shut`](crate::Conn::shut).
    Shut,
    /// Close the socket and drop the connection.
    Close,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRange<'a> {
    /// The open file.
    pub file: &'a Arc<File>,
    /// Where the piece starts, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; never 0.
    pub len: u64,
}

impl<'a> FileRange<'a> {
    /// What remains of it when that many bytes are sent, if anything does.
    pub fn after(self, sent: usize) -> Option<FileRange<'a>> {
        let sent = sent as u64;
        (sent < self.len).then(|| FileRange { offset: self.offset + sent, len: self.len - sent, ..self })
    }
}
