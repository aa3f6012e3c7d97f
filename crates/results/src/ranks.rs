//! Ranks the targets under the same load, and says by which figures runs are compared.

use crate::schema::{Cell, Ranks, Trial, Verdict, by_load};
use crate::statistics::{self, Ratio};
use std::collections::BTreeMap;

/// A figure that is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// How it is called in what is printed.
    pub name: &'static str,
    /// Its path in results.json.
    pub path: &'static str,
    /// Whether a higher value is better.
    pub higher_is_better: bool,
}

/// The figures that are compared, in the order in which they are told: CPU time a request comes first, because it does
/// not depend on what the load generator can do.
pub(crate) const COMPARED: [Compared; 3] = [
    Compared { name: "CPU/r", path: "server.cpu_us_per_request", higher_is_better: false },
    Compared { name: "p99", path: "latency_us.p99", higher_is_better: false },
    Compared { name: "req/s", path: "throughput", higher_is_better: true },
];

impl Compared {
    fn value(&self, trial: &Trial) -> Option<f64> {
        *trial.figures.at(self.path).1
    }
}

/// The figure's value in each trial that was not cut short; empty if one of these trials lacks it.
pub(crate) fn values(cell: &Cell, figure: &Compared) -> Vec<f64> {
    cell.whole_trials().map(|trial| figure.value(trial)).collect::<Option<Vec<f64>>>().unwrap_or_default()
}

/// The ratio of `second` to `first` by the trials that were measured close to each other: the n-th trials of both in the
/// same run. A merged cell has trials of several runs, and another cell may lack those of some.
pub(crate) fn paired(first: &Cell, second: &Cell, figure: &Compared) -> Option<Ratio> {
    let (first, second) = (numbered(first, figure)?, numbered(second, figure)?);
    let pairs = first.iter().filter_map(|(at, a)| Some((*a, second.iter().find(|(other, _)| other == at)?.1)));
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.unzip();
    statistics::paired(&first, &second)
}

/// A run, and the number of a trial in it.
type Place<'c> = (Option<&'c str>, usize);

/// The figure's value in each trial that was not cut short, with the run of the trial and its number in that run;
/// `None` if one of these trials lacks it.
fn numbered<'c>(cell: &'c Cell, figure: &Compared) -> Option<Vec<(Place<'c>, f64)>> {
    let mut in_run: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let numbered = cell.trials.iter().map(|trial| {
        let number = in_run.entry(trial.run_id.as_deref()).or_default();
        *number += 1;
        (trial, (trial.run_id.as_deref(), *number))
    });
    numbered.filter(|(trial, _)| !trial.aborted).map(|(trial, at)| Some((at, figure.value(trial)?))).collect()
}

/// Ranks the valid cells under the same load by throughput, 99th percentile of the latency, and CPU time a request.
pub fn rank(cells: &mut [Cell]) {
    cells.iter_mut().for_each(|cell| cell.ranks = Ranks::default()); // a merged cell may have had one that it lost
    for group in by_load(cells) {
        let valid: Vec<usize> = group.into_iter().filter(|&at| cells[at].verdict == Verdict::Valid).collect();
        let by = |figure: Compared| {
            let compare = |first: usize, second: usize| paired(&cells[valid[first]], &cells[valid[second]], &figure);
            statistics::ranks(valid.len(), compare, figure.higher_is_better)
        };
        let [cpu, p99, throughput] = COMPARED.map(by);
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
