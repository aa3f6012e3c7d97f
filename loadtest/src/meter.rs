//! What one client thread counts: request ends, latencies and connects of the measured window.

use crate::class::{Class, Counts};
use crate::live::Latencies;
use hdrhistogram::Histogram;
use std::io;

/// A point in time in nanoseconds since the start of the trial. The engine takes it from the clock; tests make it up.
pub type Nanos = u64;

/// The longest latency that is told apart, in nanoseconds: one hour. Longer ones count as this long.
pub const LONGEST: Nanos = 3_600_000_000_000;

/// An empty latency histogram in nanoseconds: 1 ns to one hour, three significant digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds")
}

/// Counts of one client thread.
///
/// A window's requests are those in flight when it begins, and those started in it; each ends in one class, the ones in
/// flight at the end as [`Class::AbortedAtEnd`]. Leaving out the requests that were in flight at the beginning would
/// count slow requests too seldom.
#[derive(Debug)]
pub struct Meter {
    /// Requests that belong to the window.
    pub started: u64,
    /// How they ended.
    pub ends: Counts,
    /// Nanoseconds from a request's first byte sent (open loop: from when it was due) to its answer's last byte received,
    /// of requests that ended `ok`.
    pub latency: Histogram<u64>,
    /// The same from the first byte sent. Open loop only.
    pub service: Histogram<u64>,
    /// Nanoseconds that requests were sent late although a connection was free. Open loop only.
    pub lag: Histogram<u64>,
    /// The same in coarse buckets, which are cheap to tell while the load is on.
    pub told: Latencies,
    /// Nanoseconds from `connect` to an established connection.
    pub connect: Histogram<u64>,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// Connections on which the server was asked to close and did not.
    pub close_ignored: u64,
    /// Connection attempts that this machine, not the target, made fail (no port, no descriptor).
    pub local_failures: u64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            started: 0,
            ends: Counts::default(),
            latency: histogram(),
            service: histogram(),
            lag: histogram(),
            told: Latencies::default(),
            connect: histogram(),
            bytes: 0,
            close_ignored: 0,
            local_failures: 0,
        }
    }
}

impl Meter {
    /// Forgets everything and starts a window with `in_flight` requests already begun.
    pub fn begin_window(&mut self, in_flight: u64) {
        self.latency.reset();
        self.service.reset();
        self.lag.reset();
        self.told = Latencies::default();
        self.connect.reset();
        self.started = in_flight;
        self.ends = Counts::default();
        self.bytes = 0;
        self.close_ignored = 0;
        self.local_failures = 0;
    }

    /// A request ended with a complete answer after `nanos`.
    #[inline]
    pub fn answered(&mut self, status: u16, nanos: Nanos) {
        if (200..400).contains(&status) {
            self.ends[Class::Ok] += 1;
            self.latency.saturating_record(nanos);
            self.told.record(nanos);
        } else {
            self.ends[Class::Status] += 1;
        }
    }

    /// In an open loop, beside [`Meter::answered`]: the answer came `nanos` after the request was sent.
    pub fn served(&mut self, status: u16, nanos: Nanos) {
        if (200..400).contains(&status) {
            self.service.saturating_record(nanos);
        }
    }

    /// A request was due and not sent for too long.
    pub fn shed(&mut self) {
        self.started += 1;
        self.ends[Class::Shed] += 1;
    }

    /// At the end of a window: whether each request ended once.
    ///
    /// # Errors
    /// It did not, so that the figures mean nothing.
    pub fn check(&self) -> io::Result<()> {
        let (started, ended) = (self.started, self.ends.total());
        if started == ended {
            return Ok(());
        }
        Err(io::Error::other(format!("the load generator lost count: {started} requests started, {ended} ended")))
    }

    /// A connection was established after `nanos`.
    pub fn connected(&mut self, nanos: Nanos) {
        self.connect.saturating_record(nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_grow_with_the_samples() {
        let mut meter = Meter::default();
        let size =
            |meter: &Meter| [&meter.latency, &meter.service, &meter.lag, &meter.connect].map(|h| h.distinct_values());
        let empty = size(&meter);
        for nanos in (0..1_000_000).map(|n: u64| n * n * 7).chain([u64::MAX]) {
            meter.answered(200, nanos);
            meter.served(200, nanos);
            meter.lag.saturating_record(nanos);
            meter.connected(nanos);
        }
        assert_eq!(size(&meter), empty);
        assert_eq!(meter.latency.len(), 1_000_001);
    }
}
