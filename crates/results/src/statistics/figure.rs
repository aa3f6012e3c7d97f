//! A figure of a cell: the median over its trials, and an interval.

use super::students::{ALPHA, critical_t, logarithms, mean_and_variance};
use crate::units::nine_digits;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

/// The fewest values that an interval is made of.
pub const LEAST_FOR_INTERVAL: usize = 3;
/// The fewest values whose extremes hold the median with a probability of at least 93 %.
pub(super) const LEAST_FOR_ORDER_STATISTICS: usize = 5;

/// A measured figure over the trials of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Median over the trials.
    pub median: f64,
    /// Lower end of the interval for the median; null with fewer than three trials.
    pub low: Option<f64>,
    /// Upper end of the interval for the median; null with fewer than three trials.
    pub high: Option<f64>,
}

impl Figure {
    /// Summarises the values of the trials; `None` if there are none.
    ///
    /// From five trials on, the interval is the narrowest pair of order statistics that holds the true median with a
    /// probability of at least 93 %, whatever the distribution: with five trials the lowest and the highest value
    /// (1 - 2 × 0.5^5 = 93.75 %). The extremes of three or four values hold it in 75 % and 87.5 % only. There, the interval
    /// is Student's, of the geometric mean, at 95 %, which holds the median in 94 to 96 % of simulated runs; it is wider than
    /// the extremes, and there is none unless all values are above zero.
    pub fn of(values: &[f64]) -> Option<Figure> {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        let median = match count {
            0 => return None,
            _ if count % 2 == 1 => values[count / 2],
            _ => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        };
        let interval = match count {
            _ if count < LEAST_FOR_INTERVAL => None,
            _ if count < LEAST_FOR_ORDER_STATISTICS => students_interval(&values),
            _ => Some((values[left_out(count)], values[count - 1 - left_out(count)])),
        };
        let (low, high) = interval.map(|(low, high)| (nine_digits(low), nine_digits(high))).unzip();
        Some(Figure { median: nine_digits(median), low, high })
    }

    /// How far the interval reaches to its wider side, as a share of the median; `None` without an interval, or if the median
    /// is not above zero.
    pub fn half_width(&self) -> Option<f64> {
        let (low, high) = self.low.zip(self.high).filter(|_| self.median > 0.0)?;
        Some((high - self.median).max(self.median - low) / self.median)
    }
}

/// The 95 % interval of the geometric mean by Student's t on logarithms; `None` if a value is not above zero.
fn students_interval(values: &[f64]) -> Option<(f64, f64)> {
    let logarithms = logarithms(values)?;
    let (mean, variance) = mean_and_variance(&logarithms);
    let half = critical_t(ALPHA, values.len() - 1) * variance.sqrt();
    Some(((mean - half).exp(), (mean + half).exp()))
}

/// The number of sorted values to leave out at either end of the interval by order statistics; at least five values.
pub(super) fn left_out(count: usize) -> usize {
    // How many of the values lie below the true median is binomially distributed.
    let below = Binomial::new(0.5, count as u64).expect("a half is a probability");
    (0..count / 2).take_while(|&cut| 2.0 * below.cdf(cut as u64) <= 0.07).last().unwrap_or(0)
}
