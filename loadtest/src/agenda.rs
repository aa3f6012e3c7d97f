//! Decides which block of a run comes next, and tells how long the rest of the run takes.
//!
//! A *block* has the trials of all targets under one load, made one after another, so that they see the machine at the same
//! time. In each round every load has a block. The seed decides the order of the loads within a round, and of the targets
//! within a block, so a drift of the machine's speed does not affect only one target. If a schedule needs the closed
//! loop's ceiling, all blocks that do not need it come first.
//!
//! With a budget, a block begins only if it fits into what is left, and a load's second block only if the first blocks of
//! all loads fit, too: blocks are dropped before loads. What is left over then serves [`further`](crate::further) blocks.

use crate::costs::Costs;
use crate::further::{Further, Widths};
use fastrand::Rng;
use results::Plan;
use std::collections::VecDeque;
use std::time::Duration;

/// Blocks of each load that come before anything else: a disturbed trial is made again only if so many still fit into the
/// budget, and further planned blocks leave room for the pairs of a target and its copy.
const WANTED_BLOCKS: usize = 3;

/// A block that begins.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// The load: its place in the plan's list.
    pub load: usize,
    /// Its number among the blocks of the load, from 0.
    pub number: usize,
    /// Its cells, in the order in which they are measured.
    pub cells: Vec<usize>,
    /// Whether it is one of the plan's blocks, not a further one.
    pub is_planned: bool,
}

/// The blocks of a run that are still to come, and what they cost.
pub struct Agenda {
    random: Rng,
    costs: Costs,
    /// The cells of each load, without those that are given up.
    cells: Vec<Vec<usize>>,
    /// The loads of the planned blocks, in their order.
    planned: VecDeque<usize>,
    /// Blocks of each load that have begun.
    begun: Vec<usize>,
    /// Planned blocks of each load that the budget left out.
    left_out: Vec<usize>,
    /// Load of the present block, and how many of its trials are still to come.
    present: (usize, usize),
    further: Further,
}

impl Agenda {
    /// The agenda of a plan.
    pub fn new(plan: &Plan) -> Agenda {
        let keys = plan.cells();
        let of_load = |load| (0..keys.len()).filter(|&cell| keys[cell].load == plan.loads[load]).collect();
        let (later, first): (Vec<usize>, Vec<usize>) =
            (0..plan.loads.len()).partition(|&load| plan.loads[load].schedule.needs_ceiling());
        let mut random = Rng::with_seed(plan.seed);
        let mut planned = VecDeque::new();
        for mut loads in [first, later] {
            for _ in 0..plan.trials {
                random.shuffle(&mut loads);
                planned.extend(&loads);
            }
        }
        Agenda {
            random,
            costs: Costs::new(plan),
            cells: (0..plan.loads.len()).map(of_load).collect(),
            planned,
            begun: vec![0; plan.loads.len()],
            left_out: vec![0; plan.loads.len()],
            present: (0, 0),
            further: Further::new(plan),
        }
    }

    /// The next block; `None` if there is none, or none that fits into what is `left` of the budget.
    pub fn next(&mut self, left: Option<Duration>, widths: &dyn Widths) -> Option<Block> {
        self.further.look_ahead(&self.begun, &self.cells, widths);
        while let Some(load) = self.planned.pop_front() {
            if self.cells[load].is_empty() {
                continue;
            }
            if left.is_none_or(|left| self.needs(load) <= left) {
                let cells = self.cells[load].clone();
                return Some(self.begin(load, cells, true));
            }
            self.left_out[load] += 1;
        }
        let left = left?;
        let costs = &self.costs;
        let fits = |load: usize, trials: usize| costs.of(load) * trials as u32 <= left;
        let (load, cells) = self.further.next(&self.begun, &self.cells, &fits, widths)?;
        Some(self.begin(load, cells, false))
    }

    /// What has to fit so that this block may begin.
    fn needs(&self, load: usize) -> Duration {
        let others = |other: &usize| *other != load && self.begun[*other] == 0 && self.planned.contains(other);
        let first: Duration = match self.begun[load] {
            0 => Duration::ZERO,
            _ => (0..self.cells.len()).filter(others).map(|other| self.block(other)).sum(),
        };
        // The noise of the machine says what all other figures are worth.
        let pairs = match self.begun[load] {
            enough if enough >= WANTED_BLOCKS => self.further.rest_of_pairs(&self.cells, &|load| self.costs.of(load)),
            _ => Duration::ZERO,
        };
        (self.block(load) + first).saturating_add(pairs)
    }

    /// The cost of a block of this load.
    fn block(&self, load: usize) -> Duration {
        self.costs.of(load) * self.cells[load].len() as u32
    }

    fn begin(&mut self, load: usize, mut cells: Vec<usize>, is_planned: bool) -> Block {
        self.random.shuffle(&mut cells);
        let number = self.begun[load];
        self.begun[load] += 1;
        self.present = (load, cells.len());
        Block { load, number, cells, is_planned }
    }

    /// The next trial of the present block begins.
    pub fn begin_trial(&mut self) {
        self.present.1 -= 1;
    }

    /// The trial that has begun last took so long, with all that belongs to it.
    pub fn learn(&mut self, took: Duration) {
        self.costs.learn(self.present.0, took);
    }

    /// The cell gets no further trials.
    pub fn give_up(&mut self, cell: usize) {
        self.cells.iter_mut().for_each(|cells| cells.retain(|&other| other != cell));
    }

    /// Whether the cell gets no trial any more, whatever the trials to come show.
    pub fn is_over(&self, cell: usize) -> bool {
        let load = self.cells.iter().position(|cells| cells.contains(&cell));
        load.is_none_or(|load| !self.planned.contains(&load) && !self.further.may_measure(load, cell))
    }

    /// Whether blocks are planned after the present one.
    pub fn has_planned(&self) -> bool {
        !self.planned.is_empty()
    }

    /// Blocks that have begun, and all of the plan's that the budget has not left out yet.
    pub fn position(&self) -> (usize, usize) {
        let begun = self.begun.iter().sum();
        (begun, self.planned.len() + begun - self.further.made())
    }

    /// The cost of a trial of the present block.
    pub fn trial_cost(&self) -> Duration {
        self.costs.of(self.present.0)
    }

    /// The time that the rest takes after the trial that has begun last.
    pub fn rest(&self) -> Duration {
        let planned: Duration = self.planned.iter().map(|&load| self.block(load)).sum();
        let cost = |load: usize| self.costs.of(load);
        let further = self.further.rest(&self.cells, &cost);
        (self.rest_of_block() + planned).saturating_add(further)
    }

    fn rest_of_block(&self) -> Duration {
        self.trial_cost() * self.present.1 as u32
    }

    /// What has to fit so that a trial of the present block may be made again.
    pub fn needs_for_repeat(&self) -> Duration {
        let wanted = |load: usize| {
            let planned = self.planned.iter().filter(|&&other| other == load).count();
            self.block(load) * planned.min(WANTED_BLOCKS.saturating_sub(self.begun[load])) as u32
        };
        self.trial_cost() + self.rest_of_block() + (0..self.cells.len()).map(wanted).sum::<Duration>()
    }

    /// The planned blocks that each load has, and those that the budget left out.
    pub fn left_out(&self) -> impl Iterator<Item = (usize, usize)> {
        let further = (0..self.begun.len()).map(|load| self.further.made_of(load));
        self.begun.iter().zip(further).map(|(begun, further)| begun - further).zip(self.left_out.iter().copied())
    }

    /// Whether a cell's interval is still wider than the plan asks for.
    pub fn lacks_precision(&self) -> bool {
        self.further.lacks_precision()
    }
}

#[cfg(test)]
mod tests;
