use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use crate::reply::Job;

/// What a connection wants next. It repeats itself until it is answered.
#[derive(Debug)]
pub enum Want<'a> {
    /// Bytes from the peer. Answer with [`Conn::received`](crate::Conn::received); no bytes mean end of stream.
    Read,
    /// These bytes written; `more` follows at once (a file), so they need not be sent alone. Answer with
    /// [`Conn::sent`](crate::Conn::sent); they stay where they are until then.
    Write {
        /// What to write.
        bytes: &'a [u8],
        /// Does a [`Want::SendFile`] follow?
        more: bool,
    },
    /// A piece of a file written. Answer with [`Conn::sent`](crate::Conn::sent); 0 bytes mean that the file has shrunk.
    SendFile(FileRange<'a>),
    /// To be left alone until then. Answer with [`Conn::woke`](crate::Conn::woke).
    Sleep(Instant),
    /// A call that blocks. Answer with [`Conn::done`](crate::Conn::done); [`Want::Pending`] until then.
    Block(Job),
    /// Nothing: a job is out, or the reply comes later.
    Pending,
    /// The write side shut down, so that the peer sees the reply's end. Answer with [`Conn::shut`](crate::Conn::shut).
    Shut,
    /// To be closed.
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
