//! Whether the rate was steady within each trial. (How much the trials differ from one another is in the figures' intervals.)

use super::objection::Objection;
use super::scope::Scope;
use crate::cache::Cache;
use crate::schema::{Trial, Verdict};

/// The rate of answers rose within the window in at least half of the trials, or fell in so many: a target that begins anew for each
/// trial and needs longer to settle does so in all of them.
pub(crate) fn trend(trials: &[&Trial]) -> Option<String> {
    let trends = trials.iter().filter_map(|trial| trial.trend);
    let (falls, rises): (Vec<f64>, Vec<f64>) = trends.partition(|&trend| trend < 0.0);
    let (how, trends) = if falls.len() > rises.len() { ("fell", falls) } else { ("rose", rises) };
    let first = trends.first().filter(|_| trends.len() * 2 >= trials.len())?;
    let share = first.abs() * 100.0;
    Some(format!("the rate {how} by {share:.0} % within the window"))
}

/// A rate that had a trend is no property of the target. But where files are cold, memory fills while they are read, and that is a
/// trend of its own; it is the same for all targets, and the mean over the window is what counts.
pub(super) fn unsteady(trials: &[&Trial], cache: Option<Cache>) -> Option<Objection> {
    let trend = trend(trials).filter(|_| !cache.is_some_and(Cache::needs_the_disk))?;
    let why = format!("{trend}; a longer --warmup shows whether it settles");
    Some(Objection::new(Verdict::Unstable, Scope::Speed, why))
}
