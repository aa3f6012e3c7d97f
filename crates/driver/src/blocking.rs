//! A connection served with blocking calls, and the signals that end them.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http1::{Conn, Handler, Limits, Want};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::syscalls::Calls;
use crate::ttl::stop_connection;

/// Bytes of the read buffer, on the worker's stack. Each page of it that a forked child touches is a page fault.
const BUFFER: usize = 4 << 10;

/// Serves a whole connection with blocking calls.
///
/// Its listener must have the time-outs of [`inherit_timeouts`]. To stop the worker, its process gets SIGTERM, which a child
/// of [`fork`](crate::fork) does not block, or its thread gets [`INTERRUPT`].
///
/// # Errors
/// The peer's: its connection is broken.
pub fn serve_blocking<H: Handler>(socket: TcpStream, mut conn: Conn<H>, calls: Calls) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    let mut now = Instant::now();
    let time_left =
        |conn: &Conn<H>, now| conn.deadline().map_or(Duration::MAX, |at: Instant| at.saturating_duration_since(now));
    let mut socket = Interruptible::new(socket, time_left(&conn, now));
    loop {
        socket.stop_after_sigterm(&mut conn, now);
        conn.expired(now); // here too: a read never times out while the peer keeps sending
        let time_left = time_left(&conn, now);
        let done = match conn.want() {
            Want::Read => {
                let read = socket.set_read_timeout(time_left).and_then(|()| calls.read(&socket.stream, &mut buffer));
                // The time-out is over, or a signal came: bytes that came in time are read all the same.
                let read = read.or_else(|error| match is_again(&error) {
                    true => calls.read_now(&socket.stream, &mut buffer),
                    false => Err(error),
                });
                read.map(|n| {
                    now = Instant::now();
                    conn.received(&buffer[..n], now);
                    if n == buffer.len() {
                        conn.unread();
                    }
                })
            }
            Want::Write { bytes, more } => calls.write(&socket.stream, bytes, more).map(|n| {
                now = Instant::now();
                conn.sent(n, now);
            }),
            Want::SendFile(range) => calls.sendfile(&socket.stream, range).map(|n| {
                now = Instant::now();
                conn.sent(n, now);
            }),
            Want::Sleep(until) => {
                let slept = calls.sleep(&socket.stream, until); // which SIGTERM does not end
                now = Instant::now();
                socket.stop_after_sigterm(&mut conn, now);
                slept.map(|()| conn.woke(now))
            }
            Want::Block(job) => {
                let reply = job.run();
                now = Instant::now();
                socket.stop_after_sigterm(&mut conn, now);
                conn.done(reply, now);
                Ok(())
            }
            Want::Shut => socket.stream.shutdown(Shutdown::Write).map(|()| conn.shut(now)),
            Want::Close | Want::Pending => return Ok(()), // `Pending` does not occur: no handler here answers later
        };
        match done {
            Ok(()) => {}
            Err(error) if is_again(&error) => now = Instant::now(),
            Err(error) => return Err(error),
        }
    }
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Sets the time-outs of blocking reads and writes on the listener, from which every accepted socket inherits them.
///
/// Linux copies them with the socket (`sk_clone_lock`), which saves two system calls a connection.
///
/// # Errors
/// Those of setsockopt(2).
pub fn inherit_timeouts(listener: &impl AsFd, limits: &Limits) -> io::Result<()> {
    setsockopt(listener, sockopt::ReceiveTimeout, &timeval(limits.idle_time))?;
    setsockopt(listener, sockopt::SendTimeout, &timeval(limits.write_time))?;
    Ok(())
}

pub(crate) static STOPPING: AtomicBool = AtomicBool::new(false);

/// Has SIGTERM come to this worker process, or to the process of this worker thread?
pub fn is_stopping() -> bool {
    STOPPING.load(SeqCst)
}

thread_local! {
    /// The socket that this thread may be blocked on; -1 for none.
    static BLOCKED_ON: Cell<RawFd> = const { Cell::new(-1) };
}

/// Interrupts a call in which one thread blocks. SIGTERM cannot do that: sent to the process, it reaches any one thread that
/// does not block it, and not all that have to stop.
pub const INTERRUPT: Signal = Signal::SIGUSR1;

/// Installs the handler that lets these signals interrupt a worker: once in a process, before its first worker.
///
/// # Errors
/// None in practice: sigaction(2) with valid arguments.
pub fn handle_signals(signals: impl IntoIterator<Item = Signal>) -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: the handler stores to an atomic and makes one system call, and leaves errno as it was.
        unsafe { sigaction(signal, &action)? };
    }
    Ok(())
}

/// Lets SIGTERM interrupt this worker process.
pub(crate) fn unblock_sigterm() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    Ok(signals.thread_unblock()?)
}

/// Ends a read that blocks. A read that is just about to begin must not block either (the signal may come between the check of
/// the flag and the call), so the handler also sets a time-out of a millisecond on the socket.
extern "C" fn on_signal(signal: libc::c_int) {
    if signal == libc::SIGTERM {
        STOPPING.store(true, SeqCst);
    }
    let fd = BLOCKED_ON.get();
    if fd >= 0 && STOPPING.load(SeqCst) {
        let errno = Errno::last_raw();
        // SAFETY: the descriptor is open as long as it stands in BLOCKED_ON.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = setsockopt(&fd, sockopt::ReceiveTimeout, &timeval(Duration::from_millis(1)));
        Errno::set_raw(errno);
    }
}

/// A socket whose blocking reads end at a time-out, and at SIGTERM.
struct Interruptible {
    stream: TcpStream,
    /// The time-out that is set on the socket.
    timeout: Duration,
    /// The connection knows that the server stops.
    is_stopped: bool,
}

impl Interruptible {
    fn new(stream: TcpStream, timeout: Duration) -> Interruptible {
        BLOCKED_ON.set(stream.as_raw_fd());
        Interruptible { stream, timeout, is_stopped: false }
    }

    /// Tells the connection that the server stops, if SIGTERM has come.
    fn stop_after_sigterm<H: Handler>(&mut self, conn: &mut Conn<H>, now: Instant) {
        if STOPPING.load(SeqCst) && !std::mem::replace(&mut self.is_stopped, true) {
            stop_connection(conn, &self.stream, now);
        }
    }

    /// Sets the read time-out, unless the one that is set is near enough: most reads need no system call here.
    fn set_read_timeout(&mut self, time_left: Duration) -> io::Result<()> {
        if self.timeout.abs_diff(time_left) > Duration::from_millis(20) || self.is_stopped {
            setsockopt(&self.stream, sockopt::ReceiveTimeout, &timeval(time_left))?;
            self.timeout = time_left;
        }
        if STOPPING.load(SeqCst) && !self.is_stopped {
            return Err(ErrorKind::Interrupted.into()); // this time-out may have replaced the handler's
        }
        Ok(())
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        BLOCKED_ON.set(-1); // before the descriptor is closed
    }
}

/// At least a millisecond, since zero would mean forever: socket(7), SO_RCVTIMEO.
fn timeval(time: Duration) -> TimeVal {
    let time = time.clamp(Duration::from_millis(1), Duration::from_secs(1 << 20));
    TimeVal::new(time.as_secs() as i64, time.subsec_micros().into())
}
