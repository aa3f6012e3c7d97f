use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Instant;

use http1::FileRange;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, SockFlag, accept4, recv, send};
use scoreboard::{Counters, Syscall};

/// One sendfile(2) sends at most that many bytes, so that a fast reader does not hold up the other connections of a loop.
const SENDFILE_MOST: u64 = 256 << 10;

/// What a failed accept(2) means.
pub enum AcceptError {
    /// No connection waits in the backlog.
    BacklogEmpty,
    /// The machine has no descriptor or memory left: back off.
    Exhausted,
    /// The connection that was to be accepted is lost, and accept(2) hands on its error; the next one may be fine.
    ConnectionLost,
    /// accept(2) cannot work on this listener.
    Fatal(io::Error),
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> AcceptError {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => AcceptError::BacklogEmpty,
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => AcceptError::Exhausted,
            None | Some(Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK | Errno::EFAULT | Errno::EOPNOTSUPP) => {
                AcceptError::Fatal(error)
            }
            Some(_) => AcceptError::ConnectionLost,
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
        // SAFETY: accept4 has just returned this descriptor, so nothing else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
    }

    /// recv(2); 0 is end of stream.
    pub fn read(self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.syscall(Syscall::Read);
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// recv(2) that does not wait, although the socket is a blocking one (MSG_DONTWAIT).
    pub fn read_now(self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.syscall(Syscall::Read);
        Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
    }

    /// Would a read fail because the connection is broken? It looks at what is there and leaves it: recv(2) with MSG_PEEK.
    pub fn is_broken(self, socket: RawFd) -> bool {
        self.0.syscall(Syscall::Read);
        let peeked = recv(socket, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        peeked.is_err_and(|errno| !matches!(errno, Errno::EAGAIN | Errno::EINTR))
    }

    /// Sleeps until then: ppoll(2) with a time-out, which neither bytes nor the end of the peer's stream end.
    ///
    /// # Errors
    /// The connection is broken, which ppoll(2) reports unasked, and at once.
    pub fn sleep(self, socket: &TcpStream, until: Instant) -> io::Result<()> {
        loop {
            let time = until.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Ok(());
            }
            self.0.syscall(Syscall::Poll);
            match ppoll(&mut [PollFd::new(socket.as_fd(), PollFlags::empty())], Some(time.into()), None) {
                Ok(0) | Err(Errno::EINTR) => {} // it goes on sleeping after a signal
                Ok(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// send(2); `more` makes the kernel hold the bytes back until a file follows them into the same packet (MSG_MORE).
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
