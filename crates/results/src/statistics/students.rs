//! Student's t, and what it is computed of.

use std::cell::RefCell;
use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// The probability with which an interval misses the true value, and that with which equals are called different: over all
/// pairs of a comparison together, some pair of them.
pub(super) const ALPHA: f64 = 0.05;

/// Student's t with `df` degrees of freedom.
fn students_t(df: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, df as f64).expect("there are degrees of freedom")
}

/// The probability that Student's t with `df` degrees of freedom is further from zero than `t`.
pub(super) fn two_sided_p(t: f64, df: usize) -> f64 {
    2.0 * students_t(df).sf(t.abs())
}

/// The value that |t| exceeds with probability `p`.
pub(super) fn critical_t(p: f64, df: usize) -> f64 {
    thread_local! {
        /// It takes a hundred microseconds, and the same few are asked for again and again.
        static KNOWN: RefCell<BTreeMap<(u64, usize), f64>> = const { RefCell::new(BTreeMap::new()) };
    }
    let find = || students_t(df).inverse_cdf(1.0 - p / 2.0);
    KNOWN.with_borrow_mut(|known| *known.entry((p.to_bits(), df)).or_insert_with(find))
}

/// The logarithms; `None` if a value is not above zero.
pub(super) fn logarithms(values: &[f64]) -> Option<Vec<f64>> {
    values.iter().map(|&value| (value > 0.0 && value.is_finite()).then(|| value.ln())).collect()
}

/// The mean, and the variance of the mean.
pub(super) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    (values.mean(), values.variance() / values.len() as f64)
}
