//! The clocks of the engine: time since the trial began, and the CPU time of a thread.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A point in time, in nanoseconds since the start of the trial. The engine reads it from the clock; tests choose it.
pub type Nanos = u64;

/// Measures nanoseconds since the start of a trial. All threads of the trial use the same start.
#[derive(Clone, Copy, Debug)]
pub struct TrialClock(Instant);

impl TrialClock {
    /// A clock that starts now.
    pub fn start() -> TrialClock {
        TrialClock(Instant::now())
    }

    /// Nanoseconds since the start.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.0.elapsed().as_nanos() as Nanos
    }
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
