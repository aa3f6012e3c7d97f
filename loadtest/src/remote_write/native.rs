//! Native histograms: distributions that can be added up, over trials, targets and runs, which percentiles cannot. The buckets grow by the
//! factor 2^(1/32), so a percentile is true to 2 %. <https://prometheus.io/docs/specs/native_histograms/>

use super::wire::{Histogram, STALE, Span};
use std::collections::BTreeMap;

/// There are two to this power buckets between a time and its double.
const SCHEMA: i32 = 5;

impl Histogram {
    /// The distribution of these times, which are in nanoseconds, each with its count.
    pub fn of(times: impl Iterator<Item = (f64, u64)>, at: i64) -> Histogram {
        let mut made = Histogram { schema: SCHEMA, zero_threshold: 1e-9, at, ..Histogram::default() };
        let mut buckets: BTreeMap<i32, i64> = BTreeMap::new();
        for (nanos, count) in times.filter(|&(_, count)| count > 0) {
            made.count += count;
            made.sum += nanos / 1e9 * count as f64;
            match nanos <= 1.0 {
                true => made.zero_count += count,
                false => *buckets.entry(bucket(nanos / 1e9)).or_default() += count as i64,
            }
        }
        let (mut next, mut before) = (0, 0);
        for (number, count) in buckets {
            match made.spans.last_mut() {
                Some(span) if number == next => span.length += 1,
                _ => made.spans.push(Span { offset: number - next, length: 1 }),
            }
            made.deltas.push(count - before);
            (next, before) = (number + 1, count);
        }
        made
    }

    /// What marks the end of a series of histograms.
    pub fn stale(at: i64) -> Histogram {
        Histogram { sum: STALE, at, ..Histogram::default() }
    }
}

/// The number of the bucket of a time above zero: the bucket i has those above 2^((i-1)/32) and up to 2^(i/32) seconds.
fn bucket(seconds: f64) -> i32 {
    (seconds.log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn buckets_follow_each_other_in_spans_with_differences_of_counts() {
        assert_eq!([bucket(1.0), bucket(1.0001), bucket(2.0), bucket(0.5)], [0, 1, 32, -32]);
        let second = 1e9;
        let times = [(second, 5), (1.01 * second, 2), (2.0 * second, 3), (0.5, 4), (7.0 * second, 0)];
        let made = Histogram::of(times.into_iter(), 8);
        assert_eq!((made.count, made.zero_count, made.at), (14, 4, 8));
        assert!((made.sum - 13.02).abs() < 1e-6);
        let spans: Vec<_> = made.spans.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!(spans, [(0, 2), (30, 1)]);
        assert_eq!(made.deltas, [5, -3, 1]);
        let below = Histogram::of([(second / 2.0, 1), (second / 4.0, 1)].into_iter(), 8);
        let spans: Vec<_> = below.spans.iter().map(|span| (span.offset, span.length)).collect();
        assert_eq!(spans, [(-64, 1), (31, 1)]);
    }

    #[test]
    fn a_histogram_is_encoded_byte_for_byte() {
        let made = Histogram::of([(1e9, 3)].into_iter(), 1);
        let expected: &[&[u8]] = &[
            b"\x08\x03",                             // count
            b"\x19\x00\x00\x00\x00\x00\x00\x08\x40", // sum: 3.0
            b"\x20\x0a",                             // schema: 5, zigzag
            b"\x29\x95\xd6\x26\xe8\x0b\x2e\x11\x3e", // zero threshold: 1e-9
            b"\x5a\x02\x10\x01",                     // a span at 0, which is left out, with one bucket
            b"\x62\x01\x06",                         // its count, zigzag
            b"\x78\x01",                             // the time
        ];
        assert_eq!(made.encode_to_vec(), expected.concat());
        assert_eq!(Histogram::stale(2).sum.to_bits(), STALE.to_bits());
    }
}
