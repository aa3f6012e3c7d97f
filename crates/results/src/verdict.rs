//! Decides which figures of a cell may be compared, and if not, why.
//!
//! Each rule looks at the trials that count ([`Cell::counted_trials`]) and may raise an objection: a verdict, its reason, and the figures that it falls
//! on. A figure has the gravest verdict that falls on it, and the cell has the gravest of all. A rule objects if one
//! trial gives cause; whether they have a trend is decided over all, because a median bears an odd one. How much trials
//! differ is no objection: the intervals say it.
//!
//! | verdict | cause | falls on |
//! |---|---|---|
//! | errors | a request failed, none was answered, or the target was gone | all |
//! | unsupported | the target cannot work on this machine | all |
//! | not-cold | files that should not be in memory were there | all |
//! | starved | connections were not served, beyond chance, or background connections not held | speed |
//! | client-limited | the generator was the bottleneck, or was kept from its CPUs | speed, as bounds |
//! | client-limited | the generator sent late | times, as bounds |
//! | client-limited | this machine could not try all connections | speed |
//! | disturbed | others used the CPUs | all but levels, and the counts of calls and faults |
//! | disturbed | a CPU quota throttled the target | speed |
//! | unstable | the rate had a trend (except with cold files), did not fit the latency, or was not the offered one | speed |
//! | undercounted | children of a guest were not charged to it | its CPU time, switches and page faults, as bounds |
//!
//! *Speed* is the throughput and the times. CPU time a request stays valid where speed alone has a flaw: it does not
//! depend on how fast the generator is. A failed request is usually a cheap one, so a target that fails some requests
//! would look faster than it is.

mod client;
mod cold;
mod counted;
mod disturbed;
mod late;
mod objection;
mod pace;
mod scope;
mod served;
mod steady;

pub(crate) use client::{SATURATED_SHARE, share_of_cpus};
pub(crate) use cold::share_from_disk;
pub use late::allowed_lateness;
pub use pace::kept_up;
pub(crate) use served::not_held;
pub(crate) use steady::trend;

pub use crate::schema::disturbance;

use crate::knee;
use crate::lists::add_new;
use crate::outcomes::OutcomeClass;
use crate::schema::{Cell, Flaw, Trial, Verdict};
use objection::Objection;
use scope::Scope;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What speaks against a trial.
type Rule<'a> = &'a dyn Fn(&Trial) -> Option<Objection>;

/// Sets the verdict, the reasons and the flaws of a cell from its trials, and takes away percentiles that were not
/// measured: those of a starved cell, and in an open loop those that contain the generator's own lateness.
///
/// A verdict of `errors` or `unsupported` and the reasons that the cell has already are kept, before those that follow
/// from the trials. `server_cpus` are the CPUs that the target could run on.
pub fn judge(cell: &mut Cell, server_cpus: usize) {
    let told = std::mem::take(&mut cell.reasons);
    let mut objections = Vec::new();
    if matches!(cell.verdict, Verdict::Errors | Verdict::Unsupported) {
        let why = told.first().cloned().unwrap_or_else(|| cell.verdict.name().into());
        objections.push(Objection::new(cell.verdict, Scope::All, why));
    }
    objections.extend(errors(cell));
    let trials = cell.counted_trials();
    let schedule = cell.key.load.schedule;
    let cache = cell.key.load.cache;
    let rules: [Rule<'_>; 9] = [
        &|trial| cold::not_cold(trial, cache),
        &|trial| served::unserved_or_uneven(trial, &cell.key),
        &served::background,
        &disturbed::by_others,
        &disturbed::by_quota,
        &|trial| client::busy(trial, schedule, server_cpus),
        &|trial| client::kept_from_cpu(trial, schedule),
        &|trial| client::offered(trial, schedule),
        &counted::in_part,
    ];
    objections.extend(rules.iter().filter_map(|rule| trials.iter().find_map(|trial| rule(trial))));
    objections.extend(client::network(&trials));
    objections.extend(steady::unsteady(&trials, cache));
    let late = late::late(cell, &trials);
    objections.extend(late.iter().map(|late| late.objection.clone()));
    objections.sort_by_key(|objection| Reverse(objection.verdict));
    cell.flaws = objection::flaws(&objections);
    cell.verdict = objections.first().map_or(Verdict::Valid, |objection| objection.verdict);
    // The percentiles of a starved cell would be those of the connections that were served.
    if let Some(starved) = objections.iter().find(|objection| objection.verdict == Verdict::Starved) {
        let why = format!("starved: {}", starved.why);
        take("latency_us", &["p50", "p90", "p99", "p999"], cell, &why);
        take("service_time_us", &["p50", "p90", "p99", "p999"], cell, &why);
    }
    if let Some(late) = late {
        take("latency_us", late.percentiles, cell, &late.objection.why);
    }
    add_new(&mut cell.reasons, told);
    add_new(&mut cell.reasons, objections.iter().map(|objection| objection.why.clone()));
    knee::judge(cell);
}

/// The cell as it would be judged if no request had failed and the target had always been there: its flaws are those that
/// lie beneath the verdict `errors`. `machine_cpus` are those of a target that does not say which it could run on.
pub(crate) fn beneath_errors(cell: &Cell, machine_cpus: usize) -> Cell {
    let mut cell = Cell { verdict: Verdict::Valid, reasons: Vec::new(), ..cell.clone() };
    for class in OutcomeClass::ALL.into_iter().filter(|class| class.is_error()) {
        cell.outcomes[class] = 0;
    }
    cell.trials.iter_mut().for_each(|trial| trial.gone = None);
    let cpus = cell.server_cpus.unwrap_or(machine_cpus);
    judge(&mut cell, cpus);
    cell
}

/// The flaws of a cell of which only the verdict and a reason are known.
pub(crate) fn flaws_of(verdict: Verdict, why: &str) -> BTreeMap<String, Flaw> {
    let scope = match verdict {
        Verdict::Valid => return BTreeMap::new(),
        Verdict::Errors | Verdict::Unsupported | Verdict::NotCold => Scope::All,
        Verdict::Disturbed => Scope::CpuTime,
        Verdict::Undercounted => Scope::CountedBounds,
        Verdict::Starved | Verdict::ClientLimited | Verdict::Unstable => Scope::Speed,
    };
    objection::flaws(&[Objection::new(verdict, scope, why)])
}

/// Takes away percentiles of a group of times.
fn take(group: &'static str, fields: &[&str], cell: &mut Cell, why: &str) {
    cell.figures = cell.figures.map(|name, figure| {
        let is_taken = name.group == group && fields.contains(&name.field) && figure.is_some();
        if is_taken {
            cell.missing.insert(name.path(), why.to_owned());
        }
        figure.filter(|_| !is_taken)
    });
}

/// Failed requests by class, no answers at all, and a target that was gone.
fn errors(cell: &Cell) -> Vec<Objection> {
    let mut found = Vec::new();
    for (class, count) in cell.outcomes.iter().filter(|&(class, count)| class.is_error() && count > 0) {
        found.push(format!("{count} of {} requests ended as {}", cell.outcomes.total(), class.name()));
    }
    let is_whole = cell.trials.iter().any(|trial| !trial.aborted);
    if found.is_empty() && cell.outcomes[OutcomeClass::Ok] == 0 && is_whole {
        found.push("no request was answered within the window".into());
    }
    found.extend(cell.trials.iter().filter_map(|trial| trial.gone.clone()));
    found.into_iter().map(|why| Objection::new(Verdict::Errors, Scope::All, why)).collect()
}

#[cfg(test)]
mod tests;
