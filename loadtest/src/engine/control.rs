//! Coordinates the threads of a trial: when the window begins and ends, and what each thread publishes while it runs.

use super::clock::Nanos;
use super::clock::TrialClock;
use super::live::{CoarseHistogram, SharedCoarseHistogram};
use super::recorder::Recorder;
use results::{OutcomeClass, OutcomeCounts};
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread publishes its connections and latencies.
const LIVE_INTERVAL: Nanos = 100_000_000;

/// The times of a trial: the begin of the load, and the window that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When the load begins.
    pub load_begin: Nanos,
    pub begin: Nanos,
    pub end: Nanos,
}

#[derive(Default)]
struct TrialState {
    window: Option<Window>,
    finished: usize,
    released: bool,
}

/// Shared by the threads of a trial and the thread that started them.
pub struct Control<'a> {
    pub clock: TrialClock,
    stop: &'a AtomicBool,
    started: AtomicBool,
    state: Mutex<TrialState>,
    changed: Condvar,
}

impl<'a> Control<'a> {
    pub fn new(stop: &'a AtomicBool) -> Control<'a> {
        Control {
            clock: TrialClock::start(),
            stop,
            started: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Whether the run was interrupted.
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Whether a thread should stop to open connections ahead of the load.
    pub fn started_or_stopped(&self) -> bool {
        self.started.load(Relaxed) || self.stopped()
    }

    /// Begins the load, of which `window` is measured.
    pub fn start(&self, window: Window) {
        self.change(|state| state.window = Some(window));
        self.started.store(true, Relaxed);
    }

    /// Called by a client thread: waits until the load begins. `None` if the run is interrupted before.
    pub fn wait_for_start(&self) -> Option<Window> {
        let mut window = None;
        self.wait(|state| {
            window = state.window;
            window.is_some() || self.stopped()
        });
        window.filter(|_| !self.stopped())
    }

    /// Called by a client thread that has measured: waits until it may close its connections.
    pub fn finish(&self) {
        self.change(|state| state.finished += 1);
        self.wait(|state| state.released);
    }

    /// The number of threads that have measured.
    pub fn finished(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).finished
    }

    /// Whether the threads may close their connections.
    pub fn is_released(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).released
    }

    /// Lets the threads close their connections.
    pub fn release(&self) {
        self.change(|state| state.released = true);
    }

    fn change(&self, change: impl FnOnce(&mut TrialState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait(&self, mut over: impl FnMut(&TrialState) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
    answered_before: AtomicU64,
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

    /// Called when the window begins: the recorder starts its counts anew, but the total of answers includes the warm-up.
    pub fn begin_window(&self, outcomes: &OutcomeCounts) {
        self.publish(outcomes);
        self.answered_before.store(self.answered.load(Relaxed), Relaxed);
        self.errors.store(0, Relaxed);
        self.due.store(1, Relaxed);
    }

    /// Publishes the counts.
    #[inline]
    pub fn publish(&self, outcomes: &OutcomeCounts) {
        self.answered.store(self.answered_before.load(Relaxed) + outcomes.answered(), Relaxed);
        self.errors.store(outcomes.errors(), Relaxed);
        for (class, count) in outcomes.iter() {
            self.outcomes[class as usize].store(count, Relaxed);
        }
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

/// Complete answers since the load began, over all threads.
pub fn answered(threads: &[LiveCounters]) -> u64 {
    threads.iter().map(|thread| thread.answered.load(Relaxed)).sum()
}

/// Errors in the present part of the trial (warm-up or window), over all threads.
pub fn errors(threads: &[LiveCounters]) -> u64 {
    threads.iter().map(|thread| thread.errors.load(Relaxed)).sum()
}
