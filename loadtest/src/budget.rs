//! The budget of a run: when the load has to end, and what is said of that which it left out.

use crate::agenda::Agenda;
use crate::stop::Stop;
use results::units::{duration, plural};
use results::{Load, Plan};
use std::time::{Duration, Instant};

/// The part of the budget that is kept for judging the cells, printing them and writing the files: at least so much ...
const LEAST_RESERVE: Duration = Duration::from_millis(500);
/// ... and this for each planned trial.
const RESERVE_OF_TRIAL: Duration = Duration::from_millis(3);

/// The time that the run takes after its last trial.
pub fn reserve(plan: &Plan) -> Duration {
    LEAST_RESERVE + RESERVE_OF_TRIAL * (plan.cells().len() * plan.trials) as u32
}

/// When the last trial has to be over; `None` without a budget.
pub fn limit(plan: &Plan, began: Instant) -> Option<Instant> {
    plan.budget.map(|budget| began + budget.saturating_sub(reserve(plan)))
}

/// A planned block that the end of the budget cut short.
pub struct CutShort<'a> {
    /// Its load.
    pub load: &'a Load,
    /// Its trials that were measured.
    pub measured: usize,
    /// All its trials.
    pub trials: usize,
}

/// What the budget left out, in words: a line for each kind.
pub fn remarks(plan: &Plan, agenda: &Agenda, cut_short: Option<CutShort<'_>>) -> Vec<String> {
    let Some(budget) = plan.budget.map(duration) else { return Vec::new() };
    let mut lines = Vec::new();
    let blocks: Vec<(usize, usize)> = agenda.left_out().collect();
    let measured = || blocks.iter().map(|&(made, _)| made).filter(|&made| made > 0);
    let (made, missing) = blocks.iter().fold((0, 0), |(a, b), (made, missing)| (a + made, b + missing));
    if let Some(least) = measured().min()
        && missing > 0
    {
        let (made, all, or_more) = match measured().all(|made| made == least) {
            true => (least, plan.trials, ""),
            false => (made, made + missing, " or more"),
        };
        let each = match blocks.len() {
            1 => "it",
            _ if blocks.iter().any(|&(made, _)| made == 0) => "each other load",
            _ => "each load",
        };
        lines.push(format!("the budget of {budget} left room for {made} of {all} blocks: {each} has {least}{or_more}"));
    }
    let without: Vec<String> = plan
        .loads
        .iter()
        .zip(&blocks)
        .filter(|(_, (made, missing))| *made == 0 && *missing > 0)
        .map(|(load, _)| load.to_string())
        .collect();
    if !without.is_empty() {
        let loads = if without.len() == 1 { "load" } else { "loads" };
        lines.push(format!("the budget of {budget} left out the {loads} {}", without.join("; ")));
    }
    if let Some(CutShort { load, measured, trials }) = cut_short {
        let of = plural(trials, "trial");
        lines.push(format!(
            "the budget of {budget} was over within a block: {measured} of its {of} ({load}) were measured"
        ));
    }
    if agenda.lacks_precision() {
        let wanted = plan.precision.unwrap_or_default() * 100.0;
        lines.push(format!(
            "the budget of {budget} was over before each interval of CPU time a request was within {wanted} %"
        ));
    }
    lines
}

/// An estimated time to the end of the run: no budget leaves more than the time until `stop` and the reserve.
pub fn limited(estimate: Duration, stop: Stop<'_>, reserve: Duration) -> Duration {
    stop.left().map_or(estimate, |left| estimate.min(left + reserve))
}
