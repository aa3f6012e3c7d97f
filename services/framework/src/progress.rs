use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use app::Settings;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A time that nobody has asked for yet.
const UNKNOWN: u64 = u64::MAX;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// A request.
    Idle,
    /// The rest of a head.
    Head,
    /// Us.
    Busy,
}

/// How far a connection is, which hyper does not tell: it is pieced together from what passes its socket, and from
/// when it calls the service and drops the reply. All in one task, so nothing here needs an order.
pub struct Progress {
    begun: Instant,
    phase: AtomicU8,
    /// Since when, in microseconds after `begun`, or [`UNKNOWN`].
    since: AtomicU64,
    /// Since when the peer takes nothing, in the same; 0 if it does.
    stalled: AtomicU64,
    stopping: AtomicBool,
    refused: AtomicBool,
}

impl Progress {
    /// Of a connection that was just accepted.
    pub fn new() -> Progress {
        Progress {
            begun: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase, now: Instant) {
        self.phase.store(phase as u8, Relaxed);
        self.since.store(self.micros(now), Relaxed);
    }

    /// Is it in that phase?
    pub fn is(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) == phase as u8
    }

    /// The server stops: every reply from now on is its connection's last.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Does the server stop?
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// A request was refused by us, and the peer may still be sending it.
    pub fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    /// Was a request refused by us?
    pub fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// Does the peer not take what is written?
    pub fn is_stalled(&self) -> bool {
        self.stalled.load(Relaxed) != 0
    }

    /// Until when the peer has to do something, if it has.
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
            // Its client may have sent a request before it could know that we stop (RFC 9112, 9.6).
            let idle = if self.is_stopping() { limits.grace_time.min(limits.idle_time) } else { limits.idle_time };
            Some(since + idle)
        } else {
            None
        }
    }

    fn received(&self, bytes: &[u8]) {
        // Line ends before a request begin none, or a peer could stay forever by sending one now and then.
        if self.is(Phase::Idle) && bytes.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            self.phase.store(Phase::Head as u8, Relaxed);
            self.since.store(UNKNOWN, Relaxed); // most heads are whole at once, and need no clock
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

/// A socket that notes its progress.
pub struct Watched {
    /// The socket.
    pub socket: TcpStream,
    /// What is noted.
    pub progress: Arc<Progress>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.progress.is_stopping() {
            supervisor::hear(&self.socket);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.progress.received(&buffer.filled()[before..]);
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
