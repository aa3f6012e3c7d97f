//! Remarks about a cell, which leave its verdict as it is: what did not go as it was asked for, where its answers point to,
//! what became of the connections, and what happened meanwhile.

use crate::background::{BackgroundGroup, BackgroundResults};
use crate::closing::closes;
use crate::lists::add_new;
use crate::schedule::Schedule;
use crate::schema::{Cell, Trial};
use crate::statistics::Figure;
use crate::units::{count, micros, plural};
use std::collections::BTreeMap;

/// Remarks about a cell, a line each. What is as it was asked for is not said.
pub fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(service_times(cell));
    remarks.extend(background(cell));
    remarks.extend(left_out(cell));
    remarks.extend(pooled(cell));
    remarks.extend(redirects(cell));
    remarks.extend(cold(cell));
    let established = cell.trials.iter().filter_map(|trial| trial.figures.client.established).fold(f64::MAX, f64::min);
    if cell.key.load.requests_per_connection.0.is_none() && established < cell.key.load.concurrency as f64 {
        remarks.push(format!(
            "only {established} of {} connections were established at the end",
            cell.key.load.concurrency
        ));
    }
    if closes(cell) {
        let what =
            "the target closes its connections after a request, so what an answer costs has a new connection in it";
        remarks.push(what.into());
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

/// Where a rate was not kept, how long the answers took without the wait for a free connection, which the latency contains.
fn service_times(cell: &Cell) -> Option<String> {
    let time = |figure: Option<Figure>| figure.map_or("-".into(), |figure| micros(figure.median));
    let times = &cell.figures.service_time_us;
    cell.falls_short().then(|| {
        format!(
            "a request took {} (p50), {} (p99), {} (max) from when it was sent; the latency has the wait for a free connection, too",
            time(times.p50),
            time(times.p99),
            time(times.max),
        )
    })
}

/// What did not go well with the background connections.
fn background(cell: &Cell) -> Vec<String> {
    type Group = fn(&BackgroundResults) -> BackgroundGroup;
    let groups: [(&str, Group); 5] = [
        ("idle connections", |background| background.idle),
        ("slow senders", |background| background.slow_senders),
        ("slow readers", |background| background.slow_readers),
        ("resetters", |background| background.resetters),
        ("busy clients", |background| background.busy),
    ];
    groups.into_iter().filter_map(|(name, group)| troubles(cell, name, group)).collect()
}

/// What did not go well with one kind of background connections, over all trials.
fn troubles(cell: &Cell, name: &str, group: fn(&BackgroundResults) -> BackgroundGroup) -> Option<String> {
    let groups = || cell.trials.iter().map(|trial| group(&trial.background));
    let sum = |of: fn(BackgroundGroup) -> u64| groups().map(of).sum::<u64>() as f64;
    let fewest = groups().min_by_key(|group| group.up).unwrap_or_default();
    let (cut_off, failed) = (sum(|group| group.cut_off), sum(|group| group.failed));
    let is_held_open = ["idle connections", "slow senders", "slow readers"].contains(&name);
    let is_said = cell.flaws.values().any(|flaw| flaw.why.contains(name));
    let mut troubles = Vec::new();
    if is_held_open && !is_said && fewest.up < fewest.asked {
        troubles.push(format!("the target held {} of {}", fewest.up, fewest.asked));
    }
    if cut_off > 0.0 {
        troubles.push(format!("the target closed {}", count(cut_off)));
    }
    if failed > 0.0 {
        troubles.push(format!("attempts that failed: {}", count(failed)));
    }
    (!troubles.is_empty()).then(|| format!("{name}: {}", troubles.join("; ")))
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

/// Says that some kept connections had no request yet when the window began, since the rate is too low for the warm-up to
/// reach all of them. What a server makes for a connection, a process for instance, is then in the cost of a request. Random
/// arrivals may be early, so nothing is said where chance could have brought a request for each (four standard deviations).
fn cold(cell: &Cell) -> Option<String> {
    let load = &cell.key.load;
    let Schedule::Rate(rate) = load.schedule else { return None };
    let warm_ups = cell.trials.iter().filter(|trial| !trial.aborted).filter_map(|trial| trial.warmup_seconds);
    let used = (rate * warm_ups.reduce(f64::min)?).floor();
    let by_chance = used + 4.0 * used.sqrt();
    let is_cold = load.requests_per_connection.0.is_none() && by_chance < load.concurrency as f64;
    is_cold.then(|| {
        let (used, all) = (count(used), count(load.concurrency as f64));
        format!(
            "about {used} of {all} connections had a request before the window: the first request of the others is in the \
             figures; a higher rate or a longer --warmup reaches all"
        )
    })
}

/// Names the percentiles of the latency that come from the samples of all trials together.
fn pooled(cell: &Cell) -> Option<String> {
    let percentiles =
        [("p50", "latency_us.p50"), ("p90", "latency_us.p90"), ("p99", "latency_us.p99"), ("p99.9", "latency_us.p999")];
    let trials = cell.counted_trials();
    let is_pooled = |path| {
        let lacks = |trial: &&Trial| trial.figures.at(path).1.is_none();
        cell.figures.at(path).1.is_some() && trials.iter().any(lacks)
    };
    let pooled: Vec<&str> = percentiles.into_iter().filter(|(_, path)| is_pooled(path)).map(|(name, _)| name).collect();
    let are = match pooled[..] {
        [] => return None,
        [_] => "it is that",
        _ => "they are those",
    };
    Some(format!("single trials have too few requests for {}: {are} of all trials together", pooled.join(", ")))
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
    use crate::load::PerConnection;
    use crate::outcomes::OutcomeClass;
    use crate::schema::tests::{empty_trial, results};
    use crate::schema::{Flaw, Verdict};
    use std::num::NonZeroU32;

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
    fn connections_that_the_warm_up_did_not_reach_are_said() {
        let remark = |rate, warmups: &[Option<f64>], requests| {
            let mut cell = results(&["a"]).cells.remove(0);
            cell.key.load.concurrency = 2048;
            cell.key.load.schedule = Schedule::Rate(rate);
            cell.key.load.requests_per_connection = PerConnection(requests);
            let trial = |&warmup_seconds| Trial { warmup_seconds, ..empty_trial() };
            cell.trials = warmups.iter().map(trial).collect();
            remarks(&cell).pop()
        };
        let cold = remark(2000.0, &[Some(1.0), Some(0.04)], None).unwrap();
        assert!(cold.starts_with("about 80 of 2,048 connections had a request before the window"), "{cold}");
        assert_eq!(remark(4000.0, &[Some(0.52)], None), None);
        assert_eq!(remark(4000.0, &[Some(0.5)], None), None, "2000 are expected, and chance may have brought 2048");
        assert_eq!(remark(2000.0, &[None], None), None);
        assert_eq!(remark(2000.0, &[Some(0.04)], NonZeroU32::new(1)), None);
    }

    #[test]
    fn only_what_did_not_go_well_is_said() {
        let mut cell = results(&["a"]).cells.remove(0);
        let once = |median| Some(Figure { median, low: None, high: None });
        let group = |up, cut_off, failed| BackgroundGroup { asked: 100, up, cut_off, failed };
        let trial = |idle, busy| {
            let background = BackgroundResults { idle, busy, resets: 7, ..BackgroundResults::default() };
            let mut trial = Trial { background, ..empty_trial() };
            trial.figures.pace.achieved_share = Some(0.5);
            trial.figures.service_time_us.p50 = Some(2_400.0);
            trial
        };
        cell.figures.pace.achieved_share = once(0.5);
        cell.trials = vec![trial(group(100, 0, 0), group(98, 0, 0)); 2];
        assert!(remarks(&cell).is_empty(), "a rate may be short by chance, and a busy client be between two requests");
        let flaw = Flaw { verdict: Verdict::Unstable, why: "it was short".into(), bound: None };
        cell.flaws.insert("throughput".into(), flaw);
        cell.figures.service_time_us.p50 = once(2_400.0);
        cell.trials[1] = trial(group(90, 2, 3_000), group(0, 0, 1));
        let expected = [
            "a request took 2.40ms (p50), - (p99), - (max) from when it was sent; the latency has the wait for a free connection, too",
            "idle connections: the target held 90 of 100; the target closed 2; attempts that failed: 3,000",
            "busy clients: attempts that failed: 1",
        ];
        assert_eq!(remarks(&cell), expected);
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
