//! How long the lab waits for a server that starts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The end of a wait: a point in time, or earlier, when the lab shall end.
pub struct Limit {
    until: Instant,
    stop: &'static AtomicBool,
}

impl Limit {
    /// A limit that begins now. `stop` is set when the lab shall end.
    pub fn new(time: Duration, stop: &'static AtomicBool) -> Limit {
        Limit { until: Instant::now() + time, stop }
    }

    /// What says that the lab shall end.
    pub fn stop(&self) -> &'static AtomicBool {
        self.stop
    }

    /// Whether the lab shall end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// What is left of it.
    ///
    /// # Errors
    /// The time is over, or the lab shall end.
    pub fn left(&self) -> io::Result<Duration> {
        if self.is_stopped() {
            // Not of the kind `Interrupted`, after which readers try again.
            return Err(io::Error::other("interrupted"));
        }
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}
