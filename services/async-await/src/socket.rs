use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::time::Instant;

use driver::{BUFFER, Calls, TURN};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::futures::Notified;
use tokio::task::yield_now;
use tokio::time::Sleep;

thread_local! {
    /// A task holds it from the call to the next line, never while it waits.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// Lets tokio's epoll instance watch a descriptor, edge-triggered.
pub fn watch<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: what is watched here (a listener, a stream, a signalfd) owns its descriptor, and never another one.
    Ok(unsafe { AsyncFd::register_with_interest(inner, interest)? })
}

/// A socket, and what else may wake its task: waits end at the deadline and at SIGTERM, as a blocking call does.
pub struct Socket<'a, 's> {
    /// No `tokio::net::TcpStream`, since the calls are ours: tokio says when, and `Calls` counts them.
    stream: AsyncFd<TcpStream>,
    /// The one timer of the connection. A request moves the deadline but not this: when it rings early, it is set anew.
    alarm: Pin<&'a mut Sleep>,
    sigterm: Pin<&'a mut Notified<'s>>,
    /// Has SIGTERM ended a wait?
    told: bool,
    /// Reads and writes since the task last waited.
    steps: usize,
    /// It has become ready, and nothing was tried since.
    is_ready: bool,
}

impl<'a, 's> Socket<'a, 's> {
    pub fn new(
        stream: TcpStream,
        alarm: Pin<&'a mut Sleep>,
        sigterm: Pin<&'a mut Notified<'s>>,
    ) -> io::Result<Socket<'a, 's>> {
        let stream = watch(stream, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Socket { stream, alarm, sigterm, told: false, steps: 0, is_ready: false })
    }

    /// After many steps without a wait, lets other tasks go first. (The budget that tokio gives a task counts waits,
    /// and who always has something to do never waits.)
    pub async fn let_others(&mut self) {
        self.steps += 1;
        if self.steps > TURN {
            self.steps = 0;
            yield_now().await;
        }
    }

    /// Has something come that is not read yet? Then it is too early to say that the peer is late.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Reads what is there, and passes it on, if the socket is ready.
    pub fn read(&self, calls: Calls, received: impl FnOnce(&[u8])) -> io::Result<()> {
        READ_BUFFER.with_borrow_mut(|buffer| {
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

    /// What was done; or, where that would have blocked, waits, and says `WouldBlock` when it is time to look again.
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
        let Socket { stream, alarm, sigterm, told, steps, is_ready } = self;
        *steps = 0;
        if let Some(deadline) = deadline
            && (alarm.is_elapsed() || deadline < alarm.deadline().into_std())
        {
            alarm.as_mut().reset(deadline.into());
        }
        let ready = poll_fn(|context| match interest.is_readable() {
            true => stream.poll_read_ready(context),
            false => stream.poll_write_ready(context),
        });
        tokio::select! {
            biased; // neither by lot
            ready = ready => *is_ready = ready.map(|_| true)?,
            () = sigterm.as_mut(), if !*told => *told = true,
            () = alarm.as_mut() => {}
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub fn shut(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}

impl AsFd for Socket<'_, '_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
