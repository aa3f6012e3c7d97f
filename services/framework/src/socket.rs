//! A connection's socket, which hyper owns and whose handlers look at it, too.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    /// The socket of the connection whose task this is. (A weak reference, so that hyper's part still closes it.)
    static OF_THIS_TASK: Weak<TcpStream>;
}

/// Reads and writes as tokio's `TcpStream` does, with the same system calls. But that gives its readiness to no one else while
/// hyper has it; a copy of the descriptor would, and would take a place among the open files that no limit counts.
pub struct Socket(Arc<TcpStream>);

impl Socket {
    /// A socket that was just accepted.
    pub fn new(stream: TcpStream) -> Socket {
        Socket(Arc::new(stream))
    }

    /// The task that serves its connection; in it, [`broken`] is about this socket.
    pub fn scope<F: Future>(self, serve: impl FnOnce(Socket) -> F) -> TaskLocalFuture<Weak<TcpStream>, F> {
        OF_THIS_TASK.scope(Arc::downgrade(&self.0), serve(self))
    }

    /// The socket as tokio knows it.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            if let Some(written) = self.once(Interest::WRITABLE, len, || write(&self.0)) {
                return Poll::Ready(written);
            }
        }
    }

    /// Makes the call if the socket is ready; `None` if it is not. A short call has emptied the socket, or filled it, and the
    /// next one would only say EAGAIN: so the socket is not ready any more.
    fn once(
        &self,
        interest: Interest,
        len: usize,
        call: impl FnOnce() -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let mut done = Err(io::ErrorKind::WouldBlock.into());
        let _ = self.0.try_io(interest, || {
            done = call();
            match done {
                Ok(n) if 0 < n && n < len => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        (!done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)).then_some(done)
    }
}

/// Until the connection of this task is broken, since its peer has reset it; hyper does not tell a handler.
pub async fn broken() {
    if let Some(stream) = OF_THIS_TASK.get().upgrade() {
        let _ = stream.ready(Interest::ERROR).await;
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            if let Some(read) = self.once(Interest::READABLE, buffer.remaining(), || self.0.try_read_buf(buffer)) {
                return Poll::Ready(read.map(drop));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        self.poll_write_with(cx, len, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // there is no buffer
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(self.0.as_raw_fd(), Shutdown::Write).map_err(io::Error::from))
    }
}
