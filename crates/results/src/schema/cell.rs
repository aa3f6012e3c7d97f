//! A cell: a target under one load.

use super::disturbance::disturbance;
use super::flaw::{Flaw, Verdict};
use super::trial::Trial;
use crate::figures::{Figures, Name, Reason};
use crate::load::Key;
use crate::outcomes::OutcomeCounts;
use crate::statistics::Figure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The ranks of a cell among the cells under the same load that have the figure without a flaw: one more than the
/// number of targets that are better, significantly and by at least 3 %, so several targets may share a rank. Null with
/// fewer than four trials or fewer than two such cells, and by throughput also where it does not show capacity: in an
/// open loop, and where neither a target nor the load generator was busy. The second copy of a target that was measured
/// twice has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ranks {
    /// By CPU time per request.
    pub cpu: Option<usize>,
    /// By the 99th percentile of the latency.
    pub p99: Option<usize>,
    /// By throughput.
    pub throughput: Option<usize>,
    /// By user and kernel memory a connection, which are known together from 1000 connections on.
    pub memory: Option<usize>,
}

impl Ranks {
    /// Each rank with the name of what it is by.
    pub fn iter(&self) -> [(&'static str, Option<usize>); 4] {
        [("cpu", self.cpu), ("p99", self.p99), ("throughput", self.throughput), ("memory", self.memory)]
    }
}

/// One cell: a target under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What identifies the cell.
    #[serde(flatten)]
    pub key: Key,
    /// Whether its numbers may be compared; if not all may, the gravest verdict on one of them.
    pub verdict: Verdict,
    /// The reasons for the verdict, and remarks.
    pub reasons: Vec<String>,
    /// Its ranks among the cells under the same load.
    #[serde(default)]
    pub ranks: Ranks,
    /// CPUs that the target could run on.
    #[serde(default)]
    pub server_cpus: Option<usize>,
    /// The outcomes of the requests of all trials.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
    /// The figures over the trials. A missing one is null, and `missing` says why.
    #[serde(flatten)]
    pub figures: Figures<Option<Figure>>,
    /// Why figures are missing: the key is a figure, as `server.user_us_per_request`, or a whole group, as `server`.
    pub missing: BTreeMap<String, Reason>,
    /// Why figures may not be compared although they have a value: the key is a figure or a whole group, as in
    /// `missing`.
    #[serde(default)]
    pub flaws: BTreeMap<String, Flaw>,
    /// The trials that were begun.
    pub trials: Vec<Trial>,
}

impl Cell {
    /// A cell before its first trial.
    pub fn new(key: Key) -> Cell {
        Cell {
            key,
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            ranks: Ranks::default(),
            server_cpus: None,
            outcomes: OutcomeCounts::default(),
            figures: Figures::default(),
            missing: BTreeMap::new(),
            flaws: BTreeMap::new(),
            trials: Vec::new(),
        }
    }

    /// Why this figure may not be compared although it has a value; `None` if it may.
    pub fn flaw(&self, name: &Name) -> Option<&Flaw> {
        self.flaws.get(&name.path()).or_else(|| self.flaws.get(name.group))
    }

    /// The trials that the cell's figures and verdict come from, and by which it is ranked and compared.
    ///
    /// A trial that an interrupt cut short counts only if there is no other. One that other programs disturbed is left out if at
    /// least three trials and at least half of them are left. It is the cause that decides, never a figure, so nothing is
    /// chosen by its value. Its requests are among the cell's outcomes, and it counts if one of them failed or the target was
    /// gone: a disturbance may not hide an error.
    pub fn counted_trials(&self) -> Vec<&Trial> {
        let whole: Vec<&Trial> = self.trials.iter().filter(|trial| !trial.aborted).collect();
        let quiet: Vec<&Trial> = whole.iter().copied().filter(|trial| !may_be_left_out(trial)).collect();
        match whole.len() {
            0 => self.trials.iter().collect(),
            all if quiet.len() >= LEAST_COUNTED && quiet.len() * 2 >= all => quiet,
            _ => whole,
        }
    }

    /// What others did in the whole trials that do not count, a sentence for each.
    pub fn left_out(&self) -> Vec<String> {
        let counted = self.counted_trials();
        let left_out = |trial: &&Trial| !trial.aborted && !trial.is_one_of(&counted);
        self.trials.iter().filter(left_out).filter_map(disturbance).collect()
    }
}

/// The fewest trials that have to be left.
const LEAST_COUNTED: usize = 3;

/// Whether others disturbed the trial, and nothing went wrong in it.
fn may_be_left_out(trial: &Trial) -> bool {
    trial.gone.is_none() && trial.outcomes.errors() == 0 && disturbance(trial).is_some()
}

/// The cells under each load, as indices; loads and cells in the order in which they come.
pub(crate) fn by_load(cells: &[Cell]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        match groups.iter_mut().find(|group| cells[group[0]].key.load == cell.key.load) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}
