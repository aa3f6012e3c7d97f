//! Merges two runs into one.

use crate::differences::{common_runs, differences};
use crate::lists::add_new;
use crate::load::Load;
use crate::plan::{Plan, Twice};
use crate::ranks::rank;
use crate::remarks::remarks;
use crate::schema::{Cell, Results, Verdict};
use crate::verdict;
use std::collections::BTreeMap;

/// Merges two runs. A cell that both have gets the trials of both, each with its own histograms; the other cells are
/// kept as they are.
///
/// # Errors
/// Why the runs cannot be merged: they have trials in common, or are different experiments.
pub fn merge(first: Results, second: Results) -> Result<Results, String> {
    let common = common_runs(&first, &second);
    if first.run_id == second.run_id {
        return Err("these are the same run twice".into());
    }
    if !common.is_empty() {
        return Err(format!("both have the trials of run {}", common.join(" and ")));
    }
    let differences = differences(&first, &second);
    if !differences.is_empty() {
        return Err(format!("these runs are different experiments: {}", differences.join("; ")));
    }
    let (mut merged, second) = (of_its_run(first), of_its_run(second));
    merged.command = None;
    merged.run_id = format!("{}+{}", merged.run_id, second.run_id);
    merged.interrupted |= second.interrupted;
    add_new(&mut merged.remarks, second.remarks);
    merge_plan(&mut merged.settings, second.settings);
    // Of what the runs state, the merged run has what is true of both.
    let keep_common = |mine: &mut BTreeMap<String, String>, theirs: &BTreeMap<String, String>| {
        mine.retain(|name, value| theirs.get(name) == Some(value));
    };
    keep_common(&mut merged.machine.provenance, &second.machine.provenance);
    for (target, theirs) in second.targets {
        let mine = merged.targets.entry(target).or_insert_with(|| theirs.clone());
        keep_common(&mut mine.facts, &theirs.facts);
        mine.is_guest |= theirs.is_guest;
    }
    let cpus = merged.machine.cpus;
    for cell in second.cells {
        match merged.cells.iter_mut().find(|mine| mine.key == cell.key) {
            Some(mine) => merge_cell(mine, cell, cpus),
            None => merged.cells.push(cell),
        }
    }
    rank(&mut merged.cells);
    Ok(merged)
}

/// Adds what the other plan has. Budget and precision are those of a single run, so the merged plan has none.
fn merge_plan(mine: &mut Plan, theirs: Plan) {
    mine.trials += theirs.trials;
    (mine.budget, mine.precision) = (None, None);
    let place = |loads: &[Load], load: &Load| loads.iter().position(|it| it == load);
    add_new(&mut mine.targets, theirs.targets);
    add_new(&mut mine.loads, theirs.loads.iter().cloned());
    // A place in their list of loads is another place in the merged one.
    let moved = theirs.twice.into_iter().filter_map(|Twice { target, load }| {
        Some(Twice { target, load: place(&mine.loads, theirs.loads.get(load)?)? })
    });
    add_new(&mut mine.twice, moved);
    mine.content.extend(theirs.content);
    mine.set.extend(theirs.set);
}

/// The run, each of whose trials says in which run it was measured.
fn of_its_run(mut run: Results) -> Results {
    for trial in run.cells.iter_mut().flat_map(|cell| &mut cell.trials) {
        trial.run_id.get_or_insert_with(|| run.run_id.clone());
    }
    run
}

/// Adds the trials of the other cell, and judges them all. `cpus` are those of a target that does not say it.
fn merge_cell(mine: &mut Cell, theirs: Cell, cpus: usize) {
    mine.server_cpus = mine.server_cpus.or(theirs.server_cpus);
    let cpus = mine.server_cpus.unwrap_or(cpus);
    let (verdict, mut reasons) = told_by_the_run(mine, cpus);
    let (their_verdict, their_reasons) = told_by_the_run(&theirs, cpus);
    add_new(&mut reasons, their_reasons);
    mine.trials.extend(theirs.trials);
    (mine.verdict, mine.reasons) = (verdict.or(their_verdict).unwrap_or(Verdict::Valid), reasons);
    if !mine.trials.is_empty() {
        mine.summarise();
        verdict::judge(mine, cpus);
        mine.reasons.extend(remarks(mine));
    }
}

/// The verdict and the reasons of a cell that do not follow from its trials: the target could not be measured.
fn told_by_the_run(cell: &Cell, cpus: usize) -> (Option<Verdict>, Vec<String>) {
    if !matches!(cell.verdict, Verdict::Errors | Verdict::Unsupported) {
        return (None, Vec::new());
    }
    let mut judged = Cell { verdict: Verdict::Valid, reasons: Vec::new(), flaws: BTreeMap::new(), ..cell.clone() };
    if !judged.trials.is_empty() {
        verdict::judge(&mut judged, cpus);
        judged.reasons.extend(remarks(cell));
    }
    let told = cell.reasons.iter().filter(|reason| !judged.reasons.contains(reason)).cloned().collect();
    ((judged.verdict != cell.verdict).then_some(cell.verdict), told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::differences::circumstances;
    use crate::outcomes::OutcomeClass;
    use crate::schema::tests::run;
    use crate::schema::{AnswerSeen, Flaw, Target, Trial, by_load};
    use std::time::Duration;

    #[test]
    fn targets_of_both_runs_stand_under_the_same_load() {
        let two_loads = |id, target| {
            let mut run = run(id, &[(target, 100.0)], 1);
            let mut other = run.cells[0].clone();
            other.key.load.concurrency = 1;
            run.cells.push(other);
            run
        };
        let merged = merge(two_loads("r", "a"), two_loads("s", "b")).unwrap();
        assert_eq!(by_load(&merged.cells), [[0, 2], [1, 3]]);
    }

    #[test]
    fn a_merged_plan_has_the_loads_of_both_and_knows_again_what_is_measured_twice() {
        let with = |id: &str, connections: &[usize], load: usize, remark: &str| {
            let mut run = run(id, &[("a", 100.0)], 1);
            let load_of = |&concurrency| Load { concurrency, ..Load::default() };
            run.settings.loads = connections.iter().map(load_of).collect();
            run.settings.twice = vec![Twice { target: "a".into(), load }];
            (run.settings.budget, run.settings.precision) = (Some(Duration::from_secs(60)), Some(0.05));
            run.remarks = vec![remark.into()];
            run
        };
        let merged = merge(with("r", &[1, 64], 1, "one"), with("s", &[8, 64, 1], 2, "two")).unwrap();
        let connections: Vec<usize> = merged.settings.loads.iter().map(|load| load.concurrency).collect();
        let twice: Vec<usize> = merged.settings.twice.iter().map(|twice| twice.load).collect();
        assert_eq!((connections, twice), (vec![1, 64, 8], vec![1, 0]));
        assert_eq!((merged.settings.budget, merged.settings.precision), (None, None));
        assert_eq!(merged.remarks, ["one", "two"]);
        let merged = merge(merged, with("t", &[64], 0, "one")).unwrap();
        assert_eq!((merged.settings.twice.len(), merged.remarks.len()), (2, 2));
    }

    #[test]
    fn a_guest_stays_one_and_its_trials_keep_what_was_answered() {
        let with = |id: &str, version: &str| {
            let mut run = run(id, &[("mine", 100.0)], 1);
            let facts = [("command", "./mine {port}"), ("version", version)];
            let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            run.targets.insert("mine".into(), Target { facts, is_guest: true, ..Target::default() });
            run.cells[0].trials[0].answer = Some(AnswerSeen { bytes: Some(12), hash: Some("a".into()) });
            run
        };
        let (first, second) = (with("r", "1.0"), with("s", "2.0"));
        assert_eq!(circumstances(&first, &second), ["mine: version: 1.0 and 2.0"]);
        let merged = merge(first, second).unwrap();
        let mut written = Vec::new();
        merged.write(&mut written).unwrap();
        let read: Results = serde_json::from_slice(&written).unwrap();
        assert!(read.is_guest("mine") && !read.is_guest("epoll"));
        assert_eq!(read.targets["mine"].facts.keys().collect::<Vec<_>>(), ["command"]);
        let lengths: Vec<_> = read.cells[0].trials.iter().map(|trial| trial.answer.as_ref().unwrap().bytes).collect();
        assert_eq!(lengths, [Some(12); 2]);
        let before = with("r", "1.0");
        let older = Results { targets: BTreeMap::new(), ..run("t", &[("mine", 100.0)], 1) };
        assert!(merge(older, before).unwrap().is_guest("mine"));
    }

    #[test]
    fn runs_whose_requests_carry_something_else_are_not_merged() {
        let (first, mut second) = (run("r", &[("a", 100.0)], 1), run("s", &[("a", 100.0)], 1));
        second.settings.content.insert("/".into(), Content { headers: vec!["A: b".into()], ..Content::default() });
        assert!(merge(first, second).unwrap_err().contains("the requests of / differ"));
    }

    #[test]
    fn a_merged_cell_has_the_trials_of_both_runs_with_their_histograms() {
        let (first, second) = (run("r", &[("a", 100.0)], 2), run("s", &[("a", 100.0), ("b", 50.0)], 3));
        let merged = merge(first.clone(), second.clone()).unwrap();
        assert_eq!((merged.cells.len(), merged.cells[0].trials.len()), (2, 5));
        let of = |run: &Results| {
            let trials = run.cells[0].trials.iter().cloned();
            trials.map(|trial| Trial { run_id: Some(run.run_id.clone()), ..trial }).collect::<Vec<_>>()
        };
        assert_eq!(merged.cells[0].trials, [of(&first), of(&second)].concat());
        assert_eq!(
            (merged.cells[0].outcomes.total(), merged.cells[0].figures.throughput.unwrap().low),
            (5_000, Some(100.0))
        );
        assert!(merge(first.clone(), first.clone()).unwrap_err().contains("twice"));
        assert_eq!(merge(merged, second.clone()).unwrap_err(), "both have the trials of run s");
        let mut other = second;
        other.settings.duration *= 2;
        assert!(merge(first, other).unwrap_err().contains("duration"));
    }

    #[test]
    fn trials_keep_their_blocks_and_flaws_are_judged_anew() {
        let of = |id: &str| {
            let mut run = run(id, &[("a", 100.0)], 2);
            for (trial, block) in run.cells[0].trials.iter_mut().zip(0..) {
                (trial.block, trial.began_at) = (Some(block), Some(format!("{id}{block}")));
            }
            let why = "it was judged by the trials of this run alone".to_owned();
            run.cells[0].flaws.insert("throughput".into(), Flaw { verdict: Verdict::Unstable, why, bound: None });
            run
        };
        let cell = merge(of("r"), of("s")).unwrap().cells.remove(0);
        let trials: Vec<_> = cell.trials.iter().map(|it| (it.run_id.as_deref().unwrap(), it.block.unwrap())).collect();
        assert_eq!(trials, [("r", 0), ("r", 1), ("s", 0), ("s", 1)]);
        assert_eq!(cell.trials[3].began_at.as_deref(), Some("s1"));
        assert!(cell.flaws.is_empty(), "{:?}", cell.flaws);
    }

    #[test]
    fn the_flaws_of_a_target_that_could_not_be_measured_stay() {
        let mut never = run("s", &[("a", 100.0)], 0);
        let flaw = Flaw { verdict: Verdict::Unsupported, why: "not here".into(), bound: None };
        (never.cells[0].verdict, never.cells[0].reasons) = (Verdict::Unsupported, vec!["not here".into()]);
        never.cells[0].flaws.insert("throughput".into(), flaw.clone());
        let cell = merge(run("r", &[("a", 100.0)], 1), never).unwrap().cells.remove(0);
        assert_eq!((cell.verdict, cell.flaws.get("throughput")), (Verdict::Unsupported, Some(&flaw)));
    }

    #[test]
    fn a_merged_run_states_what_is_true_of_both() {
        let of = |id: &str, target: &str, commit: &str| {
            let mut run = run(id, &[(target, 100.0)], 1);
            let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            run.machine.provenance = [text("commit", commit), text("governor", "performance")].into();
            let facts = [text("backlog", commit), text("threads", "2")].into();
            run.targets.insert(target.into(), Target { facts, ..Target::default() });
            run.settings.set.insert(target.into(), [text("workers", "2")].into());
            run
        };
        let mut first = of("r", "a", "x");
        first.machine.provenance.insert("cloud".into(), "only the first run says it".into());
        let merged = merge(first, of("s", "a", "y")).unwrap();
        assert_eq!(merged.machine.provenance.keys().collect::<Vec<_>>(), ["governor"]);
        assert_eq!(merged.targets["a"].facts.keys().collect::<Vec<_>>(), ["threads"]);
        let merged = merge(merged, of("t", "b", "x")).unwrap();
        assert_eq!((merged.targets.len(), merged.settings.set.len()), (2, 2));
    }

    #[test]
    fn merged_targets_are_ranked_by_the_trials_of_the_same_run() {
        // The machine is slower in the second run, and b is a little faster than a in each run.
        let first = run("r", &[("a", 100.0)], 3);
        let second = run("s", &[("a", 90.0), ("b", 94.0)], 5);
        let merged = merge(first.clone(), second.clone()).unwrap();
        let ranks = |run: &Results| run.cells.iter().map(|cell| cell.ranks.throughput).collect::<Vec<_>>();
        assert_eq!(ranks(&merged), [Some(2), Some(1)]);
        let third = run("t", &[("b", 100.0)], 4);
        assert_eq!(ranks(&merge(merged, third).unwrap()), [Some(2), Some(1)]);
        assert_eq!(ranks(&merge(first, run("u", &[("b", 100.0)], 9)).unwrap()), [None, None], "there are no pairs");
    }

    #[test]
    fn reasons_that_follow_from_the_trials_are_those_of_all_trials_and_the_others_stay() {
        let cpus = 2;
        let failed = |id: &str, why: Option<&str>| {
            let mut run = run(id, &[("a", 100.0)], 1);
            let cell = &mut run.cells[0];
            cell.trials[0].outcomes[OutcomeClass::Reset] = 1;
            cell.trials[0].background.busy.failed = 7;
            cell.summarise();
            match why {
                Some(why) => (cell.verdict, cell.reasons) = (Verdict::Errors, vec![why.into()]),
                None => verdict::judge(cell, cpus),
            }
            cell.reasons.extend(remarks(cell));
            run
        };
        let merged = |first: Results, second: Results| merge(first, second).unwrap().cells.remove(0);
        let judged = "2 of 2002 requests ended as reset".to_owned();
        let remark = "busy clients: attempts that failed: 14".to_owned();
        let cell = merged(failed("r", None), failed("s", None));
        assert_eq!((cell.verdict, cell.reasons), (Verdict::Errors, vec![judged.clone(), remark.clone()]));
        let gone = "unreachable: it is gone".to_owned();
        let cell = merged(failed("r", None), failed("s", Some(&gone)));
        assert_eq!((cell.verdict, cell.reasons), (Verdict::Errors, vec![gone.clone(), judged, remark]));
        let mut never = run("s", &[("a", 100.0)], 0);
        (never.cells[0].verdict, never.cells[0].reasons) = (Verdict::Errors, vec![gone.clone()]);
        let cell = merged(run("r", &[("a", 100.0)], 1), never);
        assert_eq!((cell.verdict, cell.reasons), (Verdict::Errors, vec![gone]));
    }
}
