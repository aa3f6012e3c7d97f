//! Cuts a thread's window into slices.
//!
//! At the end of a slice the recorder gets the next empty latency histogram, and the difference of the counts is taken.
//! So a request costs one comparison, a slice costs no copy, and the slices add up to the window by construction. All
//! histograms are made before the load begins.

use super::clock::Nanos;
use super::recorder::{Recorder, histogram};
use hdrhistogram::Histogram;
use results::slices::SLICES;
use results::{OutcomeClass, OutcomeCounts};
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A window from 1000 to 3000, so a slice has 100. Something comes at each of `times`, with a latency as long.
    fn sliced(times: &[Nanos], late: &Recorder) -> (Recorder, Vec<ThreadSlice>) {
        let (mut slicer, mut recorder) = (Slicer::default(), Recorder { answers: 7, ..Recorder::default() });
        slicer.advance(999, &mut recorder);
        recorder.begin_window(0..Nanos::MAX, 0);
        slicer.begin(1_000..3_000, &recorder);
        for &now in times {
            slicer.advance(now, &mut recorder);
            recorder.bytes += 10;
            recorder.started += 1;
            recorder.answered(200, now, now, false);
        }
        slicer.advance(*times.last().unwrap(), &mut recorder);
        let slices = slicer.finish(&mut recorder, late);
        (recorder, slices)
    }

    #[test]
    fn an_answer_belongs_to_the_slice_in_which_it_came() {
        let (recorder, slices) =
            sliced(&[1_000, 1_099, 1_100, 1_350, 2_899, 2_900, 3_000, 3_005], &Recorder::default());
        let answers: Vec<u64> = slices.iter().map(|slice| slice.answers).collect();
        let mut expected = vec![0; SLICES];
        (expected[0], expected[1], expected[3], expected[18], expected[19]) = (2, 1, 1, 1, 3);
        assert_eq!(answers, expected);
        for slice in &slices {
            let counts = (slice.outcomes[OutcomeClass::Ok], slice.latency.len(), slice.bytes / 10);
            assert_eq!(counts, (slice.answers, slice.answers, slice.answers));
        }
        assert_eq!((recorder.latency.len(), recorder.latency.max()), (8, 3_005));
    }

    #[test]
    fn the_slices_add_up_bucket_by_bucket_and_the_last_one_has_what_came_late() {
        let mut late = Recorder { due: 0..3_000, ..Recorder::default() };
        late.answered(200, 2_999, 50_000, false);
        late.answered(200, 3_000, 60_000, false);
        late.failed(OutcomeClass::ReadTimeout, 2_999);
        late.bytes = 1_000;
        let times: Vec<Nanos> = (0..1_999).map(|n| 1_000 + n).collect();
        let (recorder, slices) = sliced(&times, &late);
        let (mut outcomes, mut bytes, mut latency) = (OutcomeCounts::default(), 0, histogram());
        for slice in &slices {
            outcomes.add(&slice.outcomes);
            bytes += slice.bytes;
            latency += &slice.latency;
        }
        assert_eq!((outcomes, bytes), (recorder.outcomes, recorder.bytes));
        assert_eq!((outcomes[OutcomeClass::Ok], outcomes[OutcomeClass::ReadTimeout], bytes), (2_000, 1, 19_990));
        assert_eq!(latency, recorder.latency);
        assert_eq!((slices[SLICES - 1].latency.len(), slices[SLICES - 1].answers), (100, 99));
    }

    #[test]
    fn an_interrupted_window_has_fewer_slices() {
        let (recorder, slices) = sliced(&[1_050, 1_250], &Recorder::default());
        assert_eq!((slices.len(), slices[2].answers, recorder.latency.len()), (3, 1, 2));
    }
}
