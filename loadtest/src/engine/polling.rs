//! Decides when an open loop polls instead of sleeping, and counts the time of fruitless polls.

use super::clock::Nanos;
use std::time::Duration;

/// A thread polls for this long before a request is due, since waking up from a sleep takes about as long.
pub const POLL_LEAD: Nanos = 50_000;
/// How often a thread checks whether it is kept from its CPU.
const CHECK_INTERVAL: Nanos = 20_000_000;
/// If the thread waits for its CPU for more than 1 / 4 of the time, it shares the CPU with a thread that needs it.
const SHARED_CPU_PART: Nanos = 4;
/// For how long the thread then sleeps instead of polling.
const PAUSE: Nanos = 500_000_000;
/// A poll that finds nothing takes less than this. A longer one was interrupted, and the rest of it is not CPU time.
const LONGEST_POLL: Nanos = 5_000;

/// The polling of one thread.
#[derive(Default)]
pub struct Polling {
    fruitless: Nanos,
    checked_at: Nanos,
    /// The time in the run queue at the last check.
    waited: Nanos,
    paused_until: Nanos,
}

impl Polling {
    /// Whether the thread may poll at `now`. `waited` returns for how long it was ready to run without a CPU, in total.
    pub fn may_poll(&mut self, now: Nanos, waited: impl FnOnce() -> Duration) -> bool {
        if now >= self.checked_at + CHECK_INTERVAL {
            let waited = waited().as_nanos() as Nanos;
            if waited.saturating_sub(self.waited) > (now - self.checked_at) / SHARED_CPU_PART {
                self.paused_until = now + PAUSE;
            }
            (self.checked_at, self.waited) = (now, waited);
        }
        now >= self.paused_until
    }

    /// A poll that took this long found nothing.
    pub fn found_nothing(&mut self, took: Nanos) {
        self.fruitless += took.min(LONGEST_POLL);
    }

    /// The total time of polls that found nothing.
    pub fn fruitless(&self) -> Duration {
        Duration::from_nanos(self.fruitless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    #[test]
    fn a_thread_that_waits_for_its_cpu_does_not_poll_for_a_while() {
        let mut polling = Polling::default();
        // Waits for 1 ms of each 20 ms, and in the second second for 10 ms more.
        let waited = |millis: Nanos| millis / 20 + (millis.clamp(1000, 2000) - 1000) / 2;
        let mut polls = |millis: std::ops::Range<Nanos>| {
            let waited = |millis| Duration::from_millis(waited(millis));
            millis.filter(|&millis| polling.may_poll(millis * MILLISECOND, || waited(millis))).count()
        };
        assert_eq!(polls(0..1000), 1000);
        assert_eq!(polls(1000..2000), 20, "the checks of this second see the waiting");
        assert_eq!(polls(2000..3000), 500, "the last check that saw the waiting was at 2000");
    }

    #[test]
    fn an_interrupted_poll_counts_only_as_the_longest_poll() {
        let mut polling = Polling::default();
        polling.found_nothing(700);
        polling.found_nothing(3 * MILLISECOND);
        assert_eq!(polling.fruitless(), Duration::from_nanos(700 + LONGEST_POLL));
    }
}
