//! Ranks the targets under the same load, and says by which figures runs are compared.

use crate::schema::{Cell, Ranks, Trial, Verdict, by_load};
use crate::statistics::{self, Ratio};
use std::collections::BTreeMap;

/// The figures that are compared: name, whether a higher value is better, and the value of a trial.
pub(crate) type Compared = (&'static str, bool, fn(&Trial) -> Option<f64>);
pub(crate) const COMPARED: [Compared; 3] = [
    ("req/s", true, |trial| trial.figures.throughput),
    ("p99", false, |trial| trial.figures.latency_us.p99),
    ("CPU/r", false, |trial| trial.figures.server.cpu_us_per_request),
];

/// The figure's value in each trial that was not cut short; empty if one of these trials lacks it.
pub(crate) fn values(cell: &Cell, value: fn(&Trial) -> Option<f64>) -> Vec<f64> {
    cell.whole_trials().map(value).collect::<Option<Vec<f64>>>().unwrap_or_default()
}

/// The ratio of `second` to `first` by the trials that were measured close to each other: those of the same run and
/// block. Where the blocks are not known, these are the n-th trials of both in the same run. A merged cell has trials
/// of several runs, and another cell may lack those of some.
pub(crate) fn paired(first: &Cell, second: &Cell, value: fn(&Trial) -> Option<f64>) -> Option<Ratio> {
    let (first, second) = (numbered(first, value)?, numbered(second, value)?);
    let pairs = first.iter().filter_map(|(at, a)| Some((*a, second.iter().find(|(other, _)| other == at)?.1)));
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.unzip();
    statistics::paired(&first, &second)
}

/// A run, and a trial's block in it.
type Place<'c> = (Option<&'c str>, u64);

/// The figure's value in each trial that was not cut short, with the run of the trial and its block in that run, or
/// where that is not known its number in that run; `None` if one of these trials lacks it.
fn numbered(cell: &Cell, value: fn(&Trial) -> Option<f64>) -> Option<Vec<(Place<'_>, f64)>> {
    let mut in_run: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    let numbered = cell.trials.iter().map(|trial| {
        let number = in_run.entry(trial.run_id.as_deref()).or_default();
        *number += 1;
        (trial, (trial.run_id.as_deref(), trial.block.unwrap_or(*number)))
    });
    numbered.filter(|(trial, _)| !trial.aborted).map(|(trial, at)| Some((at, value(trial)?))).collect()
}

/// Ranks the valid cells under the same load by throughput, 99th percentile of the latency, and CPU time a request.
pub fn rank(cells: &mut [Cell]) {
    cells.iter_mut().for_each(|cell| cell.ranks = Ranks::default()); // a merged cell may have had one that it lost
    for group in by_load(cells) {
        let valid: Vec<usize> = group.into_iter().filter(|&at| cells[at].verdict == Verdict::Valid).collect();
        let by = |(_, higher_is_better, value): Compared| {
            let compare = |first: usize, second: usize| paired(&cells[valid[first]], &cells[valid[second]], value);
            statistics::ranks(valid.len(), compare, higher_is_better)
        };
        let [throughput, p99, cpu] = COMPARED.map(by);
        for (place, &at) in valid.iter().enumerate() {
            let ranks = &mut cells[at].ranks;
            (ranks.throughput, ranks.p99, ranks.cpu) = (throughput[place], p99[place], cpu[place]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;

    #[test]
    fn trials_of_the_same_block_are_paired() {
        let mut run = run("r", &[("a", 100.0), ("b", 200.0)], 6);
        for cell in &mut run.cells {
            for (block, trial) in (0..).zip(&mut cell.trials) {
                trial.block = Some(block);
                trial.figures.throughput = trial.figures.throughput.map(|speed| speed * (1 + block) as f64);
            }
        }
        run.cells[1].trials.remove(0); // the target could not be measured in the first block
        let [a, b] = &run.cells[..] else { panic!() };
        let ratio = paired(a, b, |trial| trial.figures.throughput).unwrap();
        assert!((ratio.ratio - 2.0).abs() < 1e-9, "{ratio:?}");
        let (mut a, mut b) = (a.clone(), b.clone());
        a.trials.iter_mut().chain(&mut b.trials).for_each(|trial| trial.block = None);
        let by_number = paired(&a, &b, |trial| trial.figures.throughput).unwrap();
        assert!(by_number.ratio > 2.5, "{by_number:?}");
    }

    #[test]
    fn a_cell_that_is_not_valid_is_not_ranked() {
        let mut run = run("r", &[("a", 100.0), ("b", 300.0), ("c", 200.0)], 5);
        run.cells[1].verdict = Verdict::Starved;
        run.cells[1].ranks.throughput = Some(1);
        rank(&mut run.cells);
        let ranks: Vec<_> = run.cells.iter().map(|cell| cell.ranks.throughput).collect();
        assert_eq!(ranks, [Some(2), None, Some(1)]);
        assert_eq!(run.cells[0].ranks.p99, None, "there is no such figure");
    }
}
