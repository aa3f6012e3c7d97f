//! Ranks the targets under the same load, and says by which figures runs are compared.

use crate::figures::CPU;
use crate::plan::aa_name;
use crate::schedule::Schedule;
use crate::schema::{Cell, Ranks, by_load};
use crate::statistics::{self, MIN_TRIALS, Ratio};
use crate::verdict::share_of_cpus;
use std::collections::BTreeMap;

/// The path of the figure that ranks only where it shows capacity.
const THROUGHPUT: &str = "throughput";
/// The path of user and kernel memory a connection.
const MEMORY: &str = "server.memory_bytes_per_connection";
/// A target that used at least this share of the CPUs that it could use, or a client thread that used that share of its
/// CPU, was busy: the rate was not decided by waiting alone.
const BUSY_SHARE: f64 = 0.5;

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
pub(crate) const COMPARED: [Compared; 4] = [
    Compared { name: "CPU/r", path: CPU, higher_is_better: false },
    Compared { name: "p99", path: "latency_us.p99", higher_is_better: false },
    Compared { name: "req/s", path: THROUGHPUT, higher_is_better: true },
    Compared { name: "mem/conn", path: MEMORY, higher_is_better: false },
];

impl Compared {
    /// The rank by this figure.
    fn rank<'r>(&self, ranks: &'r mut Ranks) -> &'r mut Option<usize> {
        match self.path {
            "latency_us.p99" => &mut ranks.p99,
            THROUGHPUT => &mut ranks.throughput,
            MEMORY => &mut ranks.memory,
            _ => &mut ranks.cpu,
        }
    }
}

/// The figure's value in each counted trial; empty if one of these lacks it.
pub(crate) fn values(cell: &Cell, figure: &Compared) -> Vec<f64> {
    let values = cell.counted_trials().into_iter().map(|trial| *trial.figures.at(figure.path).1);
    values.collect::<Option<Vec<f64>>>().unwrap_or_default()
}

/// The ratio of `second` to `first` by the trials that were measured close to each other: those of the same run and
/// block. Where the blocks are not known, these are the n-th trials of both in the same run. A merged cell has trials of
/// several runs, and another cell may lack those of some.
fn paired(first: &Cell, second: &Cell, figure: &Compared) -> Option<Ratio> {
    let (first, second) = paired_values(first, second, figure.path);
    statistics::paired(&first, &second)
}

/// The figure's values in these trials, of both cells in the same order, where both trials have it.
pub(crate) fn paired_values(first: &Cell, second: &Cell, path: &str) -> (Vec<f64>, Vec<f64>) {
    paired_blocks((first, path), (second, path)).into_iter().map(|(_, first, second)| (first, second)).unzip()
}

/// A figure of a cell, and another one of another cell, in each block that both have, after its number.
pub(crate) fn paired_blocks(first: (&Cell, &str), second: (&Cell, &str)) -> Vec<(u64, f64, f64)> {
    let (first, second) = (placed(first.0, first.1), placed(second.0, second.1));
    let pairs = first.iter().filter_map(|(at, a)| Some((at.1, *a, second.iter().find(|(other, _)| other == at)?.1)));
    pairs.collect()
}

/// A run, and a trial's block in it.
type Place<'c> = (Option<&'c str>, u64);

/// The figure's value in each counted trial that has it, with the run of the trial and its block in that run, or where that
/// is not known its number in that run.
fn placed<'c>(cell: &'c Cell, path: &str) -> Vec<(Place<'c>, f64)> {
    let counted = cell.counted_trials();
    let mut in_run: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    let mut placed = Vec::new();
    for trial in &cell.trials {
        let number = in_run.entry(trial.run_id.as_deref()).or_default();
        *number += 1;
        if let Some(value) = *trial.figures.at(path).1
            && trial.is_one_of(&counted)
        {
            placed.push(((trial.run_id.as_deref(), trial.block.unwrap_or(*number)), value));
        }
    }
    placed
}

/// Ranks the cells under the same load by CPU time a request, 99th percentile of the latency, throughput, and memory a
/// connection.
///
/// A cell takes part in the ranking by a figure that it has in at least [`MIN_TRIALS`] trials and that has no flaw, whatever its
/// others are. The second copy of a target takes part in none: two equals more would only add comparisons. Throughput
/// gives no ranks where it does not show capacity: where the schedule decides it, or where waiting does, because neither
/// a target nor the load generator was busy.
pub fn rank(cells: &mut [Cell]) {
    cells.iter_mut().for_each(|cell| cell.ranks = Ranks::default()); // a merged cell may have had one that it lost
    for group in by_load(cells) {
        let copies: Vec<String> = group.iter().map(|&at| aa_name(&cells[at].key.target)).collect();
        let is_original = |at: &usize| !copies.contains(&cells[*at].key.target);
        let originals: Vec<usize> = group.iter().copied().filter(is_original).collect();
        for figure in &COMPARED {
            let takes_part = |at: &usize| {
                let cell = &cells[*at];
                let (name, value) = cell.figures.at(figure.path);
                value.is_some() && cell.flaw(&name).is_none() && values(cell, figure).len() >= MIN_TRIALS
            };
            let ranked: Vec<usize> = originals.iter().copied().filter(takes_part).collect();
            if figure.path == THROUGHPUT && !shows_capacity(ranked.iter().map(|&at| &cells[at])) {
                continue;
            }
            let compare = |first: usize, second: usize| paired(&cells[ranked[first]], &cells[ranked[second]], figure);
            let ranks = statistics::ranks(ranked.len(), compare, figure.higher_is_better);
            for (at, rank) in ranked.into_iter().zip(ranks) {
                *figure.rank(&mut cells[at].ranks) = rank;
            }
        }
    }
}

/// Whether the throughput of these cells under the same load shows what the targets can do. The search for a knee is an
/// open loop whose rate the target decides.
fn shows_capacity<'c>(mut cells: impl Iterator<Item = &'c Cell>) -> bool {
    let is_busy = |cell: &Cell| {
        let used = share_of_cpus(cell);
        let client = cell.figures.client.busiest_thread.map(|busy| busy.median);
        // What is not known may have been busy.
        [used, client].into_iter().any(|share| share.is_none_or(|share| share >= BUSY_SHARE))
    };
    cells.any(|cell| match cell.key.load.schedule {
        Schedule::Closed => is_busy(cell),
        Schedule::Knee(_) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;
    use crate::schema::{Bound, Flaw, Results, Verdict};

    fn throughput_ranks(run: &Results) -> Vec<Option<usize>> {
        run.cells.iter().map(|cell| cell.ranks.throughput).collect()
    }

    #[test]
    fn a_cell_takes_part_by_the_figures_that_have_no_flaw() {
        let mut run = run("r", &[("a", 100.0), ("b", 300.0), ("c", 200.0)], 5);
        for (cell, cpu) in run.cells.iter_mut().zip([30.0, 10.0, 20.0]) {
            cell.trials.iter_mut().for_each(|trial| trial.figures.server.cpu_us_per_request = Some(cpu));
            cell.summarise();
        }
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: "it was busy".into(), bound: Some(Bound::Lower) };
        run.cells[1].verdict = Verdict::ClientLimited;
        run.cells[1].flaws.insert("throughput".into(), flaw);
        run.cells[1].ranks.throughput = Some(1);
        rank(&mut run.cells);
        assert_eq!(throughput_ranks(&run), [Some(2), None, Some(1)]);
        let cpu: Vec<_> = run.cells.iter().map(|cell| cell.ranks.cpu).collect();
        assert_eq!(cpu, [Some(3), Some(1), Some(2)]);
        assert_eq!(run.cells[0].ranks.p99, None, "there is no such figure");
    }

    #[test]
    fn memory_ranks_where_both_parts_of_it_are_known() {
        let mut run = run("r", &[("a", 100.0), ("b", 100.0), ("c", 100.0)], 4);
        for (cell, memory) in run.cells.iter_mut().zip([Some(9_000.0), Some(3_000.0), None]) {
            for trial in &mut cell.trials {
                trial.figures.server.user_memory_bytes_per_connection = Some(1_000.0);
                trial.figures.server.memory_bytes_per_connection = memory;
            }
            cell.summarise();
        }
        rank(&mut run.cells);
        let memory: Vec<_> = run.cells.iter().map(|cell| cell.ranks.memory).collect();
        assert_eq!(memory, [Some(2), Some(1), None]);
    }

    #[test]
    fn the_copy_of_a_target_and_a_target_with_three_trials_take_no_part() {
        let mut run = run("r", &[("a", 100.0), ("a again", 900.0), ("b", 300.0), ("c", 500.0)], 4);
        run.cells[3].trials.pop();
        rank(&mut run.cells);
        assert_eq!(throughput_ranks(&run), [Some(2), None, Some(1), None]);
    }

    #[test]
    fn a_pair_may_lack_a_trial_on_each_side_and_disturbed_ones_do_not_count() {
        let mut run = run("r", &[("a", 100.0), ("b", 300.0)], 5);
        for (cell, disturbed) in run.cells.iter_mut().zip([0, 4]) {
            cell.trials[disturbed].seconds = 5.0;
            cell.trials[disturbed].figures.machine.steal = Some(0.5);
            cell.trials[disturbed].figures.throughput = Some(1e6);
            cell.summarise();
        }
        rank(&mut run.cells);
        assert_eq!(throughput_ranks(&run), [Some(2), Some(1)]);
        let [a, b] = &run.cells[..] else { panic!() };
        assert_eq!(paired_values(a, b, THROUGHPUT).0.len(), 3);
    }

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
        let [.., throughput, _] = &COMPARED;
        let ratio = paired(a, b, throughput).unwrap();
        assert!((ratio.ratio - 2.0).abs() < 1e-9, "{ratio:?}");
        let (mut a, mut b) = (a.clone(), b.clone());
        a.trials.iter_mut().chain(&mut b.trials).for_each(|trial| trial.block = None);
        let by_number = paired(&a, &b, throughput).unwrap();
        assert!(by_number.ratio > 2.5, "{by_number:?}");
    }

    #[test]
    fn a_target_without_the_figure_leaves_the_ranks_to_the_others() {
        let mut run = run("r", &[("a", 100.0), ("b", 300.0), ("c", 200.0)], 5);
        run.cells[2].trials[0].figures.throughput = None;
        run.cells[2].summarise();
        rank(&mut run.cells);
        assert_eq!(throughput_ranks(&run), [Some(2), Some(1), None]);
        run.cells.truncate(1);
        rank(&mut run.cells);
        assert_eq!(throughput_ranks(&run), [None], "it would be the first of one");
    }

    #[test]
    fn throughput_ranks_nobody_where_the_schedule_or_waiting_decides_it() {
        let ranks = |schedule: Schedule, used: Option<f64>, client: Option<f64>| {
            let mut run = run("r", &[("a", 100.0), ("b", 300.0)], 5);
            for cell in &mut run.cells {
                (cell.key.load.schedule, cell.server_cpus) = (schedule, Some(4));
                for trial in &mut cell.trials {
                    (trial.figures.server.cpus_used, trial.figures.server.threads) = (Some(0.1), Some(1.0));
                    trial.figures.client.busiest_thread = client;
                }
            }
            run.cells[1].trials.iter_mut().for_each(|trial| trial.figures.server.cpus_used = used);
            run.cells.iter_mut().for_each(Cell::summarise);
            rank(&mut run.cells);
            throughput_ranks(&run)
        };
        let (ranked, none) = ([Some(2), Some(1)], [None, None]);
        assert_eq!(ranks(Schedule::Closed, Some(0.49), Some(0.49)), none, "both wait");
        assert_eq!(ranks(Schedule::Closed, Some(0.5), Some(0.1)), ranked, "a target of one thread is busy");
        assert_eq!(ranks(Schedule::Closed, Some(0.1), Some(0.5)), ranked, "the generator is busy");
        assert_eq!(ranks(Schedule::Closed, None, Some(0.1)), ranked, "it is not known");
        assert_eq!(ranks(Schedule::Rate(100.0), Some(0.9), Some(0.9)), none);
        assert_eq!(ranks(Schedule::Knee(3.0), Some(0.1), Some(0.1)), ranked);
    }
}
