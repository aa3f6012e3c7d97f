//! Measures how often an interval for a median contains the true median: by Student's t, by order statistics, and by the
//! bootstrap.
//!
//! `cargo test -p results coverage -- --nocapture` prints the table that the README quotes.

use super::figure::LEAST_FOR_ORDER_STATISTICS;
use super::*;
use fastrand::Rng;
use statrs::function::factorial::binomial;

/// Simulated runs of each size from each distribution. A coverage of 95 % is then exact to 0.4 %.
const RUNS: usize = 3_000;

fn skewed(random: &mut Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Noise of 3 %; one trial in 20 is slowed down by far more.
fn disturbed(random: &mut Rng) -> f64 {
    let disturbed = if random.u8(..20) == 0 { -0.16 } else { 0.0 };
    disturbed + 0.03 * normal(random)
}

type Draw = fn(&mut Rng) -> f64;

/// Each distribution of the logarithms with its true median. The median of the last one is at the 9/19 quantile of its noise.
const DISTRIBUTIONS: [(Draw, f64); 3] =
    [(normal, 0.0), (skewed, std::f64::consts::LN_2), (disturbed, -0.066_02 * 0.03)];

/// The bootstrap's distribution of the median of `n` values, over all possible resamples instead of some thousands of
/// them (Efron, Annals of Statistics 7, 1979, section 3). Each entry has two ranks, counted from 1, and the probability
/// that the two middle values of a resample have these ranks; for an odd `n` both ranks are the same.
fn resampled(n: usize) -> Vec<(usize, usize, f64)> {
    let half = n.div_ceil(2);
    let share = |k: usize| k as f64 / n as f64;
    let up_to = |k: usize| {
        (half..=n)
            .map(|j| binomial(n as u64, j as u64) * share(k).powi(j as i32) * (1.0 - share(k)).powi((n - j) as i32))
            .sum::<f64>()
    };
    let mut chances = Vec::new();
    for low in 1..=n {
        let mut same = up_to(low) - up_to(low - 1);
        for high in low + 1..=n * (1 - n % 2) {
            let power = |k: usize| share(k).powi(half as i32);
            let chance = binomial(n as u64, half as u64)
                * (power(low) - power(low - 1))
                * (power(n - high + 1) - power(n - high));
            same -= chance;
            chances.push((low, high, chance));
        }
        chances.push((low, low, same));
    }
    chances
}

/// The 95 % interval between the 2.5 % and the 97.5 % quantile of the resampled medians.
fn bootstrap(sorted: &[f64], resampled: &[(usize, usize, f64)]) -> (f64, f64) {
    let median = |&(low, high, chance): &(usize, usize, f64)| ((sorted[low - 1] + sorted[high - 1]) / 2.0, chance);
    let mut medians: Vec<(f64, f64)> = resampled.iter().map(median).collect();
    medians.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    let low = medians.iter().find(|median| {
        sum += median.1;
        sum >= 0.025
    });
    sum = 0.0;
    let high = medians.iter().rev().find(|median| {
        sum += median.1;
        sum >= 0.025
    });
    (low.unwrap().0, high.unwrap().0)
}

/// The share of runs whose order-statistics interval contains the true median, the same share for the bootstrap
/// interval, and the width of the bootstrap interval relative to the other.
fn covered(n: usize, draw: Draw, truth: f64) -> (f64, f64, f64) {
    let (resampled, mut random) = (resampled(n), Rng::with_seed(n as u64));
    let (mut held, mut widths) = ([0.0; 2], [0.0; 2]);
    for _ in 0..RUNS {
        let mut values: Vec<f64> = std::iter::repeat_with(|| draw(&mut random)).take(n).collect();
        values.sort_unstable_by(f64::total_cmp);
        let ours = Figure::of(&values).unwrap();
        let both = [(ours.low.unwrap(), ours.high.unwrap()), bootstrap(&values, &resampled)];
        for (at, (low, high)) in both.into_iter().enumerate() {
            held[at] += f64::from(u8::from((low..=high).contains(&truth))) / RUNS as f64;
            widths[at] += high - low;
        }
    }
    (held[0], held[1], widths[1] / widths[0])
}

#[test]
fn order_statistics_keep_their_coverage_where_the_bootstrap_does_not() {
    for n in LEAST_FOR_ORDER_STATISTICS..=10 {
        assert!((resampled(n).iter().map(|(.., chance)| chance).sum::<f64>() - 1.0).abs() < 1e-9);
        for (draw, truth) in DISTRIBUTIONS {
            let (ours, bootstrap, width) = covered(n, draw, truth);
            println!("{n} trials: order statistics {ours:.3}, bootstrap {bootstrap:.3}, {width:.2} times as wide");
            assert!(ours > 0.93 - 0.01, "{n}: {ours}");
            match n {
                5 | 9 => assert!((ours - bootstrap).abs() < 1e-9 && (width - 1.0).abs() < 1e-6, "they are the same"),
                7 => assert!(bootstrap < 0.89, "{bootstrap}"),
                _ => assert!(bootstrap < ours && width < 1.0, "{n}: {bootstrap}, {width}"),
            }
        }
    }
}

#[test]
fn three_or_four_trials_keep_their_coverage_by_students_t() {
    for n in LEAST_FOR_INTERVAL..LEAST_FOR_ORDER_STATISTICS {
        for (at, (draw, truth)) in DISTRIBUTIONS.into_iter().enumerate() {
            let mut random = Rng::with_seed(n as u64);
            let holds = |_: &usize| {
                let values: Vec<f64> = (0..n).map(|_| draw(&mut random).exp()).collect();
                let figure = Figure::of(&values).unwrap();
                (figure.low.unwrap()..=figure.high.unwrap()).contains(&truth.exp())
            };
            let held = (0..RUNS).filter(holds).count() as f64 / RUNS as f64;
            println!("{n} trials, distribution {at}: Student's t {held:.3}");
            assert!(held > 0.92, "{n}: {held}");
        }
    }
}
