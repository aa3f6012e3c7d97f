//! Accepting for worker threads.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use libc::pid_t;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::{getpid, gettid};

use crate::backlog::{Backlog, BlockingAcceptor};
use crate::blocking::{INTERRUPT, STOPPING, handle_signals};
use crate::signals::signal_fd;
use crate::syscalls::Calls;

/// Accepts connections for threads, each of which serves one of them at a time with blocking calls.
pub struct ThreadAcceptor<'a> {
    backlog: Backlog<'a>,
    open: Arc<OpenConnections>,
    sigterm: SignalFd,
    /// When the threads were interrupted last; `None` before SIGTERM.
    interrupted: Option<Instant>,
}

/// While the server stops, its threads are interrupted this often: see [`interrupt_all_threads`].
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

/// An accepted connection. When it is dropped, its socket is closed, and another connection may be accepted.
pub struct Accepted {
    /// Its socket, until it is served.
    socket: Option<TcpStream>,
    open: Arc<OpenConnections>,
    calls: Calls,
}

/// How many connections are open, and whether the acceptor waits for one of them to close.
struct OpenConnections {
    limit: usize,
    count: AtomicUsize,
    /// The acceptor waits.
    is_awaited: AtomicBool,
    /// Becomes readable when a connection closes while the acceptor waits for that.
    closed: EventFd,
}

impl<'a> ThreadAcceptor<'a> {
    /// Above `limit` open connections, a connection waits in the kernel's backlog.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new(listener: &'a TcpListener, limit: usize, calls: Calls) -> io::Result<ThreadAcceptor<'a>> {
        let sigterm = signal_fd([Signal::SIGTERM])?;
        handle_signals([Signal::SIGTERM, INTERRUPT])?;
        let closed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let open = OpenConnections { limit, count: AtomicUsize::new(0), is_awaited: AtomicBool::new(false), closed };
        Ok(ThreadAcceptor { backlog: Backlog::new(listener, calls)?, open: Arc::new(open), sigterm, interrupted: None })
    }

    /// Waits until a connection may be open and has arrived; `None` once SIGTERM has come and the backlog is empty.
    ///
    /// # Errors
    /// accept(2) cannot work on this listener.
    pub fn next_connection(&mut self) -> io::Result<Option<Accepted>> {
        let socket = self.next_socket()?;
        Ok(socket.map(|socket| Accepted::new(socket, Arc::clone(&self.open), self.backlog.calls)))
    }

    /// Waits until every connection is closed.
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle.
    pub fn wait_for_all(mut self) -> io::Result<()> {
        while self.open.await_below(1) {
            self.wait(false, None)?;
        }
        Ok(())
    }
}

impl BlockingAcceptor for ThreadAcceptor<'_> {
    fn backlog(&self) -> &Backlog<'_> {
        &self.backlog
    }

    fn is_at_limit(&mut self) -> io::Result<bool> {
        Ok(self.open.await_below(self.open.limit))
    }

    fn wait(&mut self, or_connection: bool, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = match self.backlog.draining {
            true => Some(timeout.map_or(INTERRUPT_EVERY, |timeout| timeout.min(INTERRUPT_EVERY))),
            false => timeout,
        };
        let others = [self.open.closed.as_fd(), self.sigterm.as_fd()];
        let [closed, signalled] = self.backlog.wait(others, or_connection, timeout)?;
        if closed {
            let _ = self.open.closed.read(); // so that it is not readable any more
        }
        if signalled && self.sigterm.read_signal()?.is_some() {
            self.backlog.draining = true;
            STOPPING.store(true, SeqCst);
        }
        if self.backlog.draining && self.interrupted.is_none_or(|at| at.elapsed() >= INTERRUPT_EVERY) {
            interrupt_all_threads()?;
            self.interrupted = Some(Instant::now());
        }
        Ok(())
    }
}

impl Accepted {
    fn new(socket: TcpStream, open: Arc<OpenConnections>, calls: Calls) -> Accepted {
        open.count.fetch_add(1, SeqCst);
        calls.0.opened();
        Accepted { socket: Some(socket), open, calls }
    }

    /// Serves it on this thread: `serve` gets the socket.
    ///
    /// # Errors
    /// Those of `serve`.
    pub fn serve(mut self, serve: impl FnOnce(TcpStream) -> io::Result<()>) -> io::Result<()> {
        self.socket.take().map_or(Ok(()), serve)
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        drop(self.socket.take()); // first, since another connection may need the descriptor
        self.calls.0.closed();
        self.open.count.fetch_sub(1, SeqCst);
        if self.open.is_awaited.load(SeqCst) {
            let _ = self.open.closed.write(1); // it can only fail because the eventfd is readable already
        }
    }
}

impl OpenConnections {
    /// Must the acceptor wait until fewer than `count` connections are open? If so, the next connection to close wakes it.
    fn await_below(&self, count: usize) -> bool {
        if self.count.load(SeqCst) < count {
            self.is_awaited.store(false, SeqCst);
            return false;
        }
        self.is_awaited.store(true, SeqCst);
        self.count.load(SeqCst) >= count // once more: a connection may have closed before it saw the flag
    }
}

/// Interrupts the calls in which the threads of this process block: tgkill(2).
///
/// If a thread ends while the kernel lists it, the kernel leaves out the threads behind it. So one call may miss some.
fn interrupt_all_threads() -> io::Result<()> {
    let me = gettid().as_raw();
    for entry in std::fs::read_dir("/proc/self/task")?.flatten() {
        if let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse::<pid_t>().ok())
            && thread != me
        {
            // SAFETY: it passes three numbers. The thread may have ended, and then there is nothing to interrupt.
            unsafe { libc::syscall(libc::SYS_tgkill, getpid().as_raw(), thread, INTERRUPT as libc::c_int) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use scoreboard::Scoreboard;

    use super::*;

    fn accepted(open: &Arc<OpenConnections>) -> Accepted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let calls = Calls(Box::leak(Box::new(Scoreboard::map().unwrap())).claim());
        Accepted::new(socket, Arc::clone(open), calls)
    }

    fn open(limit: usize) -> Arc<OpenConnections> {
        let closed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        Arc::new(OpenConnections { limit, count: AtomicUsize::new(0), is_awaited: AtomicBool::new(false), closed })
    }

    #[test]
    fn a_connection_that_closes_wakes_the_acceptor_only_if_it_waits() {
        let open = open(2);
        drop(accepted(&open));
        assert!(open.closed.read().is_err(), "nothing waits for it");
        let (first, second) = (accepted(&open), accepted(&open));
        assert!(open.await_below(open.limit));
        drop(first);
        assert_eq!(open.closed.read(), Ok(1));
        assert!(!open.await_below(open.limit));
        drop(second);
        assert!(open.closed.read().is_err(), "the acceptor waits no longer");
    }

    #[test]
    fn at_the_limit_the_acceptor_waits_until_a_connection_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let calls = Calls(Box::leak(Box::new(Scoreboard::map().unwrap())).claim());
        let mut acceptor = ThreadAcceptor::new(&listener, 1, calls).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = acceptor.next_connection().unwrap();
        assert!(acceptor.is_at_limit().unwrap());
        let patience = Duration::from_secs(10);
        let begun = Instant::now();
        let closes = std::thread::spawn(|| drop(connection));
        acceptor.wait(false, Some(patience)).unwrap();
        assert!(begun.elapsed() < patience, "the connection closed and the acceptor slept on");
        assert!(!acceptor.is_at_limit().unwrap());
        closes.join().unwrap();
    }
}
