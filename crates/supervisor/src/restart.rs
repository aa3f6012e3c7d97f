//! The delay before a crashed model is restarted.

use std::time::Duration;

/// A process that has run for so long was healthy.
const HEALTHY_LIFETIME: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Exponential delays: none after a healthy process, then twice as long after each further crash.
#[derive(Debug, Default)]
pub(crate) struct RestartDelay {
    crashes: u32,
}

impl RestartDelay {
    /// The delay after a crash of a process that has run for `lifetime`.
    pub fn after_crash(&mut self, lifetime: Duration) -> Duration {
        if lifetime >= HEALTHY_LIFETIME {
            self.crashes = 0;
        }
        let delay = match self.crashes {
            0 => Duration::ZERO,
            n => FIRST_DELAY.saturating_mul(1 << (n - 1).min(16)).min(MAX_DELAY),
        };
        self.crashes = self.crashes.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_the_delay_then_doubles() {
        let mut delay = RestartDelay::default();
        let short = Duration::from_millis(1);
        let delays: Vec<u128> = (0..9).map(|_| delay.after_crash(short).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(delay.after_crash(HEALTHY_LIFETIME), Duration::ZERO);
        assert_eq!(delay.after_crash(short), FIRST_DELAY);
    }
}
