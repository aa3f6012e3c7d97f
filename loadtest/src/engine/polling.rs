//! When an open loop polls in place of sleeping, and what that cost in vain.

use crate::meter::Nanos;
use std::time::Duration;

/// Before a request is due, the thread polls for so long: to wake up from a sleep takes about as much.
pub const LEAD: Nanos = 50_000;
/// How often it looks whether it is kept from its CPU.
const LOOK: Nanos = 20_000_000;
/// Kept from it for more than this part of the time, 1 / 4, it shares it with somebody who needs it.
const SHARED: Nanos = 4;
/// How long it sleeps through all waits then.
const REST: Nanos = 500_000_000;
/// A poll that finds nothing takes less than that. One that takes longer was interrupted, and the rest is no CPU time.
const STEP: Nanos = 5_000;

/// One thread's polling.
#[derive(Default)]
pub struct Polling {
    in_vain: Nanos,
    looked: Nanos,
    /// What the run queue told when it looked.
    waited: Nanos,
    resting_until: Nanos,
}

impl Polling {
    /// May the thread poll at `now`? `waited` tells how long it was ready to run and did not, in all.
    pub fn is_welcome(&mut self, now: Nanos, waited: impl FnOnce() -> Duration) -> bool {
        if now >= self.looked + LOOK {
            let waited = waited().as_nanos() as Nanos;
            if waited.saturating_sub(self.waited) > (now - self.looked) / SHARED {
                self.resting_until = now + REST;
            }
            (self.looked, self.waited) = (now, waited);
        }
        now >= self.resting_until
    }

    /// A poll that took so long found nothing.
    pub fn found_nothing(&mut self, took: Nanos) {
        self.in_vain += took.min(STEP);
    }

    /// Time that was polled in vain so far.
    pub fn in_vain(&self) -> Duration {
        Duration::from_nanos(self.in_vain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    #[test]
    fn who_is_kept_from_the_cpu_does_not_poll_for_a_while() {
        let mut polling = Polling::default();
        // Kept from it for 1 ms of each 20, but in the 2nd second for 10 ms more.
        let waited = |millis: Nanos| millis / 20 + (millis.clamp(1000, 2000) - 1000) / 2;
        let mut welcome = |millis: std::ops::Range<Nanos>| {
            let waited = |millis| Duration::from_millis(waited(millis));
            millis.filter(|&millis| polling.is_welcome(millis * MILLISECOND, || waited(millis))).count()
        };
        assert_eq!(welcome(0..1000), 1000);
        assert_eq!(welcome(1000..2000), 20, "it looks, and sees it");
        assert_eq!(welcome(2000..3000), 500, "the last look that saw it was at 2000");
    }

    #[test]
    fn an_interrupted_poll_does_not_count_in_full() {
        let mut polling = Polling::default();
        polling.found_nothing(700);
        polling.found_nothing(3 * MILLISECOND);
        assert_eq!(polling.in_vain(), Duration::from_nanos(700 + STEP));
    }
}
