//! The state of a trial's window while it runs: counts, open connections, and a coarse histogram of the latencies.

use super::clock::Nanos;
use results::OutcomeCounts;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The longest latency that the histograms can resolve, in nanoseconds: one hour. Longer latencies are recorded as this
/// value.
pub const LONGEST: Nanos = 3_600_000_000_000;
/// Buckets in each power of two: the histogram resolves a latency to 1/32 of it.
const FINE: u32 = 32;
const BUCKETS: usize = bucket(LONGEST) + 1;

/// The state of a trial at one moment of its window.
#[derive(Clone, Debug, Default)]
pub struct LiveSnapshot {
    /// Time since the window began; `None` during warm-up.
    pub since: Option<Duration>,
    /// The outcomes of the window's requests so far.
    pub outcomes: OutcomeCounts,
    /// Connections that are established; at most 100 ms old.
    pub established: usize,
    /// Latencies of the window's successful requests so far; at most 100 ms old.
    pub latencies: CoarseHistogram,
}

/// A small and cheap histogram of latencies, exact to 2 %. The results have exact histograms.
#[derive(Clone, PartialEq, Eq)]
pub struct CoarseHistogram(Box<[u64; BUCKETS]>);

/// The bucket that counts a latency of `nanos`: one for each nanosecond up to 63 ns, then [`FINE`] for each power of
/// two.
const fn bucket(nanos: Nanos) -> usize {
    let nanos = if nanos < LONGEST { nanos } else { LONGEST };
    let shift = (nanos | 1).ilog2().saturating_sub(FINE.ilog2());
    (FINE * shift) as usize + (nanos >> shift) as usize
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> f64 {
    let shift = (bucket as u32 / FINE).saturating_sub(1);
    let low = ((bucket as u64) - u64::from(FINE * shift)) << shift;
    low as f64 + ((1u64 << shift) - 1) as f64 / 2.0
}

impl CoarseHistogram {
    /// Counts a latency in nanoseconds.
    #[inline]
    pub(crate) fn record(&mut self, nanos: Nanos) {
        self.0[bucket(nanos)] += 1;
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The middle of each bucket, in nanoseconds, with its count.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.0.iter().enumerate().map(|(number, &count)| (middle(number), count))
    }

    /// The latencies that were counted after `earlier`, an earlier copy of this histogram.
    pub fn since(&self, earlier: &CoarseHistogram) -> CoarseHistogram {
        let mut since = self.clone();
        since.0.iter_mut().zip(earlier.0.iter()).for_each(|(now, then)| *now = now.saturating_sub(*then));
        since
    }

    /// The quantile `q` (0 to 1) of the latencies, in seconds. `None` with fewer than 1/(1-q) latencies, since the
    /// quantile would then only be the maximum; if `q` is 1, `None` without any latency.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || (q < 1.0 && (count as f64) * (1.0 - q) < 1.0 - 1e-9) {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).max(1);
        let mut below = 0;
        let found = self.0.iter().position(|&count| {
            below += count;
            below >= rank
        });
        found.map(|bucket| middle(bucket) / 1e9)
    }
}

impl Default for CoarseHistogram {
    fn default() -> CoarseHistogram {
        CoarseHistogram(Box::new([0; BUCKETS]))
    }
}

impl fmt::Debug for CoarseHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} latencies", self.count())
    }
}

/// A [`CoarseHistogram`] that one thread writes and another one reads.
pub(crate) struct SharedCoarseHistogram(Box<[AtomicU64; BUCKETS]>);

impl SharedCoarseHistogram {
    /// Stores the counts of `latencies`.
    pub(crate) fn set(&self, latencies: &CoarseHistogram) {
        self.0.iter().zip(latencies.0.iter()).for_each(|(shared, &count)| shared.store(count, Relaxed));
    }

    /// Adds the stored counts to `sum`.
    pub(crate) fn add_to(&self, sum: &mut CoarseHistogram) {
        sum.0.iter_mut().zip(self.0.iter()).for_each(|(sum, shared)| *sum += shared.load(Relaxed));
    }
}

impl Default for SharedCoarseHistogram {
    fn default() -> SharedCoarseHistogram {
        SharedCoarseHistogram(Box::new([const { AtomicU64::new(0) }; BUCKETS]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_within_their_resolution() {
        let mut last = 0;
        for step in 0..40_000u64 {
            // Each number up to 1000, then ever larger steps up to the end.
            let nanos = if step < 1_000 { step } else { (1_000.0 * 1.0006f64.powi(step as i32 - 1_000)) as u64 };
            let (now, nanos) = (bucket(nanos), nanos.min(LONGEST));
            assert!(now == last || now == last + 1, "{nanos}");
            assert!((middle(now) - nanos as f64).abs() <= nanos as f64 / 63.0, "{nanos} counts as {}", middle(now));
            last = now;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(63) + 1, bucket(64));
    }

    #[test]
    fn quantiles_need_enough_latencies() {
        let mut latencies = CoarseHistogram::default();
        assert_eq!(latencies.quantile(1.0), None);
        (1..=99).for_each(|ms| latencies.record(ms * 1_000_000));
        assert!((latencies.quantile(0.5).unwrap() / 0.050 - 1.0).abs() < 0.02);
        assert_eq!(latencies.quantile(0.99), None);
        let earlier = latencies.clone();
        latencies.record(1_000_000_000);
        assert!((latencies.quantile(0.99).unwrap() / 0.099 - 1.0).abs() < 0.02);
        assert!((latencies.quantile(1.0).unwrap() - 1.0).abs() < 0.02);
        let second = latencies.since(&earlier);
        assert_eq!((second.count(), second.quantile(0.5)), (1, None));
        assert!((second.quantile(0.0).unwrap() - 1.0).abs() < 0.02);
    }

    #[test]
    fn another_thread_reads_the_stored_counts() {
        let (shared, mut latencies) = (SharedCoarseHistogram::default(), CoarseHistogram::default());
        (0..10).for_each(|nanos| latencies.record(nanos * 100));
        shared.set(&latencies);
        let mut sum = CoarseHistogram::default();
        shared.add_to(&mut sum);
        assert_eq!(sum, latencies);
        shared.add_to(&mut sum);
        assert_eq!(sum.count(), 20);
    }
}
