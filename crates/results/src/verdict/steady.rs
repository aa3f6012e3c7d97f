//! Whether the rate was steady within each trial. (How much the trials differ from one another is in the figures' intervals.)

use super::objection::Objection;
use super::scope::Scope;
use crate::schema::{Trial, Verdict};

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
