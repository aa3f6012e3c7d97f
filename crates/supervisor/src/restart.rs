//! When a crashed model starts again.

use std::time::Duration;

/// A life that long was a healthy one.
const HEALTHY: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// At once after a healthy life, then later and later.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a life of that length.
    pub fn after(&mut self, life: Duration) -> Duration {
        if life >= HEALTHY {
            self.failures = 0;
        }
        let delay = match self.failures {
            0 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 1).min(16)).min(MOST),
        };
        self.failures = self.failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_the_others_wait_twice_as_long_each() {
        let mut backoff = Backoff::default();
        let crash = Duration::from_millis(1);
        let delays: Vec<u128> = (0..9).map(|_| backoff.after(crash).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(HEALTHY), Duration::ZERO);
        assert_eq!(backoff.after(crash), FIRST);
    }
}
