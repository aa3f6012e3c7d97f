//! How far a connection has got, which hyper does not tell.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use app::{Limits, Settings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line::Lines;
use crate::socket::Socket;

/// A time that is read from the clock when it is needed.
const UNKNOWN: u64 = u64::MAX;

/// Time for a last look at an idle connection when the server stops, as in `http1::Conn`.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The server's reply.
    Busy,
}

/// How far a connection has got. It is inferred from the bytes that pass its socket, and from the moments at which hyper calls
/// the service and drops the reply. All of that happens in one task, so no memory order is needed.
pub struct Progress {
    begun: Instant,
    phase: AtomicU8,
    /// When the phase began, in microseconds after `begun`, or [`UNKNOWN`].
    since: AtomicU64,
    /// Since when the peer takes no bytes, in microseconds after `begun`; 0 if it takes them.
    stalled: AtomicU64,
    /// When the stop began, in microseconds after `begun`; 0 if it did not.
    stopping: AtomicU64,
    refused: AtomicBool,
    /// The status of a request line that hyper does not get to see; 0 if there is none.
    refused_line: AtomicU16,
    /// Where the next request line begins is known: all bytes so far were heads, and the last read ended with one.
    at_boundary: AtomicBool,
    /// The TTL filter of a stopping listener is cleared.
    ttl_cleared: AtomicBool,
}

impl Progress {
    /// The progress of a connection that was just accepted.
    pub fn new() -> Progress {
        Progress {
            begun: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            stopping: AtomicU64::new(0),
            refused: AtomicBool::new(false),
            refused_line: AtomicU16::new(0),
            at_boundary: AtomicBool::new(true),
            ttl_cleared: AtomicBool::new(false),
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase, now: Instant) {
        self.phase.store(phase as u8, Relaxed);
        self.since.store(self.micros(now), Relaxed);
    }

    /// Is the connection in that phase?
    pub fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    /// The server stops: every reply from now on is its connection's last.
    pub fn stop(&self) {
        if !self.is_stopping() {
            self.stopping.store(self.micros(Instant::now()).max(1), Relaxed);
        }
    }

    /// Does the server stop?
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed) != 0
    }

    /// The guard has refused a request, and the peer may still be sending it.
    pub fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    /// Has the guard refused a request?
    pub fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// The status for a request line that hyper did not get to see.
    pub fn refused_line(&self) -> Option<u16> {
        Some(self.refused_line.load(Relaxed)).filter(|&status| status != 0)
    }

    /// A request has content, so the bytes that pass the socket no longer tell where the next one begins.
    pub fn has_content(&self) {
        self.at_boundary.store(false, Relaxed);
    }

    /// Does the peer take no bytes?
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed) != 0
    }

    /// Until when the peer has to do something, if it has to.
    pub fn deadline(&self, settings: &Settings) -> Option<Instant> {
        let limits = &settings.limits;
        let at = |micros| self.begun + Duration::from_micros(micros);
        if self.is_stalled() {
            return Some(at(self.stalled.load(Relaxed)) + limits.write_time);
        }
        if self.since.load(Relaxed) == UNKNOWN {
            self.since.store(self.micros(Instant::now()), Relaxed);
        }
        let since = at(self.since.load(Relaxed));
        if self.is(Phase::Head) {
            Some(since + limits.head_time)
        } else if self.is(Phase::Idle) {
            // The client may have sent a request before it could know that the server stops (RFC 9112, 9.6).
            // At the least there is time for a last look: a request may be here that hyper has not read.
            let idle = since + limits.idle_time;
            match self.is_stopping() {
                true => Some((since + limits.grace_time).max(at(self.stopping.load(Relaxed)) + LAST_LOOK).min(idle)),
                false => Some(idle),
            }
        } else {
            None
        }
    }

    fn received(&self, bytes: &[u8]) {
        // An empty line does not begin a request, or a peer could stay for ever by sending one now and then.
        if self.is(Phase::Idle) && bytes.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            self.phase.store(Phase::Head as u8, Relaxed);
            self.since.store(UNKNOWN, Relaxed); // most heads arrive whole, and need no clock
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if written.is_ready() {
            self.stalled.store(0, Relaxed);
        } else if !self.is_stalled() {
            self.stalled.store(self.micros(Instant::now()).max(1), Relaxed);
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_micros() as u64
    }
}

/// A socket that notes the progress of its connection.
pub struct Watched {
    /// The socket.
    pub socket: Socket,
    /// Its connection's progress.
    pub progress: Arc<Progress>,
    /// The request lines among its bytes.
    pub lines: Lines,
    /// The limits on them.
    pub limits: &'static Limits,
}

impl Watched {
    /// Looks at bytes that have just come. The error makes hyper end.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Watched { progress, lines, limits, .. } = self;
        if progress.is(Phase::Busy) {
            progress.has_content(); // or a pipelined request, which hyper reads later
        }
        if !progress.at_boundary.load(Relaxed) {
            return Ok(());
        }
        if let Some(status) = lines.look(bytes, limits) {
            progress.refused_line.store(status, Relaxed);
            return Err(io::ErrorKind::InvalidData.into());
        }
        if bytes.ends_with(b"\r\n\r\n") {
            lines.next();
        }
        Ok(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.progress.is_stopping() && !self.progress.ttl_cleared.swap(true, Relaxed) {
            driver::clear_min_ttl(self.socket.stream());
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        let bytes = &buffer.filled()[before..];
        if !bytes.is_empty() {
            self.look(bytes)?;
            self.progress.received(bytes);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.progress.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.progress.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
