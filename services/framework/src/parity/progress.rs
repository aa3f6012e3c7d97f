//! How far a connection has got, which hyper does not tell.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use app::{Framing, Limits, Refusal, Settings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{Wire, is_usual_head};
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
    /// The status of a request that hyper takes, or of content that it does not get to see; 0 if there is none.
    refused_request: AtomicU16,
    /// [`Wire::is_fresh`], so that a usual request without content takes no lock.
    is_fresh: AtomicBool,
    /// [`Wire::has_bare_lf`].
    has_bare_lf: AtomicBool,
    /// For so many requests without content has hyper called the service since the last read between requests.
    heads: AtomicUsize,
    /// The bytes that pass the socket. (The lock is never contended.)
    wire: Mutex<Wire>,
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
            refused_request: AtomicU16::new(0),
            is_fresh: AtomicBool::new(true),
            has_bare_lf: AtomicBool::new(false),
            heads: AtomicUsize::new(0),
            wire: Mutex::new(Wire::new()),
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

    /// The status for a bare LF, or for content that the other models refuse.
    pub fn refused_request(&self) -> Option<u16> {
        Some(self.refused_request.load(Relaxed)).filter(|&status| status != 0)
    }

    /// hyper has called the service for a request without content.
    pub fn has_no_content(&self) {
        if self.is_fresh.load(Relaxed) {
            return; // its head was not kept
        }
        if self.has_bare_lf.load(Relaxed)
            && let Err(Refusal(status)) = self.wire().look_for_bare_lf(self.take_heads())
        {
            self.refused_request.store(status, Relaxed);
        }
        self.heads.store(self.heads.load(Relaxed) + 1, Relaxed);
    }

    /// hyper has called the service for a request with content in this framing.
    pub fn has_content(&self, framing: Framing, limits: &Limits) {
        let mut wire = self.wire();
        if let Err(Refusal(status)) = wire.content_begins(self.take_heads(), framing, limits) {
            self.refused_request.store(status, Relaxed);
        }
        self.is_fresh.store(wire.is_fresh(), Relaxed);
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_heads(&self) -> usize {
        let heads = self.heads.load(Relaxed);
        self.heads.store(0, Relaxed);
        heads
    }

    /// Looks at bytes that have just come. The error makes hyper end, or its reader of content.
    fn look(&self, bytes: &[u8], limits: &Limits) -> io::Result<()> {
        if self.is_fresh.load(Relaxed) && !self.is(Phase::Busy) && is_usual_head(bytes) {
            return Ok(());
        }
        let mut wire = self.wire();
        let refused = if wire.is_in_content() { &self.refused_request } else { &self.refused_line };
        if !self.is(Phase::Busy) && !wire.is_in_content() {
            wire.forget(self.take_heads());
        }
        let received = wire.received(bytes, limits);
        self.is_fresh.store(wire.is_fresh(), Relaxed);
        self.has_bare_lf.store(wire.has_bare_lf(), Relaxed);
        received.map_err(|Refusal(status)| {
            refused.store(status, Relaxed);
            io::ErrorKind::InvalidData.into()
        })
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
    /// The limits on its bytes.
    pub limits: &'static Limits,
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
            self.progress.look(bytes, self.limits)?;
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
