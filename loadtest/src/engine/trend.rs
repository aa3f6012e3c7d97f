//! Looks for a trend in the rate of answers within a window.

/// The critical value of the standard normal distribution for a two-sided p of 0.01.
const CRITICAL: f64 = 2.576;
/// A smaller change of the rate is no trend, however certain it is.
const SMALLEST: f64 = 0.1;

/// How much the rate changed from the first to the last quarter, as a share of the first (of one answer a slice, if there
/// were fewer), if it changed by more than a tenth, and the slices show a monotonic trend that is more than chance.
///
/// The test is that of Mann (Econometrica 13, 1945) and Kendall (Rank Correlation Methods, 1975), with p < 0.01. It looks
/// only at which of two slices has more answers, so a single slow slice makes no trend.
pub fn trend(answers: &[u64]) -> Option<f64> {
    let quarter = answers.len() / 4;
    if quarter == 0 {
        return None;
    }
    let quarters = [&answers[..quarter], &answers[answers.len() - quarter..]];
    let [first, last] = quarters.map(|slices| slices.iter().sum::<u64>() as f64 / quarter as f64);
    let change = (last - first) / first.max(1.0);
    (change.abs() > SMALLEST && mann_kendall(answers).abs() > CRITICAL).then_some(change)
}

/// The statistic Z of the Mann-Kendall test, which is normally distributed if there is no trend.
fn mann_kendall(values: &[u64]) -> f64 {
    let pairs =
        values.iter().enumerate().flat_map(|(n, earlier)| values[n + 1..].iter().map(move |later| (earlier, later)));
    let sum: i64 = pairs.map(|(earlier, later)| later.cmp(earlier) as i64).sum();
    let variance = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|equal| variance(equal.len() as f64)).sum();
    let deviation = (variance(values.len() as f64) - ties).sqrt();
    match sum {
        0 => 0.0,
        // The correction for continuity.
        _ => (sum - sum.signum()) as f64 / deviation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::slices::SLICES;

    #[test]
    fn the_statistic_is_that_of_the_literature() {
        // Ten growing values: S = 45, variance 10·9·25/18 = 125. With one tie: S = 44, variance 125 - 2·1·9/18 = 124.
        assert!((mann_kendall(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) - 44.0 / 125f64.sqrt()).abs() < 1e-12);
        assert!((mann_kendall(&[1, 2, 3, 4, 5, 5, 7, 8, 9, 10]) - 43.0 / 124f64.sqrt()).abs() < 1e-12);
        assert_eq!(mann_kendall(&[3, 3, 3]), 0.0);
        assert_eq!(mann_kendall(&[9, 5, 1]), -2.0 / (66.0 / 18.0f64).sqrt());
    }

    #[test]
    fn a_rate_with_noise_seldom_has_a_trend() {
        let mut random = fastrand::Rng::with_seed(7);
        for noise in [1, 10, 100, 1_000] {
            let windows = 2_000;
            let mut window = || (0..SLICES).map(|_| 1_000 + random.u64(0..noise)).collect::<Vec<u64>>();
            let found = (0..windows).filter(|_| trend(&window()).is_some()).count();
            assert!(found <= windows / 50, "{found} of {windows} with noise of {noise}");
        }
    }

    #[test]
    fn a_server_that_gets_faster_or_slower_has_a_trend() {
        let rates = |change: f64| -> Vec<u64> {
            let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
            (0..SLICES as u64).map(|n| (1_000.0 + change * 1_000.0 * n as f64 / 20.0) as u64 + noise(n)).collect()
        };
        assert!((trend(&rates(0.5)).unwrap() - 0.35).abs() < 0.02);
        assert!((trend(&rates(-0.5)).unwrap() + 0.39).abs() < 0.02);
        assert_eq!(trend(&rates(0.05)), None, "too small a change");
        let mut warming = vec![1_000; SLICES];
        warming[0] = 100;
        assert_eq!(trend(&warming), None, "one slow slice");
        assert_eq!((trend(&[0; SLICES]), trend(&[])), (None, None));
    }
}
