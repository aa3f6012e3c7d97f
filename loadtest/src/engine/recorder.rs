//! Records what one client thread measures in the window: request outcomes, latencies and connect times.

use super::clock::Nanos;
use super::expected::Mismatch;
use super::live::{CoarseHistogram, LONGEST};
use hdrhistogram::Histogram;
use results::{OutcomeClass, OutcomeCounts};
use std::io;

/// An empty latency histogram in nanoseconds: 1 ns to one hour, three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds")
}

/// The counts and histograms of one client thread.
///
/// The requests of a window are those in flight when it begins, and those started in it. Each has one outcome; requests
/// that are in flight at the window's end have the outcome [`OutcomeClass::AbortedAtEnd`]. If the requests in flight at
/// the beginning were left out, slow requests would be counted too seldom.
#[derive(Debug)]
pub struct Recorder {
    /// Requests that belong to the window.
    pub started: u64,
    /// The outcomes of these requests.
    pub outcomes: OutcomeCounts,
    /// Latency of requests with the outcome `ok`, in nanoseconds: from the first byte sent (in an open loop: from when
    /// the request was due) to the last byte of the answer received.
    pub latency: Histogram<u64>,
    /// Service time of these requests, in nanoseconds: always from the first byte sent. Open loop only.
    pub service_time: Histogram<u64>,
    /// Schedule lag in nanoseconds: how late a request was sent although a connection was free. Open loop only.
    pub schedule_lag: Histogram<u64>,
    /// The latencies in coarse buckets, which are cheap to publish during the load.
    pub live_latency: CoarseHistogram,
    /// Connect time in nanoseconds: from `connect` to an established connection.
    pub connect: Histogram<u64>,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// Connections that the server left open although the client had asked it to close them.
    pub close_ignored: u64,
    /// Connection attempts that failed because of this machine, not the target (no port, no descriptor).
    pub local_failures: u64,
    /// Answers with a status of 3xx: how many of each, from 300 on.
    pub redirections: [u64; 100],
    /// Answers whose content was compared with the expected one.
    pub contents_checked: u64,
    /// How the first answer with the outcome `content` differed from the expected one.
    pub first_mismatch: Option<Mismatch>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            started: 0,
            outcomes: OutcomeCounts::default(),
            latency: histogram(),
            service_time: histogram(),
            schedule_lag: histogram(),
            live_latency: CoarseHistogram::default(),
            connect: histogram(),
            bytes: 0,
            close_ignored: 0,
            local_failures: 0,
            redirections: [0; 100],
            contents_checked: 0,
            first_mismatch: None,
        }
    }
}

impl Recorder {
    /// Clears everything and starts a window in which `in_flight` requests are already in flight.
    pub fn begin_window(&mut self, in_flight: u64) {
        // Written out, so that the compiler names a field that is forgotten here. The histograms keep their memory.
        let Recorder {
            started,
            outcomes,
            latency,
            service_time,
            schedule_lag,
            live_latency,
            connect,
            bytes,
            close_ignored,
            local_failures,
            redirections,
            contents_checked,
            first_mismatch,
        } = self;
        *started = in_flight;
        *outcomes = OutcomeCounts::default();
        [latency, service_time, schedule_lag, connect].into_iter().for_each(Histogram::reset);
        *live_latency = CoarseHistogram::default();
        (*bytes, *close_ignored, *local_failures) = (0, 0, 0);
        redirections.fill(0);
        (*contents_checked, *first_mismatch) = (0, None);
    }

    /// A request ended with a complete answer after `nanos`.
    #[inline]
    pub fn answered(&mut self, status: u16, nanos: Nanos) {
        if (200..400).contains(&status) {
            self.outcomes[OutcomeClass::Ok] += 1;
            self.latency.saturating_record(nanos);
            self.live_latency.record(nanos);
            if status >= 300 {
                self.redirections[usize::from(status - 300)] += 1;
            }
        } else {
            self.outcomes[OutcomeClass::Status] += 1;
        }
    }

    /// A request ended with a complete answer whose length or content was not the expected one.
    pub fn differed(&mut self, mismatch: Mismatch) {
        self.outcomes[OutcomeClass::Content] += 1;
        self.first_mismatch.get_or_insert(mismatch);
    }

    /// In an open loop, called besides [`Recorder::answered`]: the answer came `nanos` after the request was sent.
    pub fn served(&mut self, status: u16, nanos: Nanos) {
        if (200..400).contains(&status) {
            self.service_time.saturating_record(nanos);
        }
    }

    /// This number of requests was due, but no connection became free for them in time.
    pub fn shed(&mut self, count: u64) {
        self.started += count;
        self.outcomes[OutcomeClass::Shed] += count;
    }

    /// Adds what another thread recorded.
    pub fn add(&mut self, other: &Recorder) {
        // Written out, so that the compiler names a field that is forgotten here.
        let Recorder {
            started,
            outcomes,
            latency,
            service_time,
            schedule_lag,
            live_latency: _, // only for what is shown while the load is on
            connect,
            bytes,
            close_ignored,
            local_failures,
            redirections,
            contents_checked,
            first_mismatch,
        } = other;
        self.started += started;
        self.outcomes.add(outcomes);
        for (mine, theirs) in [
            (&mut self.latency, latency),
            (&mut self.service_time, service_time),
            (&mut self.schedule_lag, schedule_lag),
            (&mut self.connect, connect),
        ] {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.bytes += bytes;
        self.close_ignored += close_ignored;
        self.local_failures += local_failures;
        self.redirections.iter_mut().zip(redirections).for_each(|(mine, theirs)| *mine += theirs);
        self.contents_checked += contents_checked;
        self.first_mismatch = self.first_mismatch.or(*first_mismatch);
    }

    /// Checks at the end of a window that each request has exactly one outcome.
    ///
    /// # Errors
    /// The counts differ, so the figures are wrong.
    pub fn check(&self) -> io::Result<()> {
        let (started, ended) = (self.started, self.outcomes.total());
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
    fn the_histograms_do_not_grow_with_the_number_of_samples() {
        let mut recorder = Recorder::default();
        let size = |recorder: &Recorder| {
            [&recorder.latency, &recorder.service_time, &recorder.schedule_lag, &recorder.connect]
                .map(|h| h.distinct_values())
        };
        let empty = size(&recorder);
        for nanos in (0..1_000_000).map(|n: u64| n * n * 7).chain([u64::MAX]) {
            recorder.answered(200, nanos);
            recorder.served(200, nanos);
            recorder.schedule_lag.saturating_record(nanos);
            recorder.connected(nanos);
        }
        assert_eq!(size(&recorder), empty);
        assert_eq!(recorder.latency.len(), 1_000_001);
    }
}
