//! When an open loop intends to send its requests.

use results::Schedule;
use std::time::Duration;

/// The times at which an open loop intends to send its requests, in seconds since the load began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntendedTimes {
    from: f64,
    to: f64,
    /// Length of the warm-up, in which the rate is constant.
    warmup: f64,
    /// Length of the window, in which the rate changes.
    ramp: f64,
}

impl IntendedTimes {
    /// `None` for a closed loop, and for a share of a ceiling, which has to become a rate first.
    pub fn new(schedule: Schedule, warmup: Duration, duration: Duration) -> Option<IntendedTimes> {
        let (from, to) = match schedule {
            Schedule::Rate(rate) => (rate, rate),
            Schedule::Ramp { from, to } => (from, to),
            Schedule::Closed | Schedule::Share(_) | Schedule::Common(_) | Schedule::Knee(_) => return None,
        };
        Some(IntendedTimes { from, to, warmup: warmup.as_secs_f64(), ramp: duration.as_secs_f64() })
    }

    /// When `n` requests should have been due before, on average. At an even rate, this is when request `n` is due, counted
    /// from 0.
    pub fn at(&self, n: f64) -> f64 {
        let into = n - self.from * self.warmup;
        let growth = (self.to - self.from) / self.ramp;
        if into <= 0.0 || growth == 0.0 {
            return n / self.from;
        }
        // By time t, from·t + growth·t²/2 requests are due. The solution for t is written in a form without
        // cancellation.
        let root = self.from * self.from + 2.0 * growth * into;
        if root < 0.0 {
            return f64::INFINITY; // after a falling ramp's end, where the rate would be negative
        }
        self.warmup + 2.0 * into / (self.from + root.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_at_a_constant_rate_are_evenly_spaced() {
        let times =
            IntendedTimes::new(Schedule::Rate(1000.0), Duration::from_secs(1), Duration::from_secs(10)).unwrap();
        for n in [0u64, 1, 999, 1000, 1001, 11_000, 4_000_000_000] {
            assert_eq!(times.at(n as f64), n as f64 / 1000.0);
        }
    }

    #[test]
    fn a_ramp_reaches_both_of_its_rates() {
        for (from, to) in [(100.0, 900.0), (900.0, 100.0), (1.0, 999.0)] {
            let schedule = Schedule::Ramp { from, to };
            let times = IntendedTimes::new(schedule, Duration::from_secs(2), Duration::from_secs(10)).unwrap();
            let first = 2.0 * from;
            assert!((times.at(first) - 2.0).abs() < 1e-9);
            assert!((times.at(first + 5000.0) - 12.0).abs() < 1e-9, "the mean rate is 500 for 10 s");
            let gap = |n: u64| times.at((n + 1) as f64) - times.at(n as f64);
            assert!((gap(first as u64 + 4999) * to - 1.0).abs() < 0.1 * (1.0 + from / to / 10.0));
            assert!((0..first as u64 + 5000).all(|n| gap(n) > 0.0));
        }
    }
}
