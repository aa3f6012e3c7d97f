//! The load generator's own count of answers around a moment: [`OwnCount`].

use super::clock::monotonic;
use std::time::Duration;

/// How often the count is read.
const OFTEN: Duration = Duration::from_micros(100);
/// After a while it is read more rarely: the distance of two readings is this share of the time since the first one. So there
/// are few of them, however long an answer takes.
const SHARE: u32 = 16;

/// What the load generator has counted, again and again, while a target was asked for its account. The account has a moment of
/// its own, and the two readings around it are closer to each other than those before the question and after the answer: 0.2 to
/// 0.5 ms instead of 2 to 3 ms (measured with one CPU for the load generator and the supervisor, beside other programs).
///
/// Answers that are on their way are not counted. Each end of the window lacks up to one a connection, so their difference lacks
/// none on average.
pub(super) struct OwnCount<'a> {
    answered: &'a dyn Fn() -> u64,
    /// When it was read, by CLOCK_MONOTONIC, and the count; there is at least one.
    read: Vec<(Duration, u64)>,
}

impl<'a> OwnCount<'a> {
    /// Reads the count for the first time.
    pub fn begin(answered: &'a dyn Fn() -> u64) -> OwnCount<'a> {
        OwnCount { answered, read: vec![(monotonic(), answered())] }
    }

    /// Reads the count. Returns how long to wait before the next reading.
    pub fn read(&mut self) -> Duration {
        let now = monotonic();
        self.read.push((now, (self.answered)()));
        OFTEN.max(now.saturating_sub(self.read[0].0) / SHARE)
    }

    /// The counts before and after this moment of CLOCK_MONOTONIC. For a moment of another clock, which is not within the
    /// readings, these are the first and the last count.
    pub fn around(&self, at: Duration) -> (u64, u64) {
        let [(began, first), .., (ended, last)] = self.read[..] else { return (self.read[0].1, self.read[0].1) };
        if !(began..=ended).contains(&at) {
            return (first, last);
        }
        let after = self.read.partition_point(|&(time, _)| time < at).max(1);
        (self.read[after - 1].1, self.read[after].1)
    }

    /// The first and the last count.
    pub fn whole(&self) -> (u64, u64) {
        (self.read[0].1, self.read[self.read.len() - 1].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_count_at_a_moment_is_between_the_two_readings_around_it() {
        let read = [(10, 100), (20, 150), (30, 170), (40, 400)];
        let read = read.map(|(ms, count)| (Duration::from_millis(ms), count)).to_vec();
        let own = OwnCount { answered: &|| 0, read };
        for (at, expected) in [(10, (100, 150)), (15, (100, 150)), (20, (100, 150)), (21, (150, 170)), (40, (170, 400))]
        {
            assert_eq!(own.around(Duration::from_millis(at)), expected, "{at}");
        }
        // A clock of another machine, or of another time namespace.
        for at in [0, 9, 41, 1_000_000] {
            assert_eq!(own.around(Duration::from_millis(at)), (100, 400), "{at}");
        }
    }

    #[test]
    fn a_single_reading_is_both() {
        let own = OwnCount::begin(&|| 7);
        assert_eq!((own.around(Duration::ZERO), own.whole()), ((7, 7), (7, 7)));
    }

    #[test]
    fn the_count_is_read_more_rarely_as_time_goes_on() {
        let count = Cell::new(0);
        let answered = || {
            count.set(count.get() + 1);
            count.get()
        };
        let mut own = OwnCount::begin(&answered);
        assert!(own.read() >= OFTEN);
        own.read[0].0 -= Duration::from_secs(16);
        assert!(own.read() >= Duration::from_secs(1));
        assert_eq!(own.whole(), (1, 3));
    }
}
