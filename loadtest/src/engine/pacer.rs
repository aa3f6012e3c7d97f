//! One thread's share of the intended times of an open loop.

use super::clock::Nanos;
use super::intended_times::IntendedTimes;

/// Computes when this thread's next request is due.
///
/// The requests that are due and wait need no list: they are all requests from the next one to be sent up to the last
/// one due.
#[derive(Debug)]
pub struct Pacer {
    times: IntendedTimes,
    load_begin: Nanos,
    threads: u64,
    /// The next request to be sent, counted over all threads.
    next: u64,
    due: Nanos,
}

impl Pacer {
    /// For thread `index` of `threads`. The load begins at `load_begin`.
    pub fn new(times: IntendedTimes, load_begin: Nanos, index: usize, threads: usize) -> Pacer {
        let mut pacer = Pacer { times, load_begin, threads: threads as u64, next: index as u64, due: 0 };
        pacer.due = pacer.at(pacer.next);
        pacer
    }

    fn at(&self, n: u64) -> Nanos {
        // The time saturates after the end of a falling ramp, where it is infinite.
        self.load_begin.saturating_add((self.times.at(n) * 1e9) as Nanos)
    }

    /// When the next request is due.
    pub fn due(&self) -> Nanos {
        self.due
    }

    /// Called when the next request was sent.
    pub fn advance(&mut self) {
        self.next += self.threads;
        self.due = self.at(self.next);
    }

    /// Gives up the requests that are due before `time`, and returns their number. There may be more of them than could
    /// be counted one by one before further ones are due.
    pub fn give_up(&mut self, time: Nanos) -> u64 {
        let count = self.waiting(time);
        self.next += count * self.threads;
        self.due = self.at(self.next);
        count
    }

    /// The number of requests that are due before `now` and wait.
    fn waiting(&self, now: Nanos) -> u64 {
        // A search by doubling, then by halving, since a million requests may be waiting.
        let overdue = |n: u64| self.at(self.next + n * self.threads) < now;
        let mut none = 1;
        while overdue(none - 1) {
            none *= 2;
        }
        let (mut low, mut high) = (none / 2, none - 1);
        while low < high {
            let middle = low.midpoint(high);
            if overdue(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::Schedule;
    use std::time::Duration;

    #[test]
    fn threads_share_the_schedule_evenly() {
        let times = IntendedTimes::new(Schedule::Rate(1000.0), Duration::ZERO, Duration::from_secs(1)).unwrap();
        let mut all = Vec::new();
        for thread in 0..3 {
            let mut pacer = Pacer::new(times, 500, thread, 3);
            while pacer.due() < 500 + 1_000_000_000 {
                all.push(pacer.due());
                pacer.advance();
            }
        }
        all.sort_unstable();
        let expected: Vec<Nanos> = (0..1000).map(|n| 500 + n * 1_000_000).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn requests_that_are_due_and_not_sent_are_counted() {
        let times = IntendedTimes::new(Schedule::Rate(1000.0), Duration::ZERO, Duration::from_secs(1)).unwrap();
        let mut pacer = Pacer::new(times, 0, 1, 2);
        for (millis, waiting) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (100, 50), (1_000_000, 500_000)] {
            assert_eq!(pacer.waiting(millis * 1_000_000), waiting, "{millis} ms");
        }
        pacer.advance();
        assert_eq!((pacer.due(), pacer.waiting(100_000_000)), (3_000_000, 49));
        assert_eq!((pacer.give_up(3_000_000), pacer.due()), (0, 3_000_000));
        assert_eq!((pacer.give_up(100_000_000), pacer.due()), (49, 101_000_000));
        assert_eq!((pacer.give_up(100_000_000), pacer.due()), (0, 101_000_000));
    }
}
