//! Merges two runs into one.

use crate::plan::Plan;
use crate::ranks::rank;
use crate::schema::{Results, Verdict};
use crate::verdict;

/// Merges two runs. A cell that both have gets the trials of both, each with its own histograms; the other cells are
/// kept as they are.
///
/// # Errors
/// Why the runs cannot be merged: another schema, machine, window or limit.
pub fn merge(first: Results, second: Results) -> Result<Results, String> {
    if first.schema != second.schema {
        return Err(format!("the schemas differ: {} and {}", first.schema, second.schema));
    }
    if first.machine != second.machine {
        return Err("the runs are of different machines, whose trials are not the same experiment".into());
    }
    let same = |settings: &Plan| Plan {
        targets: Vec::new(),
        workloads: Vec::new(),
        schedules: Vec::new(),
        concurrencies: Vec::new(),
        requests_per_connection: Vec::new(),
        trials: 0,
        seed: 0,
        content: Default::default(),
        busy_workload: String::new(),
        slow_reader_workload: String::new(),
        ..settings.clone()
    };
    if same(&first.settings) != same(&second.settings)
        || first.settings.background_workloads() != second.settings.background_workloads()
    {
        return Err("the runs differ in duration, warm-up, threads, CPUs or timeouts".into());
    }
    if first.run_id == second.run_id {
        return Err("these are the same run twice".into());
    }
    for workload in first.settings.requested().filter(|&workload| second.settings.requested().any(|it| it == workload))
    {
        if first.settings.content_of(workload) != second.settings.content_of(workload) {
            return Err(format!("the requests of {workload} differ in header fields or body"));
        }
    }
    let mut merged = first;
    merged.run_id = format!("{}+{}", merged.run_id, second.run_id);
    merged.interrupted |= second.interrupted;
    let (mine, theirs) = (&mut merged.settings, second.settings);
    mine.trials += theirs.trials;
    join(&mut mine.targets, theirs.targets);
    join(&mut mine.workloads, theirs.workloads);
    join(&mut mine.schedules, theirs.schedules);
    join(&mut mine.concurrencies, theirs.concurrencies);
    join(&mut mine.requests_per_connection, theirs.requests_per_connection);
    mine.content.extend(theirs.content);
    for cell in second.cells {
        let Some(at) = merged.cells.iter().position(|mine| mine.key == cell.key) else {
            merged.cells.push(cell);
            continue;
        };
        let mine = &mut merged.cells[at];
        mine.trials.extend(cell.trials);
        let stays =
            [Verdict::Errors, Verdict::Unsupported].into_iter().find(|&v| mine.verdict == v || cell.verdict == v);
        let mut reasons = std::mem::take(&mut mine.reasons);
        join(&mut reasons, cell.reasons);
        mine.verdict = stays.unwrap_or(Verdict::Valid);
        mine.server_cpus = mine.server_cpus.or(cell.server_cpus);
        if !mine.trials.is_empty() {
            mine.summarise();
        }
        match stays {
            Some(_) => mine.reasons = reasons,
            None => verdict::judge(mine, mine.server_cpus.unwrap_or(merged.machine.cpus)),
        }
    }
    rank(&mut merged.cells);
    Ok(merged)
}

fn join<T: PartialEq>(mine: &mut Vec<T>, theirs: Vec<T>) {
    for value in theirs {
        if !mine.contains(&value) {
            mine.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;
    use crate::schema::by_load;
    use crate::schema::tests::run;

    #[test]
    fn targets_of_both_runs_stand_under_the_same_load() {
        let two_loads = |id, target| {
            let mut run = run(id, &[(target, 100.0)], 1);
            let mut other = run.cells[0].clone();
            other.key.concurrency = 1;
            run.cells.push(other);
            run
        };
        let merged = merge(two_loads("r", "a"), two_loads("s", "b")).unwrap();
        assert_eq!(by_load(&merged.cells), [[0, 2], [1, 3]]);
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
        assert_eq!(merged.cells[0].trials[..2], first.cells[0].trials);
        assert_eq!(merged.cells[0].trials[2..], second.cells[0].trials);
        assert_eq!(
            (merged.cells[0].outcomes.total(), merged.cells[0].figures.throughput.unwrap().low),
            (5_000, Some(100.0))
        );
        assert!(merge(first.clone(), first.clone()).unwrap_err().contains("twice"));
        let mut other = second;
        other.settings.duration *= 2;
        assert!(merge(first, other).unwrap_err().contains("duration"));
    }
}
