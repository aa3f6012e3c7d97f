//! Distributions of times: the HDR histograms of nanoseconds that a trial has, and the figures that follow from them.

use crate::figures::{Reason, Times};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// The histogram as results.json has it: V2, deflated, base64.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Serialising fails only for a histogram of more than 4 GiB.
    let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    STANDARD.encode(bytes)
}

/// The histogram that results.json has; `None` if it has none, or something else.
pub fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

/// The sum of the histograms that results.json has; `None` if one cannot be read, or if there are none.
pub fn pooled<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Histogram<u64>> {
    texts.map(decode).reduce(|sum, next| {
        let (mut sum, next) = (sum?, next?);
        sum.auto(true);
        sum.add(next).ok()?;
        Some(sum)
    })?
}

/// The distribution in a histogram of nanoseconds. A percentile q needs 10/(1-q) samples, so that ten lie beyond it.
pub fn times(histogram: &Histogram<u64>) -> Times<Result<f64, Reason>> {
    let samples = histogram.len();
    if samples == 0 {
        return Times::all(Err("no samples".into()));
    }
    let quantile = |q: f64, needed: u64| match samples < needed {
        true => Err(format!("needs {needed} samples, has {samples}")),
        false => Ok(histogram.value_at_quantile(q) as f64 / 1e3),
    };
    Times {
        mean: Ok(histogram.mean() / 1e3),
        p50: quantile(0.5, 20),
        p90: quantile(0.9, 100),
        p99: quantile(0.99, 1_000),
        p999: quantile(0.999, 10_000),
        max: Ok(histogram.max() as f64 / 1e3),
    }
}

/// The samples beyond the highest quantile that is told.
const BEYOND: f64 = 10.0;

/// The distribution as a curve: quantiles with their values in microseconds, evenly over -log10(1 - q), from above 0 up to the quantile beyond
/// which ten samples lie. Empty with twenty samples or fewer.
pub fn curve(histogram: &Histogram<u64>, points: usize) -> Vec<(f64, f64)> {
    let nines = (histogram.len() as f64 / BEYOND).log10();
    if histogram.len() as f64 <= 2.0 * BEYOND {
        return Vec::new();
    }
    let quantile = |point: usize| 1.0 - 10_f64.powf(-nines * point as f64 / points as f64);
    (1..=points).map(quantile).map(|q| (q, histogram.value_at_quantile(q) as f64 / 1e3)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_pooled_as_results_json_has_them() {
        let of = |from: u64, samples: u64| {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            (0..samples).for_each(|n| histogram.record(from + n * 1_000).unwrap());
            encode(&histogram)
        };
        let (few, many) = (of(1_000, 600), of(9_000_000, 500));
        let pooled = pooled([few.as_str(), many.as_str()].into_iter()).unwrap();
        let times = times(&pooled);
        assert_eq!((pooled.len(), times.p999), (1_100, Err("needs 10000 samples, has 1100".into())));
        assert!(times.p50.unwrap() < 600.0 && times.p99.unwrap() > 9_000.0);
        for wrong in ["", "?", "AAAA"] {
            assert!(super::pooled([few.as_str(), wrong].into_iter()).is_none(), "{wrong}");
        }
        assert!(super::pooled(std::iter::empty()).is_none());
    }

    #[test]
    fn a_curve_ends_where_ten_samples_lie_beyond() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert_eq!(curve(&histogram, 5), []);
        (1..=10_000).for_each(|n| histogram.record(n * 1_000).unwrap());
        let points = curve(&histogram, 3);
        assert_eq!(points.iter().map(|(q, _)| (q * 1e6).round() / 1e6).collect::<Vec<_>>(), [0.9, 0.99, 0.999]);
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.002;
        assert!(near(points[0].1, 9_000.0) && near(points[2].1, 9_990.0), "{points:?}");
    }
}
