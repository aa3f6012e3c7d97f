//! How the threads of a trial agree on when its window begins and ends, and what they tell while it runs.

use super::clock::Clock;
use crate::class::{Class, Counts};
use crate::live::{Latencies, SharedLatencies};
use crate::meter::{Meter, Nanos};
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread tells its connections and latencies.
const TELL: Nanos = 100_000_000;

/// The measured part of a trial.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// When the load begins.
    pub go: Nanos,
    pub begin: Nanos,
    pub end: Nanos,
}

#[derive(Default)]
struct State {
    window: Option<Window>,
    finished: usize,
    released: bool,
}

/// Shared by the threads of a trial and the thread that started them.
pub struct Control<'a> {
    pub clock: Clock,
    stop: &'a AtomicBool,
    started: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

impl<'a> Control<'a> {
    pub fn new(stop: &'a AtomicBool) -> Control<'a> {
        Control {
            clock: Clock::start(),
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

    /// Whether there is no point in opening further connections ahead of the load.
    pub fn started_or_stopped(&self) -> bool {
        self.started.load(Relaxed) || self.stopped()
    }

    /// Begins the load, of which `window` is measured.
    pub fn start(&self, window: Window) {
        self.change(|state| state.window = Some(window));
        self.started.store(true, Relaxed);
    }

    /// For a thread: waits until the load begins; `None` if it will not.
    pub fn wait_for_start(&self) -> Option<Window> {
        let mut window = None;
        self.wait(|state| {
            window = state.window;
            window.is_some() || self.stopped()
        });
        window.filter(|_| !self.stopped())
    }

    /// For a thread: has measured, and holds its connections until they were looked at.
    pub fn finish(&self) {
        self.change(|state| state.finished += 1);
        self.wait(|state| state.released);
    }

    /// How many threads have measured.
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

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait(&self, mut over: impl FnMut(&State) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !over(&state) {
            let waited = self.changed.wait_timeout(state, Duration::from_millis(20));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What one thread tells while it runs. On a cache line of its own, for it is written once per batch of events.
#[derive(Default)]
#[repr(align(128))]
pub struct Lane {
    settled: AtomicUsize,
    answered_before: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
    /// When the rest is told next; 0 before the window, of which it is.
    due: AtomicU64,
    in_window: AtomicBool,
    ends: [AtomicU64; Class::ALL.len()],
    established: AtomicUsize,
    latencies: SharedLatencies,
}

impl Lane {
    /// So many connections are established ahead of the load, or failed at their first attempt.
    pub fn settled(&self, connections: usize) {
        self.settled.store(connections, Relaxed);
    }

    /// The counts are about to begin anew.
    pub fn keep_total(&self, ends: &Counts) {
        self.publish(ends);
        self.answered_before.store(self.answered.load(Relaxed), Relaxed);
        self.errors.store(0, Relaxed);
        self.due.store(1, Relaxed);
    }

    /// Tells the counts.
    #[inline]
    pub fn publish(&self, ends: &Counts) {
        let answered = ends[Class::Ok] + ends[Class::Status];
        self.answered.store(self.answered_before.load(Relaxed) + answered, Relaxed);
        self.errors.store(ends.errors(), Relaxed);
        for (class, count) in ends.iter() {
            self.ends[class as usize].store(count, Relaxed);
        }
    }

    /// Tells what takes a little longer, now and then within the window.
    #[inline]
    pub fn tell(&self, now: Nanos, meter: &Meter, established: impl FnOnce() -> usize) {
        if (1..=now).contains(&self.due.load(Relaxed)) {
            self.due.store(now + TELL, Relaxed);
            self.latencies.set(&meter.told);
            self.established.store(established(), Relaxed);
            self.in_window.store(true, Release);
        }
    }
}

/// What the threads that are in the window have told of it.
pub fn told(lanes: &[Lane]) -> (Counts, usize, Latencies) {
    let (mut ends, mut established, mut latencies) = (Counts::default(), 0, Latencies::default());
    for lane in lanes.iter().filter(|lane| lane.in_window.load(Acquire)) {
        for class in Class::ALL {
            ends[class] += lane.ends[class as usize].load(Relaxed);
        }
        established += lane.established.load(Relaxed);
        lane.latencies.add_to(&mut latencies);
    }
    (ends, established, latencies)
}

/// Connections established ahead of the load or known to fail, over all threads.
pub fn settled(lanes: &[Lane]) -> usize {
    lanes.iter().map(|lane| lane.settled.load(Relaxed)).sum()
}

/// Complete answers since the load began, over all threads.
pub fn answered(lanes: &[Lane]) -> u64 {
    lanes.iter().map(|lane| lane.answered.load(Relaxed)).sum()
}

/// Errors in the present part of the trial, over all threads.
pub fn errors(lanes: &[Lane]) -> u64 {
    lanes.iter().map(|lane| lane.errors.load(Relaxed)).sum()
}
