//! One end of the window: what the target has used so far, and for how long the CPUs were busy: [`Moment`].

use super::spent::Spent;
use nix::time::{ClockId, clock_gettime};
use process_tree::{BusyTimes, DiskReads};
use results::figures::Reason;
use std::time::{Duration, Instant};

/// How often the readings of one end of the window are taken at most.
const READINGS: usize = 5;
/// Replies that may come while the CPU time is read, as a share of the window's: the error of the CPU time a request is
/// then at most half of it at each end.
pub(super) const LARGEST_SPREAD: f64 = 0.01;

/// What is read at one end of the window, all within about a millisecond.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// What the target has used, or why that is not known.
    pub spent: Result<Spent, Reason>,
    /// When the next three were read.
    pub at: Instant,
    /// For how long each CPU of this machine was busy; `None` if /proc/stat cannot be read.
    pub busy: Option<BusyTimes>,
    /// How much its disks have read; `None` if the kernel does not tell it.
    pub disks: Option<DiskReads>,
    /// CPU time of this process.
    pub own_cpu: Duration,
}

impl Moment {
    /// Completes `spent`, which has just been read.
    pub fn now(spent: Result<Spent, Reason>) -> Moment {
        let at = Instant::now();
        let own_cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from);
        Moment { spent, at, busy: BusyTimes::read().ok(), disks: DiskReads::read().ok(), own_cpu }
    }

    fn spread(&self) -> u64 {
        self.spent.as_ref().map_or(0, Spent::spread)
    }
}

/// Reads the target's account until the two counts of its replies are close enough, at most five times, and keeps the
/// reading in which they are closest. `replies` gives the window's replies, as far as they are known.
pub(super) fn tightest(mut read: impl FnMut() -> Moment, replies: impl Fn(&Moment) -> f64) -> Moment {
    let mut best = read();
    for _ in 1..READINGS {
        if best.spread() as f64 <= LARGEST_SPREAD * replies(&best) {
            break;
        }
        let again = read();
        if again.spent.is_ok() && again.spread() < best.spread() {
            best = again;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::server::tests::spent;

    /// The number of readings, and the spread of the one that is kept.
    fn readings(spreads: &[u64], replies: f64) -> (usize, u64) {
        let mut count = 0;
        let read = || {
            count += 1;
            Moment::now(Ok(Spent { replies: (1_000, 1_000 + spreads[count - 1]), ..spent(1) }))
        };
        let kept = tightest(read, |_| replies).spread();
        (count, kept)
    }

    #[test]
    fn an_account_whose_replies_differ_too_much_is_read_again() {
        assert_eq!(readings(&[10], 1_000.0), (1, 10));
        assert_eq!(readings(&[11, 3], 1_000.0), (2, 3));
        assert_eq!(readings(&[0], 0.0), (1, 0), "nothing was answered");
    }

    #[test]
    fn after_five_readings_the_closest_is_kept() {
        assert_eq!(readings(&[90, 50, 70, 40, 60], 1_000.0), (5, 40));
    }

    #[test]
    fn a_target_that_tells_nothing_is_asked_once() {
        let mut count = 0;
        let moment = tightest(
            || {
                count += 1;
                Moment::now(Err("gone".into()))
            },
            |_| 0.0,
        );
        assert_eq!((count, moment.spent), (1, Err("gone".into())));
    }
}
