//! Statistics over trials: whether two targets differ, by which ratio, and how targets rank.
//!
//! Figures of a server are skewed and scale with the machine's speed. Differences are therefore ratios, and everything
//! here works on logarithms. Trials are interleaved: the n-th trials of all targets run close to each other. Within a
//! run the ratios are taken pair by pair, which removes a drift of the machine's speed.

mod figure;
mod students;

pub use figure::{Figure, LEAST_FOR_INTERVAL};

use students::{ALPHA, critical_t, logarithms, mean_and_variance, two_sided_p};

/// The fewest trials with which a target is ranked, or two single runs are compared. With four, some of 14 equal targets
/// are called different in 3 % of runs.
pub const MIN_TRIALS: usize = 4;
/// The fewest pairs of trials by which two targets are compared: if both have [`MIN_TRIALS`] trials, one of them may lack its
/// counterpart. Three keep the same 3 %, but show only large differences.
pub(crate) const LEAST_PAIRS: usize = 3;
/// A difference below this share is no difference, whatever its p-value: the place of a program's code and data in
/// memory alone makes one. Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS
/// 2009.
pub(crate) const LEAST_DIFFERENCE: f64 = 0.03;

/// A ratio with its confidence interval and p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// Geometric mean of the second to the first.
    pub ratio: f64,
    /// Lower end of its 95 % confidence interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The p-value: the probability that equals show a ratio at least this far from 1. It has to be corrected if there
    /// are several comparisons.
    pub p: f64,
}

impl Ratio {
    /// Whether the ratio is so close to 1 that it is no difference: see [`LEAST_DIFFERENCE`].
    pub(crate) fn is_negligible(&self) -> bool {
        self.ratio.ln().abs() < LEAST_DIFFERENCE.ln_1p()
    }
}

fn ratio(mean: f64, variance: f64, df: usize) -> Ratio {
    let error = variance.sqrt();
    let p = match mean.abs() {
        same if same < 1e-12 => 1.0,
        apart => two_sided_p(apart / error.max(1e-15), df),
    };
    let half = critical_t(ALPHA, df) * error;
    Ratio { ratio: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp(), p }
}

/// The ratio of `second` to `first`, whose n-th values were measured close to each other: Student's paired t-test on
/// logarithms. `None` with fewer than [`LEAST_PAIRS`] pairs, or if a value is not above zero.
pub(crate) fn paired(first: &[f64], second: &[f64]) -> Option<Ratio> {
    let pairs: Vec<f64> = logarithms(first)?.iter().zip(logarithms(second)?).map(|(a, b)| b - a).collect();
    if pairs.len() < LEAST_PAIRS {
        return None;
    }
    let (mean, variance) = mean_and_variance(&pairs);
    Some(ratio(mean, variance, pairs.len() - 1))
}

/// The mean of values, and half of its interval, which misses the true mean with probability `alpha`: Student's t.
pub(crate) fn mean_interval(values: &[f64], alpha: f64) -> (f64, f64) {
    let (mean, variance) = mean_and_variance(values);
    (mean, critical_t(alpha, values.len() - 1) * variance.sqrt())
}

/// The slope of a line through points, by least squares.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (products, squares) =
        points.iter().fold((0.0, 0.0), |(p, s), point| (p + (point.0 - x) * (point.1 - y), s + (point.0 - x).powi(2)));
    products / squares
}

/// About how many values, up to `most`, make the half of an interval narrower than `wanted`, if more values vary as those did of
/// which there are `count` and which gave `half`; `None` if so many are not enough.
pub(crate) fn values_needed(count: usize, half: f64, wanted: f64, alpha: f64, most: usize) -> Option<usize> {
    let deviations = half / critical_t(alpha, count - 1) * (count as f64).sqrt() / wanted;
    // Student's t depends on their number: with the one of many values, too few are needed, and with the one of those too many.
    let needed = |of: usize| (critical_t(alpha, of - 1) * deviations).powi(2).ceil();
    let is_enough = |values: f64| values.is_finite() && values <= most as f64;
    let mut values = needed(most);
    for _ in 0..3 {
        values = if is_enough(values) { needed((values as usize).max(count + 1)) } else { return None };
    }
    is_enough(values).then_some((values as usize).max(count + 1))
}

/// The ratio of `second` to `first` for values of two runs, which do not form pairs: Welch's t-test (Biometrika 34,
/// 1947), with its degrees of freedom rounded down. `None` with fewer than two values on a side, or if a value is not above
/// zero.
pub(crate) fn unpaired(first: &[f64], second: &[f64]) -> Option<Ratio> {
    let (first, second) = (logarithms(first)?, logarithms(second)?);
    if first.len().min(second.len()) < 2 {
        return None;
    }
    let ((a, va), (b, vb)) = (mean_and_variance(&first), mean_and_variance(&second));
    let (na, nb) = ((first.len() - 1) as f64, (second.len() - 1) as f64);
    let df = (va + vb).powi(2) / (va * va / na + vb * vb / nb);
    let df = if df.is_finite() { df } else { na + nb };
    Some(ratio(b - a, va + vb, (df as usize).max(1)))
}

/// Which of several comparisons are significant at [`ALPHA`] over all of them: S. Holm, "A Simple Sequentially
/// Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
pub(crate) fn holm(p: &[f64]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut significant = vec![false; p.len()];
    for (rank, &index) in order.iter().enumerate() {
        if p[index] > ALPHA / (p.len() - rank) as f64 {
            break;
        }
        significant[index] = true;
    }
    significant
}

/// The rank of each of some targets, of which `compare` gives the ratio of the second to the first: one more than the
/// number of targets that are better, significantly and not negligibly. All `None` unless there are at least two and
/// each two of them can be compared.
pub(crate) fn ranks(
    targets: usize,
    compare: impl Fn(usize, usize) -> Option<Ratio>,
    higher_is_better: bool,
) -> Vec<Option<usize>> {
    if targets < 2 {
        return vec![None; targets];
    }
    let mut pairs = Vec::new();
    for second in 0..targets {
        for first in 0..second {
            match compare(first, second) {
                Some(ratio) => pairs.push((first, second, ratio)),
                None => return vec![None; targets],
            }
        }
    }
    let mut ranks = vec![Some(1); targets];
    let significant = holm(&pairs.iter().map(|(.., ratio)| ratio.p).collect::<Vec<_>>());
    let differ =
        pairs.iter().zip(significant).filter(|((.., ratio), significant)| *significant && !ratio.is_negligible());
    for ((first, second, ratio), _) in differ {
        let worse = if (ratio.ratio > 1.0) == higher_is_better { *first } else { *second };
        ranks[worse] = ranks[worse].map(|rank| rank + 1);
    }
    ranks
}

/// Jain's fairness index of `n` shares: 1 if all shares are equal, 1/n if one has everything. R. Jain, D. Chiu, W.
/// Hawe, DEC-TR-301, 1984. `None` if all shares are zero.
pub fn fairness(shares: impl Iterator<Item = u32>) -> Option<f64> {
    let (n, sum, squares) = shares.map(f64::from).fold((0.0, 0.0, 0.0), |(n, s, q), x| (n + 1.0, s + x, q + x * x));
    (squares > 0.0).then(|| sum * sum / (n * squares))
}

#[cfg(test)]
mod coverage;

/// A normally distributed number with mean 0 and deviation 1 (Box and Muller, 1958).
#[cfg(test)]
pub(crate) fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests;
