use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use http::FileRange;
use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, SockFlag, accept4, recv, send};
use scoreboard::{Counters, Syscall};

/// A file is sent in pieces of at most that many bytes, so that one fast reader does not hold up a loop.
const SENDFILE_MOST: u64 = 256 << 10;

/// What a failed accept(2) means.
pub enum NotAccepted {
    /// Nobody is waiting.
    Nobody,
    /// The machine has no descriptor or memory left: rest a while.
    Exhausted,
    /// accept hands on the error of the connection that it would have given: that one alone is lost.
    ThatOne,
    /// The listener is no good.
    Fatal(io::Error),
}

impl From<io::Error> for NotAccepted {
    fn from(error: io::Error) -> NotAccepted {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => NotAccepted::Nobody,
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => NotAccepted::Exhausted,
            None | Some(Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK | Errno::EFAULT | Errno::EOPNOTSUPP) => {
                NotAccepted::Fatal(error)
            }
            Some(_) => NotAccepted::ThatOne,
        }
    }
}

/// The system calls that move a connection's bytes, each counted once.
#[derive(Clone, Copy)]
pub struct Calls(pub &'static Counters);

impl Calls {
    /// accept4(2), close-on-exec; non-blocking if asked so.
    pub fn accept(self, listener: &TcpListener, nonblocking: bool) -> io::Result<TcpStream> {
        let mut flags = SockFlag::SOCK_CLOEXEC;
        flags.set(SockFlag::SOCK_NONBLOCK, nonblocking);
        self.0.syscall(Syscall::Accept);
        let fd = accept4(listener.as_raw_fd(), flags)?;
        // SAFETY: accept4 has just given us this descriptor; nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
    }

    /// recv(2); 0 is end of stream.
    pub fn read(self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.syscall(Syscall::Read);
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// The same without waiting, on a socket that blocks.
    pub fn read_now(self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.syscall(Syscall::Read);
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
    }

    /// send(2); `more` holds the bytes back until a file follows them into the same packet.
    pub fn write(self, socket: &TcpStream, bytes: &[u8], more: bool) -> io::Result<usize> {
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        flags.set(MsgFlags::from_bits_retain(libc::MSG_MORE), more);
        self.0.syscall(Syscall::Write);
        Ok(send(socket.as_raw_fd(), bytes, flags)?)
    }

    /// sendfile(2) of at most 256 KiB; blocks on the disk where the file is not in memory, even for a
    /// non-blocking socket.
    pub fn sendfile(self, socket: &TcpStream, range: FileRange<'_>) -> io::Result<usize> {
        let mut offset = i64::try_from(range.offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.0.syscall(Syscall::Sendfile);
        let len = range.len.min(SENDFILE_MOST) as usize;
        Ok(sendfile64(socket, range.file, Some(&mut offset), len)?)
    }
}
