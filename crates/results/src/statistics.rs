//! Statistics over trials: whether two targets differ, by which ratio, and how targets rank.
//!
//! Figures of a server are skewed and scale with the machine's speed. Differences are therefore ratios, and everything
//! here works on logarithms. Trials are interleaved: the n-th trials of all targets run close to each other. Within a
//! run the ratios are taken pair by pair, which removes a drift of the machine's speed.

use crate::units::nine_digits;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};
use statrs::statistics::Statistics;

/// The fewest trials that support an interval or a rank. With three trials, equal targets are called different in 10 %
/// of runs.
pub const MIN_TRIALS: usize = 5;
/// The probability, over all pairs of a comparison together, that at least one pair of equals is called different.
pub(crate) const ALPHA: f64 = 0.05;
/// A difference below this share is no difference, whatever its p-value: the place of a program's code and data in
/// memory alone makes one. Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS
/// 2009.
pub(crate) const LEAST_DIFFERENCE: f64 = 0.03;

/// A measured figure over the trials of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Median over the trials.
    pub median: f64,
    /// Lower end of the interval for the median; null with fewer than five trials.
    pub low: Option<f64>,
    /// Upper end of the interval for the median; null with fewer than five trials.
    pub high: Option<f64>,
}

impl Figure {
    /// Summarises the values of the trials; `None` if there are none.
    ///
    /// The interval is the narrowest pair of order statistics that holds the true median with a probability of at least
    /// 93 %, whatever the distribution: with five trials the lowest and the highest value (1 - 2 × 0.5^5 = 93.75 %).
    pub fn of(values: &[f64]) -> Option<Figure> {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let median = match count {
            0 => return None,
            _ if count % 2 == 1 => values[count / 2],
            _ => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        };
        let cut = interval(count);
        let (low, high) = (cut.map(|cut| values[cut]), cut.map(|cut| values[count - 1 - cut]));
        Some(Figure { median: nine_digits(median), low: low.map(nine_digits), high: high.map(nine_digits) })
    }
}

/// The number of sorted values to leave out at either end of the interval; `None` with fewer than five values.
fn interval(count: usize) -> Option<usize> {
    if count < MIN_TRIALS {
        return None;
    }
    // How many of the values lie below the true median is binomially distributed.
    let below = Binomial::new(0.5, count as u64).expect("a half is a probability");
    (0..count / 2).take_while(|&cut| 2.0 * below.cdf(cut as u64) <= 0.07).last()
}

/// Half the width of the notch around the median, as a share of the median: 1.58 × IQR / √n (R. McGill, J. Tukey, W.
/// Larsen, "Variations of Box Plots", The American Statistician 32, 1978). `None` unless the median is above zero.
///
/// It is a measure of spread, not a confidence interval for few values. In contrast to the order statistics' interval,
/// which are the extremes of five values, a single odd value among five does not widen it.
pub(crate) fn notch(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    // Tukey's hinges where n is 4k + 1.
    let quantile = |q: f64| {
        let at = q * last as f64;
        let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
        below + at.fract() * (above - below)
    };
    let (quartiles, median) = (quantile(0.75) - quantile(0.25), quantile(0.5));
    (median > 0.0).then(|| 1.58 * quartiles / (values.len() as f64).sqrt() / median)
}

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

/// Student's t with `df` degrees of freedom.
fn students_t(df: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, df as f64).expect("there are degrees of freedom")
}

/// The probability that Student's t with `df` degrees of freedom is further from zero than `t`.
fn two_sided_p(t: f64, df: usize) -> f64 {
    2.0 * students_t(df).sf(t.abs())
}

/// The value that |t| exceeds with probability `p`.
fn critical_t(p: f64, df: usize) -> f64 {
    students_t(df).inverse_cdf(1.0 - p / 2.0)
}

fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    values.iter().map(|&value| (value > 0.0 && value.is_finite()).then(|| value.ln())).collect()
}

/// The mean, and the variance of the mean.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    (values.mean(), values.variance() / values.len() as f64)
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
/// logarithms. `None` with fewer than [`MIN_TRIALS`] pairs, or if a value is not above zero.
pub(crate) fn paired(first: &[f64], second: &[f64]) -> Option<Ratio> {
    if first.len().min(second.len()) < MIN_TRIALS {
        return None;
    }
    ratio_of_pairs(first, second)
}

/// The same with any number of pairs from two on.
pub(crate) fn ratio_of_pairs(first: &[f64], second: &[f64]) -> Option<Ratio> {
    let pairs: Vec<f64> = logarithms(first)?.iter().zip(logarithms(second)?).map(|(a, b)| b - a).collect();
    if pairs.len() < 2 {
        return None;
    }
    let (mean, variance) = mean_and_variance(&pairs);
    Some(ratio(mean, variance, pairs.len() - 1))
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
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;

    #[test]
    fn a_figure_has_the_median_and_its_order_statistics_interval() {
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[4.0, 2.0]), Some(Figure { median: 3.0, low: None, high: None }));
        let five = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((five.median, five.low, five.high), (3.0, Some(1.0), Some(5.0)));
        // According to the binomial tables, ranks 2 and 8 of 9 contain the median in 96.1 %, ranks 3 and 7 in 82 %.
        assert_eq!(interval(9), Some(1));
        assert_eq!(interval(20), Some(5));
    }

    /// The ranks of targets whose n-th trials form pairs.
    fn ranks_of(targets: &[Vec<f64>], higher_is_better: bool) -> Vec<Option<usize>> {
        ranks(targets.len(), |first, second| paired(&targets[first], &targets[second]), higher_is_better)
    }

    /// Simulated trials of targets with these speeds. Each trial has 3 % of noise, one trial in 20 is disturbed, and
    /// the machine slows down by a tenth over the run.
    fn run(speeds: &[f64], trials: usize, random: &mut Rng) -> Vec<Vec<f64>> {
        let mut made = vec![Vec::new(); speeds.len()];
        for trial in 0..trials {
            let drift = 1.0 - 0.1 * trial as f64 / trials as f64;
            for (target, speed) in made.iter_mut().zip(speeds) {
                let disturbed = if random.u8(..20) == 0 { 0.85 } else { 1.0 };
                target.push(speed * drift * disturbed * (0.03 * normal(random)).exp());
            }
        }
        made
    }

    fn all_first(speeds: &[f64], random: &mut Rng) -> usize {
        (0..100).filter(|_| ranks_of(&run(speeds, 5, random), true).iter().all(|rank| *rank == Some(1))).count()
    }

    #[test]
    fn equal_targets_are_equal_in_95_of_100_runs() {
        assert!(all_first(&[1e5; 2], &mut Rng::with_seed(1)) >= 95);
        assert!(all_first(&[1e5; 14], &mut Rng::with_seed(2)) >= 95);
    }

    #[test]
    fn different_targets_get_different_ranks_despite_drift() {
        let mut random = Rng::with_seed(3);
        let distinguished = (0..100).filter(|_| {
            let ranks = ranks_of(&run(&[1e5, 2e5, 1e5], 10, &mut random), true);
            ranks == [Some(2), Some(1), Some(2)]
        });
        assert!(distinguished.count() >= 95);
        let less = ranks_of(&run(&[1e5, 2e5], 10, &mut random), false);
        assert_eq!(less, [Some(1), Some(2)]);
    }

    #[test]
    fn a_difference_below_3_percent_is_none_and_one_target_alone_has_no_rank() {
        let trials = |speed: f64| vec![speed, speed * 1.001, speed * 0.999, speed * 1.002, speed];
        let (low, near, far) = (trials(100.0), trials(102.9), trials(103.1));
        assert!(paired(&low, &near).unwrap().p < 1e-6);
        assert_eq!(ranks_of(&[low.clone(), near], true), [Some(1), Some(1)]);
        assert_eq!(ranks_of(&[low.clone(), far.clone()], true), [Some(2), Some(1)]);
        assert_eq!(ranks_of(&[low.clone(), far], false), [Some(1), Some(2)]);
        assert_eq!(ranks_of(&[low], true), [None]);
    }

    #[test]
    fn one_odd_trial_of_five_does_not_widen_a_notch_and_two_speeds_do() {
        let mut random = Rng::with_seed(5);
        let of = |made: &mut dyn FnMut(usize) -> f64| {
            let wide = (0..200).filter(|_| notch(&(0..5).map(&mut *made).collect::<Vec<_>>()).unwrap() > 0.1);
            wide.count()
        };
        assert_eq!(of(&mut |n| if n == 2 { 40.0 } else { 100.0 * (0.03 * normal(&mut random)).exp() }), 0);
        let mut random = Rng::with_seed(6);
        assert_eq!(of(&mut |n| if n < 2 { 70.0 } else { 100.0 } * (0.03 * normal(&mut random)).exp()), 200);
        let mut random = Rng::with_seed(7);
        assert!(of(&mut |_| 100.0 * (0.25 * normal(&mut random)).exp()) > 140);
        assert_eq!(notch(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(1.58 * 2.0 / 5f64.sqrt() / 3.0));
        assert_eq!((notch(&[]), notch(&[0.0; 5])), (None, None));
    }

    #[test]
    fn fewer_than_five_trials_give_no_rank_and_no_ratio() {
        assert_eq!(ranks_of(&run(&[1.0, 9.0], 4, &mut Rng::with_seed(4)), true), [None, None]);
        assert_eq!(paired(&[1.0; 4], &[2.0; 4]), None);
        assert_eq!(unpaired(&[1.0; 5], &[0.0; 5]), None);
        assert_eq!(unpaired(&[1.0; 5], &[2.0; 1]), None);
    }

    #[test]
    fn students_t_agrees_with_the_published_tables() {
        for (df, t, p) in [(1, 12.706, 0.05), (2, 4.303, 0.05), (4, 2.776, 0.05), (4, 4.604, 0.01), (9, 2.262, 0.05)] {
            assert!((two_sided_p(t, df) - p).abs() < 1e-4, "{df}: {}", two_sided_p(t, df));
            assert!((critical_t(p, df) - t).abs() < 1e-2);
        }
    }

    #[test]
    fn holms_method_stops_at_the_first_comparison_that_is_not_significant() {
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), [true, false, false, true]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn jains_index_is_one_for_equal_shares_and_1_in_n_for_one_winner() {
        assert_eq!(fairness([5, 5, 5].into_iter()), Some(1.0));
        assert_eq!(fairness([8, 0, 0, 0].into_iter()), Some(0.25));
        assert_eq!(fairness([0, 0].into_iter()), None);
    }
}
