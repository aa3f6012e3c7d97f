//! One thread's share of the intended times of an open loop.
//!
//! *Even* arrivals: with T threads, thread t has the requests t, t + T, t + 2T, ...
//!
//! *Poisson* arrivals: each thread has a Poisson process of its own with 1/T of the rate. The superposition of independent
//! Poisson processes is one with the sum of their rates (Kingman, Poisson Processes, 1993, section 2.2). The gaps are
//! exponentially distributed, in units of the expected number of requests. [`IntendedTimes::at`] makes times of these units,
//! so a ramp has the right rate at each time, too (ibid., section 2.3, the mapping theorem).

use super::clock::Nanos;
use super::intended_times::IntendedTimes;
use results::Arrivals;

/// Computes when this thread's next request is due.
///
/// The requests that are due and wait need no list: they are all requests from the next one to be sent up to the last
/// one due.
#[derive(Debug)]
pub struct Pacer {
    times: IntendedTimes,
    load_begin: Nanos,
    threads: u64,
    next: Next,
    due: Nanos,
}

/// The next request to be sent.
#[derive(Debug)]
enum Next {
    /// Its number, counted over all threads.
    Even(u64),
    /// The expected number of requests of all threads that are due before it, and what decides the next gap.
    Poisson(f64, fastrand::Rng),
}

impl Pacer {
    /// For thread `index` of `threads`. The load begins at `load_begin`. The times of Poisson arrivals depend on `seed`
    /// and `index` alone.
    pub fn new(
        times: IntendedTimes,
        arrivals: Arrivals,
        seed: u64,
        load_begin: Nanos,
        (index, threads): (usize, usize),
    ) -> Pacer {
        let next = match arrivals {
            Arrivals::Even => Next::Even(index as u64),
            Arrivals::Poisson => {
                let mut streams = fastrand::Rng::with_seed(seed);
                (0..index).for_each(|_| drop(streams.fork()));
                Next::Poisson(0.0, streams.fork())
            }
        };
        let mut pacer = Pacer { times, load_begin, threads: threads as u64, next, due: 0 };
        match pacer.next {
            Next::Even(first) => pacer.due = pacer.at(first as f64),
            Next::Poisson(..) => pacer.advance(),
        }
        pacer
    }

    fn at(&self, n: f64) -> Nanos {
        // The time saturates after the end of a falling ramp, where it is infinite.
        self.load_begin.saturating_add((self.times.at(n) * 1e9) as Nanos)
    }

    /// When the next request is due.
    pub fn due(&self) -> Nanos {
        self.due
    }

    /// Called when the next request was sent.
    #[inline]
    pub fn advance(&mut self) {
        let n = match &mut self.next {
            Next::Even(n) => {
                *n += self.threads;
                *n as f64
            }
            Next::Poisson(n, random) => {
                // The inverse of the exponential distribution; the random number is below 1.
                *n -= (1.0 - random.f64()).ln() * self.threads as f64;
                *n
            }
        };
        self.due = self.at(n);
    }

    /// Gives up the requests that are due before `time`, and returns their number.
    pub fn give_up(&mut self, time: Nanos) -> u64 {
        let mut count = 0;
        if let Next::Even(next) = self.next {
            count = self.waiting(next, time);
            let next = next + count * self.threads;
            (self.next, self.due) = (Next::Even(next), self.at(next as f64));
        }
        // Poisson arrivals have to be counted one by one.
        while self.due < time {
            count += 1;
            self.advance();
        }
        count
    }

    /// The number of evenly spaced requests from `next` on that are due before `now`. There may be more of them than could
    /// be counted one by one before further ones are due.
    fn waiting(&self, next: u64, now: Nanos) -> u64 {
        // A search by doubling, then by halving, since a million requests may be waiting.
        let overdue = |n: u64| self.at((next + n * self.threads) as f64) < now;
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

    const SECOND: Nanos = 1_000_000_000;

    /// The pacers of all threads; the window has 10 s.
    fn pacers(schedule: Schedule, arrivals: Arrivals, seed: u64, load_begin: Nanos, threads: usize) -> Vec<Pacer> {
        let times = IntendedTimes::new(schedule, Duration::ZERO, Duration::from_secs(10)).unwrap();
        (0..threads).map(|thread| Pacer::new(times, arrivals, seed, load_begin, (thread, threads))).collect()
    }

    /// The times of all requests that are due before `end`.
    fn all(pacers: Vec<Pacer>, end: Nanos) -> Vec<Nanos> {
        let mut all = Vec::new();
        for mut pacer in pacers {
            while pacer.due() < end {
                all.push(pacer.due());
                pacer.advance();
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn threads_share_the_schedule_evenly() {
        let all = all(pacers(Schedule::Rate(1000.0), Arrivals::Even, 0, 500, 3), 500 + SECOND);
        let expected: Vec<Nanos> = (0..1000).map(|n| 500 + n * 1_000_000).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn requests_that_are_due_and_not_sent_are_counted() {
        for (millis, waiting) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (100, 50), (1_000_000, 500_000)] {
            let mut pacer = pacers(Schedule::Rate(1000.0), Arrivals::Even, 0, 0, 2).remove(1);
            assert_eq!(pacer.give_up(millis * 1_000_000), waiting, "{millis} ms");
        }
        let mut pacer = pacers(Schedule::Rate(1000.0), Arrivals::Even, 0, 0, 2).remove(1);
        pacer.advance();
        assert_eq!((pacer.give_up(3_000_000), pacer.due()), (0, 3_000_000));
        assert_eq!((pacer.give_up(100_000_000), pacer.due()), (49, 101_000_000));
        assert_eq!((pacer.give_up(100_000_000), pacer.due()), (0, 101_000_000));
    }

    #[test]
    fn poisson_arrivals_are_given_up_as_they_would_have_been_sent() {
        let pacer = || pacers(Schedule::Rate(1000.0), Arrivals::Poisson, 1, 0, 1).remove(0);
        let times = all(vec![pacer()], 2 * SECOND);
        let waiting = times.iter().filter(|&&time| time < SECOND).count();
        let mut pacer = pacer();
        assert_eq!((pacer.give_up(SECOND), pacer.due()), (waiting as u64, times[waiting]));
    }

    /// Whatever the number of threads, the gaps have mean and standard deviation 1/R, and the share 1/e of them is longer
    /// than the mean. The same seed gives the same times, and another seed others.
    #[test]
    fn poisson_arrivals_have_exponential_gaps() {
        for threads in [1, 4] {
            let times =
                |seed| all(pacers(Schedule::Rate(10_000.0), Arrivals::Poisson, seed, 500, threads), 10 * SECOND);
            let due = times(3);
            // 100 000 are expected, with a standard deviation of 316.
            assert!(due.len().abs_diff(100_000) < 4 * 316, "{}", due.len());
            let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 1e5).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let square = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let longer = gaps.iter().filter(|&&gap| gap > 1.0).count() as f64 / gaps.len() as f64;
            assert!((mean - 1.0).abs() < 0.02 && (square - 1.0).abs() < 0.04, "{mean} {square}");
            assert!((longer - (-1f64).exp()).abs() < 0.01, "{longer}");
            // Successive gaps are independent.
            let product =
                gaps.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / gaps.len() as f64;
            assert!(product.abs() < 0.02, "{product}");
            assert_eq!(due, times(3));
            assert_ne!(due, times(4));
        }
    }

    /// A ramp from 1000 to 3000 requests a second has the rate 2000 on average, and 1500 in its first half.
    #[test]
    fn poisson_arrivals_follow_a_ramp() {
        let schedule = Schedule::Ramp { from: 1000.0, to: 3000.0 };
        let due = all(pacers(schedule, Arrivals::Poisson, 5, 0, 2), 10 * SECOND);
        let first_half = due.iter().filter(|&&time| time < 5 * SECOND).count();
        assert!(
            due.len().abs_diff(20_000) < 4 * 142 && first_half.abs_diff(7_500) < 4 * 87,
            "{} {first_half}",
            due.len()
        );
    }
}
