//! Coordinates the threads of a trial: when the window begins and ends, and what each thread publishes while it runs.

use super::clock::Nanos;
use super::clock::TrialClock;
use super::live::{CoarseHistogram, SharedCoarseHistogram};
use super::recorder::Recorder;
use crate::stop::Stop;
use results::{OutcomeClass, OutcomeCounts};
use std::ops::Range;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread publishes its connections and latencies.
const LIVE_INTERVAL: Nanos = 100_000_000;

#[derive(Default)]
struct TrialState {
    /// When the load begins.
    load_begin: Option<Nanos>,
    /// The part of the load that is measured.
    window: Option<Range<Nanos>>,
    /// Threads whose window is over.
    past_window: usize,
    /// Threads that have measured all that belongs to their window.
    finished: usize,
}

/// Shared by the threads of a trial and the thread that started them.
pub struct Control<'a> {
    pub clock: TrialClock,
    stop: Stop<'a>,
    started: AtomicBool,
    released: AtomicBool,
    state: Mutex<TrialState>,
    changed: Condvar,
}

impl<'a> Control<'a> {
    pub fn new(stop: Stop<'a>) -> Control<'a> {
        Control {
            clock: TrialClock::start(),
            stop,
            started: AtomicBool::new(false),
            released: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Whether the run shall end.
    pub fn stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Whether a thread should stop to open connections ahead of the load.
    pub fn started_or_stopped(&self) -> bool {
        self.started.load(Relaxed) || self.stopped()
    }

    /// Begins the load at `load_begin`.
    pub fn start(&self, load_begin: Nanos) {
        self.change(|state| state.load_begin = Some(load_begin));
        self.started.store(true, Relaxed);
    }

    /// Called by a client thread: waits until the load begins, and returns when it does. `None` if the run is interrupted
    /// before.
    pub fn wait_for_start(&self) -> Option<Nanos> {
        let mut begin = None;
        self.wait(|state| {
            begin = state.load_begin;
            begin.is_some() || self.stopped()
        });
        begin.filter(|_| !self.stopped())
    }

    /// Decides which part of the load is measured.
    pub fn set_window(&self, window: Range<Nanos>) {
        self.change(|state| state.window = Some(window));
    }

    /// The part of the load that is measured, if that is decided.
    pub fn window(&self) -> Option<Range<Nanos>> {
        self.state().window.clone()
    }

    /// Called by a client thread whose window is over.
    pub fn leave_window(&self) {
        self.change(|state| state.past_window += 1);
    }

    /// The number of threads whose window is over.
    pub fn past_window(&self) -> usize {
        self.state().past_window
    }

    /// Called by a client thread that has measured all that belongs to its window.
    pub fn finish(&self) {
        self.change(|state| state.finished += 1);
    }

    /// The number of threads that have measured all that belongs to their window.
    pub fn finished(&self) -> usize {
        self.state().finished
    }

    /// Whether the threads may end the load and close their connections.
    pub fn is_released(&self) -> bool {
        self.released.load(Relaxed)
    }

    /// Called by a client thread: waits until it may close its connections.
    pub fn wait_for_release(&self) {
        self.wait(|_| self.is_released());
    }

    /// Lets the threads end the load and close their connections.
    pub fn release(&self) {
        self.released.store(true, Relaxed);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, TrialState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut TrialState)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait(&self, mut over: impl FnMut(&TrialState) -> bool) {
        let mut state = self.state();
        while !over(&state) {
            let waited = self.changed.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The counters that one client thread publishes. They have a cache line of their own, since the thread writes them
/// once per batch of events.
#[derive(Default)]
#[repr(align(128))]
pub struct LiveCounters {
    settled: AtomicUsize,
    answered_once: AtomicUsize,
    answered: AtomicU64,
    errors: AtomicU64,
    /// When connections and latencies are published next; 0 before the window begins.
    due: AtomicU64,
    in_window: AtomicBool,
    outcomes: [AtomicU64; OutcomeClass::ALL.len()],
    established: AtomicUsize,
    latencies: SharedCoarseHistogram,
}

impl LiveCounters {
    /// Publishes how many connections are established ahead of the load, or have failed at their first attempt.
    pub fn settled(&self, connections: usize) {
        self.settled.store(connections, Relaxed);
    }

    /// Publishes how many connections have got an answer since the load began.
    pub fn answered_once(&self, connections: usize) {
        self.answered_once.store(connections, Relaxed);
    }

    /// Called when the window begins: the recorder starts its counts anew.
    pub fn begin_window(&self) {
        self.errors.store(0, Relaxed);
        self.due.store(1, Relaxed);
    }

    /// Publishes the counts.
    #[inline]
    pub fn publish(&self, recorder: &Recorder) {
        self.publish_answers(recorder);
        self.errors.store(recorder.outcomes.errors(), Relaxed);
        for (class, count) in recorder.outcomes.iter() {
            self.outcomes[class as usize].store(count, Relaxed);
        }
    }

    /// Publishes the number of answers alone, after the window.
    #[inline]
    pub fn publish_answers(&self, recorder: &Recorder) {
        self.answered.store(recorder.answers, Relaxed);
    }

    /// Publishes what takes a little longer (connections and latencies), from time to time within the window.
    #[inline]
    pub fn publish_live(&self, now: Nanos, recorder: &Recorder, established: impl FnOnce() -> usize) {
        if (1..=now).contains(&self.due.load(Relaxed)) {
            self.due.store(now + LIVE_INTERVAL, Relaxed);
            self.latencies.set(&recorder.live_latency);
            self.established.store(established(), Relaxed);
            self.in_window.store(true, Release);
        }
    }
}

/// The sums over the threads that have published something within the window: outcomes, established connections,
/// latencies.
pub fn live_totals(threads: &[LiveCounters]) -> (OutcomeCounts, usize, CoarseHistogram) {
    let (mut outcomes, mut established, mut latencies) = (OutcomeCounts::default(), 0, CoarseHistogram::default());
    for thread in threads.iter().filter(|thread| thread.in_window.load(Acquire)) {
        for class in OutcomeClass::ALL {
            outcomes[class] += thread.outcomes[class as usize].load(Relaxed);
        }
        established += thread.established.load(Relaxed);
        thread.latencies.add_to(&mut latencies);
    }
    (outcomes, established, latencies)
}

/// Connections that are established ahead of the load or have failed, over all threads.
pub fn settled(threads: &[LiveCounters]) -> usize {
    threads.iter().map(|thread| thread.settled.load(Relaxed)).sum()
}

/// Connections that have got an answer since the load began, over all threads.
pub fn answered_once(threads: &[LiveCounters]) -> usize {
    threads.iter().map(|thread| thread.answered_once.load(Relaxed)).sum()
}

/// Complete answers since the load began, over all threads.
pub fn answered(threads: &[LiveCounters]) -> u64 {
    threads.iter().map(|thread| thread.answered.load(Relaxed)).sum()
}

/// Errors in the present part of the trial (warm-up or window), over all threads.
pub fn errors(threads: &[LiveCounters]) -> u64 {
    threads.iter().map(|thread| thread.errors.load(Relaxed)).sum()
}
