//! Remarks about a cell, which leave its verdict as it is: how well the schedule was kept, where its answers point to,
//! what became of the connections, and what happened meanwhile.

use crate::background::{BackgroundGroup, BackgroundResults};
use crate::figures::Name;
use crate::lists::add_new;
use crate::schedule::Schedule;
use crate::schema::Cell;
use crate::statistics::Figure;
use crate::units::{count, micros, plural};
use std::collections::{BTreeMap, BTreeSet};

/// Remarks about a cell, a line each.
pub fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let (Some(offered), Some(achieved)) = (cell.figures.pace.offered_per_second, cell.figures.pace.achieved_share) {
        let time = |figure: Option<Figure>| figure.map_or("-".into(), |figure| micros(figure.median));
        remarks.push(format!(
            "offered {}/s, answers came at {:.1} % of that; service time p50 {} p99 {} max {}; sent late by {} at p99",
            count(offered.median),
            achieved.median * 100.0,
            time(cell.figures.service_time_us.p50),
            time(cell.figures.service_time_us.p99),
            time(cell.figures.service_time_us.max),
            time(cell.figures.schedule_lag_us.p99),
        ));
    }
    let group = |name: &str, group: fn(&BackgroundResults) -> BackgroundGroup| {
        let last = group(&cell.trials.last()?.background);
        let sum =
            |of: fn(BackgroundGroup) -> u64| cell.trials.iter().map(|trial| of(group(&trial.background))).sum::<u64>();
        let (cut_off, failed) = (sum(|group| group.cut_off), sum(|group| group.failed));
        (last.asked > 0).then(|| {
            format!(
                "background: the target held {} of {} {name}, {cut_off} closed by the target, {failed} failed",
                last.up, last.asked
            )
        })
    };
    remarks.extend(group("idle connections", |background| background.idle));
    remarks.extend(group("slow senders", |background| background.slow_senders));
    remarks.extend(group("slow readers", |background| background.slow_readers));
    let resets: u64 = cell.trials.iter().map(|trial| trial.background.resets).sum();
    if resets > 0 {
        remarks.push(format!("background: {resets} connections reset"));
    }
    let sum = |of: fn(&BackgroundResults) -> u64| cell.trials.iter().map(|trial| of(&trial.background)).sum::<u64>();
    if sum(|background| background.busy.asked) > 0 {
        let (answers, failed) = (
            sum(|background| background.busy_answers),
            sum(|background| background.busy.cut_off + background.busy.failed),
        );
        remarks.push(format!("background: {answers} requests of busy clients answered, {failed} failed"));
    }
    remarks.extend(left_out(cell));
    remarks.extend(pooled(cell));
    remarks.extend(redirects(cell));
    let established = cell.trials.iter().filter_map(|trial| trial.figures.client.established).fold(f64::MAX, f64::min);
    if cell.key.load.requests_per_connection.0.is_none() && established < cell.key.load.concurrency as f64 {
        remarks.push(format!(
            "only {established} of {} connections were established at the end",
            cell.key.load.concurrency
        ));
    }
    let ignored: u64 = cell.trials.iter().map(|trial| trial.close_ignored).sum();
    if ignored > 0 {
        let connections = plural(ignored as usize, "connection");
        remarks.push(format!("the target kept {connections} open that it was asked to close"));
    }
    if cell.trials.iter().any(|trial| trial.aborted) {
        remarks.push("interrupted: a trial was cut short".into());
    }
    add_new(&mut remarks, cell.trials.iter().flat_map(|trial| trial.remarks.clone()));
    remarks
}

/// Says how many trials do not count because others disturbed them, and what these others did.
fn left_out(cell: &Cell) -> Option<String> {
    let left_out = cell.left_out();
    let mut causes = Vec::new();
    add_new(&mut causes, left_out.iter().cloned());
    let whole = cell.counted_trials().len() + left_out.len();
    let trials = plural(left_out.len(), "trial");
    (!left_out.is_empty()).then(|| format!("left out {trials} of {whole}: {}", causes.join("; ")))
}

/// Names the percentiles that come from the samples of all trials together, because a single trial has too few.
fn pooled(cell: &Cell) -> Option<String> {
    let names = |figures: Vec<Name>| figures.into_iter().map(|name| name.path()).collect::<BTreeSet<String>>();
    let had = cell.figures.iter().filter(|(_, figure)| figure.is_some()).map(|(name, _)| name);
    let trials = cell.counted_trials();
    let lacked = trials.iter().flat_map(|trial| trial.figures.iter()).filter(|(_, value)| value.is_none());
    let (had, lacked) = (names(had.collect()), names(lacked.map(|(name, _)| name).collect()));
    let is_same = cell.key.load.schedule == Schedule::Closed; // the service times are the latencies
    let both = had.intersection(&lacked).filter(|name| !(is_same && name.starts_with("service_time_us")));
    let both: Vec<&str> = both.map(String::as_str).collect();
    (!both.is_empty()).then(|| format!("from the samples of all trials together: {}", both.join(", ")))
}

/// Says that the answers are redirects, if half of them or more are: then something else is measured than what was
/// meant. A 303 is the usual answer to a POST, and a 304 to a condition; both are complete in themselves. RFC 9110,
/// 15.4
fn redirects(cell: &Cell) -> Option<String> {
    let mut statuses = BTreeMap::<u16, u64>::new();
    for (&status, &count) in cell.trials.iter().flat_map(|trial| &trial.redirections) {
        if ![303, 304].contains(&status) {
            *statuses.entry(status).or_default() += count;
        }
    }
    let (redirected, answered) = (statuses.values().sum::<u64>(), cell.outcomes.answered());
    if redirected == 0 || redirected * 2 < answered {
        return None;
    }
    let share = match redirected >= answered {
        true => "all answers".into(),
        false => format!("{:.0} % of the answers", redirected as f64 / answered as f64 * 100.0),
    };
    let statuses: Vec<String> = statuses.keys().map(u16::to_string).collect();
    Some(format!("{share} redirect ({}): measure what their Location field names", statuses.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::OutcomeClass;
    use crate::schema::Trial;
    use crate::schema::tests::{empty_trial, results};

    #[test]
    fn a_cell_whose_answers_redirect_says_so() {
        let remark = |statuses: &[(u16, u64)]| {
            let mut cell = results(&["a"]).cells.remove(0);
            let trial = || Trial { redirections: statuses.iter().copied().collect(), ..empty_trial() };
            cell.trials = vec![trial(), trial()];
            cell.outcomes[OutcomeClass::Ok] = 200;
            remarks(&cell).pop()
        };
        let expected = |words: &str| Some(format!("{words}: measure what their Location field names"));
        assert_eq!(remark(&[(301, 100)]), expected("all answers redirect (301)"));
        assert_eq!(remark(&[(301, 50), (308, 20)]), expected("70 % of the answers redirect (301, 308)"));
        assert_eq!(remark(&[(302, 49)]), None);
        assert_eq!(remark(&[(303, 100)]), None);
        assert_eq!(remark(&[(304, 100)]), None);
        assert_eq!(remark(&[]), None);
    }

    #[test]
    fn what_is_the_same_in_all_trials_is_said_once() {
        let mut cell = results(&["a"]).cells.remove(0);
        let trial = |remarks: &[&str]| Trial {
            remarks: remarks.iter().map(|&remark| remark.to_owned()).collect(),
            ..empty_trial()
        };
        cell.trials = vec![trial(&["one"]), trial(&[]), trial(&["one", "other"])];
        assert_eq!(remarks(&cell), ["one", "other"]);
    }
}
