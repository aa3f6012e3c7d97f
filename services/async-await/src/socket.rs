//! A socket as a task uses it: the calls are ours, and tokio says when they would not block.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::time::Instant;

use driver::tasks::{Stopping, watch};
use driver::{Calls, MAX_STEPS, READ_BUFFER, stop_connection};
use http1::{Conn, Handler};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::futures::Notified;
use tokio::task::yield_now;
use tokio::time::Sleep;

thread_local! {
    /// A task borrows it for one read and what follows at once, never while it waits.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// A socket, and the other events that may wake its task: a wait ends at the deadline and at SIGTERM, as a blocking call
/// does.
pub struct Socket<'a, 's> {
    /// Not a `tokio::net::TcpStream`, so that `Calls` makes the calls and counts them.
    stream: AsyncFd<TcpStream>,
    /// The one timer of the connection. A request moves the deadline, not the timer: a timer that ends early is set anew.
    timer: Pin<&'a mut Sleep>,
    sigterm: Pin<&'a mut Notified<'s>>,
    /// SIGTERM has ended a wait.
    sigterm_seen: bool,
    /// The connection knows that the server stops.
    is_stopped: bool,
    /// Reads and writes since the task last waited.
    steps: usize,
    /// The socket has become ready, and no call was made since.
    is_ready: bool,
}

impl<'a, 's> Socket<'a, 's> {
    pub fn new(
        stream: TcpStream,
        timer: Pin<&'a mut Sleep>,
        sigterm: Pin<&'a mut Notified<'s>>,
    ) -> io::Result<Socket<'a, 's>> {
        let stream = watch(stream, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket { stream, timer, sigterm, sigterm_seen: false, is_stopped: false, steps: 0, is_ready: false })
    }

    /// Tells the connection that the server stops, if SIGTERM has come.
    pub fn stop_after_sigterm<H: Handler>(&mut self, stopping: &Stopping, conn: &mut Conn<H>, now: Instant) {
        if stopping.has_begun() && !std::mem::replace(&mut self.is_stopped, true) {
            stop_connection(conn, &self.stream, now);
        }
    }

    /// After many steps without a wait, lets other tasks have their turn. (The budget that tokio gives a task counts waits,
    /// and a task that always has something to do never waits.)
    pub async fn end_turn(&mut self) {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            self.steps = 0;
            yield_now().await;
        }
    }

    /// Has the socket become ready since the last call? Then bytes may have come in time, and the peer is not late yet.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Tells the connection where tokio knows of bytes that came since the last read: without a system call.
    pub fn tell_unread<H: Handler>(&self, conn: &mut Conn<H>) {
        if self.stream.try_io(Interest::READABLE, |_| Ok(())).is_ok() {
            conn.unread();
        }
    }

    /// Reads what is there, and passes it on, if the socket is ready.
    pub fn read(&self, calls: Calls, received: impl FnOnce(&[u8])) -> io::Result<()> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut read = Err(ErrorKind::WouldBlock.into());
            let _ = self.stream.try_io(Interest::READABLE, |stream| {
                read = calls.read(stream, buffer);
                let is_full = read.as_ref().is_ok_and(|&n| n == buffer.len());
                // A short read has emptied the socket: another would only say EAGAIN.
                if is_full { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
            });
            received(&buffer[..read?]);
            Ok(())
        })
    }

    /// Makes the call if the socket is ready for it.
    pub fn write(&self, call: impl FnOnce(&TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        self.stream.try_io(Interest::WRITABLE, call)
    }

    /// Returns `done`, and before that waits if it is `WouldBlock`: until it is time to look again.
    ///
    /// # Errors
    /// Those of `done`.
    pub async fn or_wait<T>(
        &mut self,
        done: io::Result<T>,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> io::Result<T> {
        self.is_ready = false;
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.wait(interest, deadline).await?;
        }
        done
    }

    /// Until the socket is ready, or it is the deadline or later, or SIGTERM has come.
    async fn wait(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        let Socket { stream, timer, sigterm, sigterm_seen, steps, is_ready, .. } = self;
        *steps = 0;
        if let Some(deadline) = deadline
            && (timer.is_elapsed() || deadline < timer.deadline().into_std())
        {
            timer.as_mut().reset(deadline.into());
        }
        let ready = poll_fn(|context| match interest.is_readable() {
            true => stream.poll_read_ready(context),
            false => stream.poll_write_ready(context),
        });
        tokio::select! {
            biased; // in this order, not at random
            ready = ready => *is_ready = ready.map(|_| true)?,
            () = sigterm.as_mut(), if !*sigterm_seen => *sigterm_seen = true,
            () = timer.as_mut() => {}
        }
        Ok(())
    }

    /// Until the connection is broken, since its peer has reset it. Gives the error.
    pub async fn broken(&self) -> io::Error {
        self.stream.ready(Interest::ERROR).await.map_or_else(|error| error, |_| ErrorKind::ConnectionReset.into())
    }

    /// Shuts down the write side: shutdown(2).
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shut(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}
