//! What a trial measured: of each thread, and over all threads.

use super::expected::Mismatches;
use super::recorder::{Recorder, histogram};
use super::slicer::ThreadSlice;
use results::histogram::encode;
use results::slices::SLICES;
use results::units::nine_digits;
use results::{BackgroundResults, OutcomeCounts, Slice};
use std::time::Duration;

/// What one client thread measured.
#[derive(Debug)]
pub struct ThreadMeasurement {
    pub recorder: Recorder,
    /// Length of the window in this thread; shorter than planned if it had no CPU when the window began, and zero if it had
    /// none until its end.
    pub window: Duration,
    /// Whether the window was cut short.
    pub interrupted: bool,
    /// CPU time of this thread in the window, without fruitless polling.
    pub cpu: Duration,
    /// Time of fruitless polls in the window: the next request was due too soon for a sleep.
    pub fruitless_polling: Duration,
    /// Time in the planned window for which this thread was ready to run and had no CPU; `None` if the kernel does not
    /// record it.
    pub waited: Option<Duration>,
    /// Connections that were established when the window ended. Those that wait in the server's backlog are among them,
    /// since the kernel establishes them, too; `served` shows which ones the server has answered.
    pub established: usize,
    /// Connections that had got an answer since the load began, when the window ended.
    pub answered_once: usize,
    /// Complete answers that came in the window, whichever requests they belong to.
    pub answers: u64,
    /// Answers that each connection got in the window.
    pub served: Vec<u32>,
    /// The longest time for which a request that was in flight when the window ended had been waiting for its answer.
    pub longest_wait: Duration,
    /// The window in slices, which add up to the recorder's counts and latencies.
    pub slices: Vec<ThreadSlice>,
    /// Requests that were due in the window and still waited for a connection at its end. They were sent or given up after
    /// it.
    pub unsent: u64,
}

/// What a trial measured.
#[derive(Debug)]
pub struct Measurement {
    /// What each client thread measured; there is at least one.
    pub threads: Vec<ThreadMeasurement>,
    /// Requests a second that were due in the window. Open loop only.
    pub offered: Option<f64>,
    /// The counts of the background connections.
    pub background: BackgroundResults,
    /// Idle connections and slow readers that were established at the end of the window and not answered yet.
    pub background_unanswered: u64,
    /// How long the warm-up was: at least as long as planned, and longer where the target was not warm by then.
    pub warmup: Duration,
    /// The time from the last answer to the end of the load, which is some time after the window's. It is known to about
    /// 10 ms, and shorter than it was where an answer came while the target's cost was read.
    pub silence: Duration,
    /// The window in slices, summed over the threads. In an interrupted trial, slices are missing at the end.
    pub slices: Vec<Slice>,
    /// How much the rate of answers changed from the first to the last quarter of the window, as a share of the first, if
    /// that was more than chance and the schedule did not ask for it.
    pub trend: Option<f64>,
}

impl Measurement {
    /// Whether the answers that differed from the expected one differed from one another, too.
    pub fn mismatches_vary(&self) -> bool {
        let mut all = Mismatches::default();
        self.threads.iter().for_each(|thread| all.add(&thread.recorder.mismatches));
        all.vary()
    }
}

/// The length of the window, on average over the threads.
pub fn mean_window(threads: &[ThreadMeasurement]) -> Duration {
    threads.iter().map(|thread| thread.window).sum::<Duration>() / threads.len() as u32
}

/// Complete answers that came in each slice of the window, over all threads, whichever requests they belong to.
pub fn answers_by_slice(threads: &[ThreadMeasurement]) -> [u64; SLICES] {
    let of_threads = |slice: usize| threads.iter().filter_map(move |thread| Some(thread.slices.get(slice)?.answers));
    std::array::from_fn(|slice| of_threads(slice).sum())
}

/// The sums over the threads. The window has the length `seconds` on average. A window that was interrupted has slices of
/// the `planned` length, and slices are missing at its end.
pub fn slices(threads: &[ThreadMeasurement], planned: f64, seconds: f64) -> Vec<Slice> {
    let count = threads.iter().map(|thread| thread.slices.len()).max().unwrap_or_default();
    let whole = if threads.iter().any(|thread| thread.interrupted) { planned } else { seconds };
    let begin = |slice: usize| whole * slice as f64 / SLICES as f64;
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
