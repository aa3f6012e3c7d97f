//! The goals of `--at-most`: a target's CPU time a request is at most so many times that of another target.
//!
//! The 95 % interval of the ratio decides, never the ratio alone: a goal is reached if the whole interval is at or below the
//! bound, and not reached if the whole interval is above it. Otherwise, the run cannot tell.

use crate::contrast::contrast;
use crate::figures::CPU;
use crate::kind::Kind;
use crate::load::Load;
use crate::plan::Plan;
use crate::schema::{Cell, Results, Verdict};
use std::fmt;
use std::str::FromStr;

/// What is said where a comma may have been meant for a decimal point: it separates two goals.
const COMMA: &str = " (a comma separates two goals, so write a decimal point)";

/// One goal of `--at-most`: `epoll/nginx=0.9`.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    target: String,
    baseline: String,
    bound: f64,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Goal, String> {
        let wrong = |what: &str| format!("'{text}': {what}; write it as in epoll/nginx=0.9");
        let (pair, bound) = text.rsplit_once('=').ok_or_else(|| match text.parse::<u64>() {
            Ok(_) => wrong(&format!("there is no = in it{COMMA}")),
            Err(_) => wrong("there is no = in it"),
        })?;
        let names = pair.split_once('/').map(|(target, baseline)| (target.trim(), baseline.trim()));
        let names = names.filter(|(target, baseline)| !target.is_empty() && !baseline.is_empty());
        let (target, baseline) = names.ok_or_else(|| wrong("two targets with a / between them come before the ="))?;
        if target == baseline {
            return Err(wrong("the two targets are the same"));
        }
        let bound = bound.trim();
        let number = bound.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
        let bound = number.ok_or_else(|| {
            wrong(&format!("'{bound}' is no number above 0{}", if bound == "0" { COMMA } else { "" }))
        })?;
        Ok(Goal { target: target.into(), baseline: baseline.into(), bound })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}", self.target, self.baseline, self.bound)
    }
}

/// What a run says about a goal under a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether the goal is certainly reached.
    pub is_reached: bool,
    /// The goal, the load, the ratio with its interval, and whether that reaches the goal.
    pub line: String,
}

/// Checks that a run with this plan can judge the goals: it has their targets, and a load under which they are compared.
///
/// # Errors
/// One line that says what to correct.
pub fn check(goals: &[Goal], plan: &Plan) -> Result<(), String> {
    for goal in goals {
        for name in [&goal.target, &goal.baseline] {
            if !plan.targets.contains(name) {
                let there = plan.targets.join(", ");
                return Err(format!("--at-most {goal}: the run has no target '{name}'; it has {there}"));
            }
        }
        if !plan.loads.iter().any(is_judged) {
            let which = "no load has keep-alive or one request a connection, with nothing beside it";
            return Err(format!("--at-most {goal}: {which}; give one, as in --load '/ -c 64'"));
        }
    }
    Ok(())
}

/// Judges each goal under each load of the run with keep-alive, and with one request a connection. A load that one of the two
/// targets does not support is left out, unless no load is left then.
pub fn judge(goals: &[Goal], results: &Results) -> Vec<Judged> {
    goals.iter().flat_map(|goal| judge_goal(goal, results)).collect()
}

fn is_judged(load: &Load) -> bool {
    matches!(Kind::of(load), Kind::KeepAlive | Kind::OneRequest)
}

fn judge_goal(goal: &Goal, results: &Results) -> Vec<Judged> {
    let loads = results.settings.loads.iter().filter(|load| is_judged(load));
    let (supported, unsupported): (Vec<&Load>, Vec<&Load>) = loads.partition(|load| {
        [&goal.target, &goal.baseline]
            .into_iter()
            .filter_map(|name| cell(results, name, load).ok())
            .all(|cell| cell.verdict != Verdict::Unsupported)
    });
    let loads = if supported.is_empty() { unsupported } else { supported };
    loads.into_iter().map(|load| judge_under(goal, load, results)).collect()
}

fn judge_under(goal: &Goal, load: &Load, results: &Results) -> Judged {
    let Goal { target, baseline, bound } = goal;
    let compared = cell(results, target, load)
        .and_then(|cell| Ok((cell, self::cell(results, baseline, load)?)))
        .and_then(|(cell, baseline)| contrast(cell, baseline, CPU));
    let (is_reached, said) = match compared {
        Err(why) => (false, format!("at most {bound}: cannot be told: {why}")),
        Ok(contrast) => {
            let (low, high) = (contrast.low, contrast.high);
            let verdict = match () {
                () if high <= *bound => "reached".into(),
                () if low > *bound => "not reached".into(),
                () => format!("cannot be told: the interval has {bound} in it; more trials make it narrower"),
            };
            let ratio = contrast.ratio;
            (high <= *bound, format!("{ratio:.2}x ({low:.2} .. {high:.2}), at most {bound}: {verdict}"))
        }
    };
    Judged { is_reached, line: format!("{target} / {baseline} at {load}: {said}") }
}

fn cell<'r>(results: &'r Results, target: &str, load: &Load) -> Result<&'r Cell, String> {
    let found = results.cells.iter().find(|cell| cell.key.target == target && cell.key.load == *load);
    found.ok_or_else(|| format!("{target}: it was not measured under this load"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::background::BackgroundLoad;
    use crate::load::PerConnection;
    use crate::schedule::Schedule;
    use crate::schema::tests::{empty_trial, results};
    use crate::schema::{Flaw, Trial};

    /// A run of `ours` and `theirs` with these CPU times a request of `ours`, a block each; `theirs` needs 10 µs. It is the same
    /// under keep-alive, one request a connection, and beside idle connections.
    fn run(ours: &[f64]) -> Results {
        let mut run = results(&["ours", "theirs"]);
        let one_request = Load { requests_per_connection: PerConnection("1".parse().ok()), ..Load::default() };
        let background = BackgroundLoad { idle: 9, ..BackgroundLoad::default() };
        let beside_idle = Load { background, ..Load::default() };
        run.settings.loads = vec![Load::default(), one_request, beside_idle];
        run.cells = run.settings.cells().into_iter().map(Cell::new).collect();
        for cell in &mut run.cells {
            for (block, value) in (0..).zip(ours) {
                let value = if cell.key.target == "ours" { *value } else { 10.0 };
                let mut trial = Trial { block: Some(block), ..empty_trial() };
                trial.figures.server.cpu_us_per_request = Some(value);
                cell.trials.push(trial);
            }
            cell.summarise();
        }
        run
    }

    fn goal(bound: &str) -> Vec<Goal> {
        vec![format!("ours/theirs={bound}").parse().unwrap()]
    }

    /// What is said under keep-alive, behind the load.
    fn said(run: &Results, bound: &str) -> (bool, String) {
        let Judged { is_reached, line } = judge(&goal(bound), run).remove(0);
        let said = line.strip_prefix("ours / theirs at / with 64 connections, keep-alive: ");
        (is_reached, said.expect("the goal and the load come first").into())
    }

    #[test]
    fn the_whole_interval_decides() {
        let run = run(&[7.8, 8.0, 8.2]);
        assert_eq!(said(&run, "0.9"), (true, "0.80x (0.75 .. 0.85), at most 0.9: reached".into()));
        assert_eq!(said(&run, "0.7"), (false, "0.80x (0.75 .. 0.85), at most 0.7: not reached".into()));
        // The ratio is below these bounds or above them, but not the whole interval.
        for bound in ["0.82", "0.78"] {
            let (is_reached, said) = said(&run, bound);
            let why = format!("at most {bound}: cannot be told: the interval has {bound} in it");
            assert!(!is_reached && said.contains(&why), "{said}");
        }
    }

    #[test]
    fn a_goal_is_judged_under_each_load_with_keep_alive_or_one_request() {
        let lines: Vec<String> = judge(&goal("0.9"), &run(&[8.0; 3])).into_iter().map(|judged| judged.line).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("ours / theirs at / with 64 connections, 1 request a connection: "), "{lines:?}");
    }

    #[test]
    fn what_cannot_be_told_has_a_reason() {
        let few = run(&[8.0; 2]);
        let why = "at most 0.9: cannot be told: the targets have 2 blocks in common, and an interval needs 3";
        assert_eq!(said(&few, "0.9"), (false, why.into()));
        let mut flawed = run(&[8.0; 3]);
        let flaw = Flaw { verdict: Verdict::Disturbed, why: "others".into(), bound: None };
        flawed.cells[0].flaws.insert("server".into(), flaw);
        assert_eq!(said(&flawed, "0.9"), (false, "at most 0.9: cannot be told: ours: disturbed: others".into()));
        let mut left_out = run(&[8.0; 3]);
        left_out.cells.retain(|cell| cell.key.target == "ours");
        let why = "at most 0.9: cannot be told: theirs: it was not measured under this load";
        assert_eq!(said(&left_out, "0.9"), (false, why.into()));
    }

    #[test]
    fn a_load_that_a_target_lacks_is_left_out_unless_no_other_is_left() {
        let mut run = run(&[8.0; 3]);
        let lack = |cell: &mut Cell| {
            cell.verdict = Verdict::Unsupported;
            cell.flaws.insert(
                "server".into(),
                Flaw { verdict: Verdict::Unsupported, why: "it lacks that".into(), bound: None },
            );
        };
        let keep_alive = run
            .cells
            .iter()
            .position(|cell| cell.key.target == "theirs" && Kind::of(&cell.key.load) == Kind::KeepAlive);
        lack(&mut run.cells[keep_alive.unwrap()]);
        let judged = judge(&goal("0.9"), &run);
        assert!(judged.len() == 1 && judged[0].line.contains("1 request a connection"), "{judged:?}");
        run.cells.iter_mut().filter(|cell| cell.key.target == "theirs").for_each(lack);
        let judged = judge(&goal("0.9"), &run);
        assert!(judged.len() == 2 && judged.iter().all(|judged| !judged.is_reached), "{judged:?}");
        assert!(judged[0].line.ends_with("cannot be told: theirs: unsupported: it lacks that"), "{judged:?}");
    }

    #[test]
    fn a_run_without_the_targets_or_such_a_load_is_refused() {
        let mut plan = run(&[]).settings;
        assert_eq!(check(&goal("0.9"), &plan), Ok(()));
        let unknown: Vec<Goal> = vec!["ours/nginx=1".parse().unwrap()];
        let why = check(&unknown, &plan).unwrap_err();
        assert_eq!(why, "--at-most ours/nginx=1: the run has no target 'nginx'; it has ours, theirs");
        plan.loads = vec![Load { schedule: Schedule::Knee(10.0), ..Load::default() }];
        assert!(check(&goal("1"), &plan).unwrap_err().contains("give one, as in --load '/ -c 64'"));
        assert_eq!(check(&[], &plan), Ok(()));
    }

    #[test]
    fn a_wrong_goal_is_refused_with_an_example() {
        let goal: Goal = " epoll / nginx = 0.85".parse().unwrap();
        assert_eq!(goal.to_string(), "epoll/nginx=0.85");
        for (bad, words) in [
            ("", "there is no ="),
            ("epoll/nginx", "there is no ="),
            ("epoll=0.9", "two targets with a /"),
            ("/nginx=0.9", "two targets with a /"),
            ("epoll/=0.9", "two targets with a /"),
            ("epoll/epoll=1", "are the same"),
            ("epoll/nginx=", "'' is no number above 0"),
            ("epoll/nginx=fast", "'fast' is no number above 0"),
            ("epoll/nginx=0", "'0' is no number above 0 (a comma separates two goals, so write a decimal point)"),
            ("9", "there is no = in it (a comma separates two goals, so write a decimal point)"),
            ("epoll/nginx=inf", "'inf' is no number above 0"),
            ("epoll/nginx=90%", "'90%' is no number above 0"),
        ] {
            let why = bad.parse::<Goal>().unwrap_err();
            assert!(why.contains(words) && why.ends_with("write it as in epoll/nginx=0.9"), "{why}");
        }
    }
}
