//! Ranks the cells of a run, merges or compares two runs, and reports the noise of an A/A run (each target twice).

use crate::results::{Cell, Results, Trial, Verdict};
use crate::{measure, stats, verdict};
use std::io::{self, Write};

/// The figures that are compared: name, whether a higher value is better, and the value of a trial.
type Compared = (&'static str, bool, fn(&Trial) -> Option<f64>);
const COMPARED: [Compared; 3] = [
    ("req/s", true, |trial| Some(trial.throughput)),
    ("p99", false, |trial| trial.latency_us.p99),
    ("CPU/r", false, |trial| trial.server.cpu_us_per_request),
];

/// The figure's value in each trial that was not cut short; empty if one of these trials lacks it.
fn values(cell: &Cell, value: fn(&Trial) -> Option<f64>) -> Vec<f64> {
    let whole = cell.trials.iter().filter(|trial| !trial.aborted);
    whole.map(value).collect::<Option<Vec<f64>>>().unwrap_or_default()
}

/// Ranks the valid cells under the same load by throughput, 99th percentile of the latency, and CPU time a request.
pub fn rank(cells: &mut [Cell]) {
    let mut done: Vec<usize> = Vec::new();
    for first in 0..cells.len() {
        if done.contains(&first) {
            continue;
        }
        let group: Vec<usize> = (first..cells.len()).filter(|&at| cells[at].same_load(&cells[first])).collect();
        done.extend(&group);
        let valid: Vec<usize> = group.into_iter().filter(|&at| cells[at].verdict == Verdict::Valid).collect();
        let by = |(_, higher_is_better, value): Compared| {
            stats::ranks(&valid.iter().map(|&at| values(&cells[at], value)).collect::<Vec<_>>(), higher_is_better)
        };
        let [throughput, p99, cpu] = COMPARED.map(by);
        for (place, &at) in valid.iter().enumerate() {
            let ranks = &mut cells[at].ranks;
            (ranks.throughput, ranks.p99, ranks.cpu) = (throughput[place], p99[place], cpu[place]);
        }
    }
}

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
    let same = |settings: &crate::plan::Plan| crate::plan::Plan {
        targets: Vec::new(),
        workloads: Vec::new(),
        schedules: Vec::new(),
        concurrencies: Vec::new(),
        requests_per_connection: Vec::new(),
        trials: 0,
        seed: 0,
        ..settings.clone()
    };
    if same(&first.settings) != same(&second.settings) {
        return Err("the runs differ in duration, warm-up, threads, CPUs or timeouts".into());
    }
    if first.run_id == second.run_id {
        return Err("these are the same run twice".into());
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
    for cell in second.cells {
        let Some(at) = merged.cells.iter().position(|mine| mine.key() == cell.key()) else {
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
            measure::summarise(mine);
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

/// Prints what changed beyond noise from the first run to the second: the ratio of second to first with its 95 %
/// interval, for each cell that both have. Holm's method corrects for the number of comparisons.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(first: &Results, second: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut found = Vec::new();
    for before in &first.cells {
        let Some(after) = second.cells.iter().find(|after| after.key() == before.key()) else {
            writeln!(out, "{}: only in {}", before.key(), first.run_id)?;
            continue;
        };
        if let Some(invalid) = [before, after].into_iter().find(|cell| cell.verdict != Verdict::Valid) {
            writeln!(out, "{}: {}, so not compared", before.key(), invalid.verdict.name())?;
            continue;
        }
        for (name, higher_is_better, value) in COMPARED {
            match stats::unpaired(&values(before, value), &values(after, value)) {
                Some(ratio) => found.push((before.key(), name, higher_is_better, ratio)),
                None => writeln!(
                    out,
                    "{}: {name}: needs {} trials with that figure in each",
                    before.key(),
                    stats::MIN_TRIALS
                )?,
            }
        }
    }
    for after in &second.cells {
        if first.cells.iter().all(|before| before.key() != after.key()) {
            writeln!(out, "{}: only in {}", after.key(), second.run_id)?;
        }
    }
    let significant = stats::holm(&found.iter().map(|(.., ratio)| ratio.p).collect::<Vec<_>>());
    for ((key, name, higher_is_better, ratio), significant) in found.iter().zip(significant) {
        let judgement = match (significant, (ratio.ratio > 1.0) == *higher_is_better) {
            (false, _) => "no change beyond noise",
            (true, true) => "better",
            (true, false) => "worse",
        };
        writeln!(out, "{key}: {name} x{:.3} ({:.3} to {:.3}): {judgement}", ratio.ratio, ratio.low, ratio.high)?;
    }
    Ok(())
}

/// The name of a target's second copy in an A/A run.
pub fn aa_name(target: &str) -> String {
    format!("{target} again")
}

/// Prints what an A/A run shows of this machine's noise: how much a target differs from its own copy, and which
/// difference is too small to be detected with this number of trials.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_noise(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nThe same target twice: how much noise this machine has")?;
    for cell in &results.cells {
        let copy = results.cells.iter().find(|other| other.target == aa_name(&cell.target) && other.same_load(cell));
        let Some(copy) = copy else { continue };
        for (name, _, value) in COMPARED {
            let Some(ratio) = stats::paired(&values(cell, value), &values(copy, value)) else { continue };
            let half_width = ((ratio.high / ratio.low).sqrt() - 1.0) * 100.0;
            write!(out, "{}: {name}: differences below {half_width:.1} % are noise", cell.key())?;
            if ratio.p < stats::ALPHA {
                let off = (ratio.ratio - 1.0) * 100.0;
                write!(
                    out,
                    "; warning: the target differs from its own copy by {off:+.1} %, as happens in one run of twenty"
                )?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    fn run(id: &str, targets: &[(&str, f64)], trials: usize) -> Results {
        let mut made = results(&targets.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        made.run_id = id.into();
        for (cell, (_, speed)) in made.cells.iter_mut().zip(targets) {
            for trial in 0..trials {
                let mut one = measure::empty_trial();
                one.throughput = speed * (1.0 + 0.01 * (trial % 3) as f64);
                (one.requests, one.ok) = (1_000, 1_000);
                cell.trials.push(one);
            }
            measure::summarise(cell);
        }
        made
    }

    #[test]
    fn a_cell_that_is_not_valid_is_not_ranked() {
        let mut run = run("r", &[("a", 100.0), ("b", 300.0), ("c", 200.0)], 5);
        run.cells[1].verdict = Verdict::Starved;
        rank(&mut run.cells);
        let ranks: Vec<_> = run.cells.iter().map(|cell| cell.ranks.throughput).collect();
        assert_eq!(ranks, [Some(2), None, Some(1)]);
        assert_eq!(run.cells[0].ranks.p99, None, "there is no such figure");
    }

    #[test]
    fn a_merged_cell_has_the_trials_of_both_runs_with_their_histograms() {
        let (first, second) = (run("r", &[("a", 100.0)], 2), run("s", &[("a", 100.0), ("b", 50.0)], 3));
        let merged = merge(first.clone(), second.clone()).unwrap();
        assert_eq!((merged.cells.len(), merged.cells[0].trials.len()), (2, 5));
        assert_eq!(merged.cells[0].trials[..2], first.cells[0].trials);
        assert_eq!(merged.cells[0].trials[2..], second.cells[0].trials);
        assert_eq!((merged.cells[0].requests, merged.cells[0].throughput.unwrap().low), (5_000, Some(100.0)));
        assert!(merge(first.clone(), first.clone()).unwrap_err().contains("twice"));
        let mut other = second;
        other.settings.duration *= 2;
        assert!(merge(first, other).unwrap_err().contains("duration"));
    }

    #[test]
    fn only_a_change_beyond_noise_is_reported_as_a_change() {
        let printed = |first: &Results, second: &Results| {
            let mut out = Vec::new();
            print(first, second, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let before = run("r", &[("a", 100.0)], 5);
        assert!(printed(&before, &run("s", &[("a", 100.1)], 5)).contains("no change beyond noise"));
        assert!(printed(&before, &run("s", &[("a", 120.0)], 5)).contains("x1.200"));
        assert!(printed(&before, &run("s", &[("a", 80.0)], 5)).contains(": worse"));
        assert!(printed(&before, &run("s", &[("a", 80.0)], 3)).contains("req/s: needs 5 trials"));
    }

    #[test]
    fn an_aa_run_prints_which_differences_are_noise() {
        let mut out = Vec::new();
        print_noise(&run("r", &[("a", 100.0), (&aa_name("a"), 100.0)], 5), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("req/s: differences below 0.0 % are noise\n"), "{text}");
    }
}
