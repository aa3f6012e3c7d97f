//! Cuts a thread's window into slices.
//!
//! At the end of a slice the recorder gets the next empty latency histogram, and the difference of the counts is taken.
//! So a request costs one comparison, a slice costs no copy, and the slices add up to the window by construction. All
//! histograms are made before the load begins.

use super::clock::Nanos;
use super::recorder::{Recorder, encode, histogram};
use super::worker::ThreadMeasurement;
use hdrhistogram::Histogram;
use results::slices::SLICES;
use results::units::nine_digits;
use results::{OutcomeClass, OutcomeCounts, Slice};
use std::ops::Range;

/// What one thread recorded in a slice.
#[derive(Clone, Debug)]
pub struct ThreadSlice {
    /// The outcomes of the requests that ended in it.
    pub outcomes: OutcomeCounts,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// Histogram<u64> in nanoseconds.
    pub latency: Histogram<u64>,
    /// Complete answers that came in it, also to requests that do not belong to the window.
    pub answers: u64,
}

/// The slices of one thread.
pub struct Slicer {
    window: Range<Nanos>,
    /// When the present slice ends. Never: there is no window, or this is its last slice.
    due: Nanos,
    /// Empty histograms for the slices after the first one.
    empty: Vec<Histogram<u64>>,
    slices: Vec<ThreadSlice>,
    /// The recorder's counts at the last cut.
    outcomes: OutcomeCounts,
    bytes: u64,
    answers: u64,
}

impl Default for Slicer {
    fn default() -> Slicer {
        Slicer {
            window: 0..0,
            due: Nanos::MAX,
            empty: std::iter::repeat_with(histogram).take(SLICES - 1).collect(),
            slices: Vec::with_capacity(SLICES),
            outcomes: OutcomeCounts::default(),
            bytes: 0,
            answers: 0,
        }
    }
}

impl Slicer {
    /// A window begins, for which `recorder` was made ready.
    pub fn begin(&mut self, window: Range<Nanos>, recorder: &Recorder) {
        (self.window, self.answers) = (window, recorder.answers);
        self.due = self.end_of(0);
    }

    /// When slice `n` ends.
    fn end_of(&self, n: usize) -> Nanos {
        let length = self.window.end.saturating_sub(self.window.start);
        self.window.start + (u128::from(length) * (n as u128 + 1) / SLICES as u128) as Nanos
    }

    /// Called before something that came at `now` is recorded.
    #[inline]
    pub fn advance(&mut self, now: Nanos, recorder: &mut Recorder) {
        if now >= self.due {
            self.cut_until(now, recorder);
        }
    }

    #[cold]
    fn cut_until(&mut self, now: Nanos, recorder: &mut Recorder) {
        while now >= self.due {
            let Some(empty) = self.empty.pop() else { return };
            self.cut(empty, recorder);
            self.due = if self.empty.is_empty() { Nanos::MAX } else { self.end_of(self.slices.len()) };
        }
    }

    fn cut(&mut self, empty: Histogram<u64>, recorder: &mut Recorder) {
        let mut outcomes = OutcomeCounts::default();
        for class in OutcomeClass::ALL {
            outcomes[class] = recorder.outcomes[class] - self.outcomes[class];
        }
        self.slices.push(ThreadSlice {
            outcomes,
            bytes: recorder.bytes - self.bytes,
            latency: std::mem::replace(&mut recorder.latency, empty),
            answers: recorder.answers - self.answers,
        });
        (self.outcomes, self.bytes, self.answers) = (recorder.outcomes, recorder.bytes, recorder.answers);
    }

    /// The window is over. `recorder` has the counts of the whole window and the latencies of the last slice; it gets
    /// those of all slices. `late` has what became known after the window, which belongs to the last slice.
    pub fn finish(mut self, recorder: &mut Recorder, late: &Recorder) -> Vec<ThreadSlice> {
        recorder.add_requests(late);
        self.cut(histogram(), recorder);
        for slice in &self.slices {
            recorder.latency += &slice.latency;
        }
        self.slices
    }
}

/// The sums over the threads. The window has the length `seconds`; in an interrupted one, slices are missing at the end.
pub fn slices(threads: &[ThreadMeasurement], planned: f64, seconds: f64) -> Vec<Slice> {
    let count = threads.iter().map(|thread| thread.slices.len()).max().unwrap_or_default();
    let begin = |slice: usize| planned * slice as f64 / SLICES as f64;
    let sum = |slice: usize| {
        let (mut outcomes, mut bytes, mut latency) = (OutcomeCounts::default(), 0, histogram());
        for part in threads.iter().filter_map(|thread| thread.slices.get(slice)) {
            outcomes.add(&part.outcomes);
            bytes += part.bytes;
            latency += &part.latency;
        }
        Slice {
            slice,
            from_seconds: nine_digits(begin(slice)),
            to_seconds: nine_digits(if slice + 1 == count { seconds } else { begin(slice + 1) }),
            outcomes,
            bytes,
            latency_histogram: encode(&latency),
        }
    };
    (0..count).map(sum).collect()
}
