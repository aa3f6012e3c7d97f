//! Records what one client thread measures in the window: request outcomes, latencies and connect times.

use super::clock::Nanos;
use super::expected::{Mismatch, Mismatches, WrongAnswer};
use super::live::{CoarseHistogram, LONGEST};
use hdrhistogram::Histogram;
use results::{OutcomeClass, OutcomeCounts};
use std::io;
use std::ops::Range;

/// An empty latency histogram in nanoseconds: 1 ns to one hour, three significant digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds")
}

/// The counts and histograms of one client thread.
///
/// The requests of a closed loop's window are those in flight when it begins, and those started in it. Each has one
/// outcome; requests that are in flight at the window's end have the outcome [`OutcomeClass::AbortedAtEnd`]. If the
/// requests in flight at the beginning were left out, slow requests would be counted too seldom.
///
/// The requests of an open loop's window are those that were due in it. The outcome of each is waited for.
#[derive(Debug)]
pub struct Recorder {
    /// The requests of an open loop that are counted: those that were due at these times. In a closed loop, and in the
    /// warm-up, all are counted.
    pub due: Range<Nanos>,
    /// Complete answers since the load began, whichever requests they belong to.
    pub answers: u64,
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
    /// How the answers with the outcome `content` differed from the expected one.
    pub mismatches: Mismatches,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            due: 0..Nanos::MAX,
            answers: 0,
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
            mismatches: Mismatches::default(),
        }
    }
}

impl Recorder {
    /// Clears everything and starts a window to which the requests that were `due` at these times belong. `in_flight` of
    /// them are already in flight.
    pub fn begin_window(&mut self, due: Range<Nanos>, in_flight: u64) {
        self.due = due;
        // Written out, so that the compiler names a field that is forgotten here. The histograms keep their memory.
        let Recorder {
            due: _,
            answers: _,
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
            mismatches,
        } = self;
        *started = in_flight;
        *outcomes = OutcomeCounts::default();
        [latency, service_time, schedule_lag, connect].into_iter().for_each(Histogram::reset);
        *live_latency = CoarseHistogram::default();
        (*bytes, *close_ignored, *local_failures) = (0, 0, 0);
        redirections.fill(0);
        (*contents_checked, *mismatches) = (0, Mismatches::default());
    }

    /// A request of an open loop that was due at `intended` starts.
    #[inline]
    pub fn start(&mut self, intended: Nanos) {
        self.started += u64::from(self.due.contains(&intended));
    }

    /// A request that was due at `intended` ended with a complete answer after `nanos`; `content_checked` says whether its
    /// content was compared.
    #[inline]
    pub fn answered(&mut self, status: u16, intended: Nanos, nanos: Nanos, content_checked: bool) {
        self.answers += 1;
        if !self.due.contains(&intended) {
            return;
        }
        self.contents_checked += u64::from(content_checked);
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

    /// A request that was due at `intended` ended with a complete answer whose length or content was not the expected one.
    pub fn differed(&mut self, mismatch: Mismatch, answer: WrongAnswer, intended: Nanos, content_checked: bool) {
        self.answers += 1;
        if self.due.contains(&intended) {
            self.contents_checked += u64::from(content_checked);
            self.outcomes[OutcomeClass::Content] += 1;
            self.mismatches.note(mismatch, answer);
        }
    }

    /// In an open loop, called besides [`Recorder::answered`]: the answer came `nanos` after the request was sent.
    pub fn served(&mut self, status: u16, intended: Nanos, nanos: Nanos) {
        if (200..400).contains(&status) && self.due.contains(&intended) {
            self.service_time.saturating_record(nanos);
        }
    }

    /// A request that was due at `intended` failed.
    pub fn failed(&mut self, class: OutcomeClass, intended: Nanos) {
        self.outcomes[class] += u64::from(self.due.contains(&intended));
    }

    /// The request that was due at `intended` is sent so much later although a connection was free.
    pub fn lag(&mut self, intended: Nanos, lag: Nanos) {
        if self.due.contains(&intended) {
            self.schedule_lag.saturating_record(lag);
        }
    }

    /// Requests were due, the first one at `intended`, but no connection became free for them in time. They belong to the
    /// window either all or none.
    pub fn shed(&mut self, intended: Nanos, count: u64) {
        if self.due.contains(&intended) {
            self.started += count;
            self.outcomes[OutcomeClass::Shed] += count;
        }
    }

    /// Adds what another thread recorded.
    pub fn add(&mut self, other: &Recorder) {
        self.add_requests(other);
        self.connect += &other.connect;
        self.answers += other.answers;
        self.bytes += other.bytes;
        self.close_ignored += other.close_ignored;
        self.local_failures += other.local_failures;
    }

    /// Adds what another recorder has of requests, without what it counted by time.
    pub fn add_requests(&mut self, other: &Recorder) {
        // Written out, so that the compiler names a field that is forgotten here and in `add`.
        let Recorder {
            started,
            outcomes,
            latency,
            service_time,
            schedule_lag,
            redirections,
            contents_checked,
            mismatches,
            due: _,
            live_latency: _, // only for what is shown while the load is on
            connect: _,
            answers: _,
            bytes: _,
            close_ignored: _,
            local_failures: _,
        } = other;
        self.started += started;
        self.outcomes.add(outcomes);
        self.latency += latency;
        self.service_time += service_time;
        self.schedule_lag += schedule_lag;
        self.redirections.iter_mut().zip(redirections).for_each(|(mine, theirs)| *mine += theirs);
        self.contents_checked += contents_checked;
        self.mismatches.add(mismatches);
    }

    /// Requests that were started and have no outcome yet; negative if another recorder has counted the start.
    pub fn open(&self) -> i64 {
        self.started as i64 - self.outcomes.total() as i64
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
            recorder.answered(200, 0, nanos, false);
            recorder.served(200, 0, nanos);
            recorder.schedule_lag.saturating_record(nanos);
            recorder.connected(nanos);
        }
        assert_eq!(size(&recorder), empty);
        assert_eq!(recorder.latency.len(), 1_000_001);
    }
}
