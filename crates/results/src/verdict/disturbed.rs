//! Disturbances: other programs or other machines used the CPUs, or a CPU quota throttled the target.

use super::objection::Objection;
use super::scope::Scope;
use crate::schema::{DISTURBING_SHARE, Trial, Verdict, disturbance};

/// A trial that others disturbed, and which counts nevertheless.
pub(super) fn by_others(trial: &Trial) -> Option<Objection> {
    Some(Objection::new(Verdict::Disturbed, Scope::CpuTime, disturbance(trial)?))
}

/// A target that its own CPU quota throttled: how fast it is says more about the quota than about the target. It is no
/// [`disturbance`], because the quota would throttle a repeated trial, too.
pub(super) fn by_quota(trial: &Trial) -> Option<Objection> {
    let share = trial.figures.machine.server_throttled.filter(|&share| share > DISTURBING_SHARE)?;
    let why = format!("a CPU quota throttled the target for {:.0} % of the window", share * 100.0);
    Some(Objection::new(Verdict::Disturbed, Scope::Speed, why))
}
