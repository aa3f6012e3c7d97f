//! Whether the trials agree, and whether the rate was steady within each.

use super::objection::Objection;
use super::scope::Scope;
use crate::schema::{Trial, Verdict};
use crate::statistics::notch;

/// A figure whose steadiness is judged: its name in words, its value, the largest half of its notch as a share of its
/// median, and the paths of the figures that vary with it.
type Steady = (&'static str, fn(&Trial) -> Option<f64>, f64, &'static [&'static str]);
const FIGURES: [Steady; 3] = [
    (
        "CPU time a request",
        |trial| trial.figures.server.cpu_us_per_request,
        0.10,
        &["server.cpu_us_per_request", "server.user_us_per_request", "server.system_us_per_request"],
    ),
    ("throughput", |trial| trial.figures.throughput, 0.10, &["throughput", "bytes_per_second"]),
    ("p99", |trial| trial.figures.latency_us.p99, 0.25, &["latency_us.p99", "latency_us.p999"]),
];
/// With fewer trials, nothing is said.
const FEWEST: usize = 3;

/// The figures whose median is known less well than that, by the notch around it. A single odd trial among five or
/// more does not widen a notch.
pub(super) fn differ(trials: &[&Trial]) -> Vec<Objection> {
    let objection = |(name, value, limit, paths): Steady| {
        let values: Option<Vec<f64>> = trials.iter().map(|trial| value(trial)).collect();
        let share = notch(&values.filter(|values| values.len() >= FEWEST)?).filter(|&share| share > limit)?;
        let why = format!("the trials differ: the median {name} is known to ±{:.0} % only", share * 100.0);
        Some(Objection::new(Verdict::Unstable, Scope::These(paths), why))
    };
    FIGURES.into_iter().filter_map(objection).collect()
}

/// The rate of answers rose within the window in at least half of the trials, or fell in so many: a target that begins anew for each
/// trial and needs longer to settle does so in all of them.
pub(super) fn trend(trials: &[&Trial]) -> Option<Objection> {
    let trends = trials.iter().filter_map(|trial| trial.trend);
    let (falls, rises): (Vec<f64>, Vec<f64>) = trends.partition(|&trend| trend < 0.0);
    let (how, trends) = if falls.len() > rises.len() { ("fell", falls) } else { ("rose", rises) };
    let first = trends.first().filter(|_| trends.len() * 2 >= trials.len())?;
    let share = first.abs() * 100.0;
    let why = format!("the rate {how} by {share:.0} % within the window; a longer --warmup shows whether it settles");
    Some(Objection::new(Verdict::Unstable, Scope::Speed, why))
}
