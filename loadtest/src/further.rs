//! Blocks that are added to the planned ones while the budget lasts: to pairs of a target and its copy, which show the
//! noise of the machine, and with `--precision` to loads.
//!
//! Only the width of an interval decides, never whether a difference is significant: a run that ends as soon as it has found a
//! difference finds differences that do not exist. Such a rule is fair: Jain, "The Art of Computer Systems Performance
//! Analysis", 1991, section 13.9.2, determines the number of trials by the width.

use results::Plan;
use results::noise::aa_name;
use std::time::Duration;

/// The wanted half width of the interval of a target's CPU time a request to its copy's, as a share.
const PAIR_WIDTH: f64 = 0.05;
/// The most pairs.
const MOST_PAIRS: usize = 12;
/// How many it takes on a usual machine, whose four pairs give an interval of 8 % to either side.
const USUAL_PAIRS: usize = 10;

/// How wide the intervals of CPU time a request are by the trials so far, half width as a share. Infinite where there are too few
/// trials for one; `None` where further trials would give none.
pub trait Widths {
    /// That of the ratio of a copy to its original.
    fn of_pair(&self, original: usize, copy: usize) -> Option<f64>;
    /// That of a cell.
    fn of_cell(&self, cell: usize) -> Option<f64>;
}

/// What may get further blocks.
#[derive(Debug)]
struct Candidate {
    load: usize,
    /// The cells whose widths decide.
    decide: Vec<usize>,
    /// Whether these are an original and its copy, which get blocks of their own.
    is_pair: bool,
    wanted: f64,
    /// The most blocks of the load.
    most: usize,
    /// Planned blocks of the load.
    planned: usize,
    /// About how many further ones are to come, as far as that is known.
    to_come: Option<usize>,
    made: usize,
    /// Whether it gets no further blocks.
    is_over: bool,
}

/// The further blocks of a run.
#[derive(Debug)]
pub struct Further(Vec<Candidate>);

impl Further {
    /// A plan without a budget has none, nor does one that measures everything twice add pairs.
    pub fn new(plan: &Plan) -> Further {
        if plan.budget.is_none() {
            return Further(Vec::new());
        }
        let keys = plan.cells();
        let at = |load: usize, name: &str| {
            keys.iter().position(|key| key.target == name && key.load == plan.loads[load]).expect("the plan has it")
        };
        let candidate = |load, decide, is_pair, wanted, most| Candidate {
            load,
            decide,
            is_pair,
            wanted,
            most,
            planned: plan.trials,
            to_come: None,
            made: 0,
            is_over: false,
        };
        let all_twice = plan.twice.len() >= plan.targets.len() * plan.loads.len();
        let twice = plan.twice.iter().filter(|_| !all_twice);
        let mut candidates: Vec<Candidate> = twice
            .map(|twice| {
                let pair = [twice.target.clone(), aa_name(&twice.target)].map(|name| at(twice.load, &name));
                candidate(twice.load, pair.to_vec(), true, PAIR_WIDTH, MOST_PAIRS)
            })
            .collect();
        if let Some(precision) = plan.precision {
            candidates.extend((0..plan.loads.len()).map(|load| {
                let cells = plan.targets.iter().map(|target| at(load, target)).collect();
                candidate(load, cells, false, precision, usize::MAX)
            }));
        }
        candidates.iter_mut().filter(|candidate| candidate.is_pair).for_each(|pair| {
            pair.to_come = Some(USUAL_PAIRS.saturating_sub(plan.trials));
        });
        Further(candidates)
    }

    /// The load and the cells of the next block: pairs first, then the load that has the fewest blocks.
    pub fn next(
        &mut self,
        begun: &[usize],
        cells: &[Vec<usize>],
        fits: &dyn Fn(usize, usize) -> bool,
        widths: &dyn Widths,
    ) -> Option<(usize, Vec<usize>)> {
        loop {
            let open = self.0.iter_mut().filter(|candidate| !candidate.is_over);
            let next = open.min_by_key(|candidate| (!candidate.is_pair, begun[candidate.load]))?;
            let of_block = next.block(cells);
            let width = next.width(cells, widths);
            match width.filter(|&width| width > next.wanted && begun[next.load] < next.most) {
                Some(width) if fits(next.load, of_block.len()) => {
                    next.to_come = next.expected(width, begun[next.load]).map(|blocks| blocks.saturating_sub(1));
                    next.made += 1;
                    return Some((next.load, of_block));
                }
                wide => {
                    next.is_over = true;
                    next.to_come = if wide.is_some() { None } else { Some(0) };
                }
            }
        }
    }

    /// Looks, while planned blocks are still to come, how many further ones there will be.
    pub fn look_ahead(&mut self, begun: &[usize], cells: &[Vec<usize>], widths: &dyn Widths) {
        for candidate in self.0.iter_mut().filter(|candidate| !candidate.is_over) {
            let begun = begun[candidate.load];
            match candidate.width(cells, widths) {
                None => candidate.to_come = Some(0),
                Some(width) if width.is_finite() => candidate.to_come = candidate.expected(width, begun),
                Some(_) => {}
            }
        }
    }

    /// How long the blocks to come take at most, as far as that is known, where a trial costs `cost`.
    pub fn rest(&self, cells: &[Vec<usize>], cost: &dyn Fn(usize) -> Duration) -> Duration {
        let open = self.0.iter().filter(|candidate| !candidate.is_over);
        open.map(|candidate| candidate.rest(cells, cost)).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The part of the pairs in that.
    pub fn rest_of_pairs(&self, cells: &[Vec<usize>], cost: &dyn Fn(usize) -> Duration) -> Duration {
        let open = self.0.iter().filter(|candidate| candidate.is_pair && !candidate.is_over);
        open.map(|candidate| candidate.rest(cells, cost)).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Whether this cell of this load may get further trials.
    pub fn may_measure(&self, load: usize, cell: usize) -> bool {
        let measures = |candidate: &Candidate| !candidate.is_pair || candidate.decide.contains(&cell);
        self.0.iter().any(|candidate| candidate.load == load && !candidate.is_over && measures(candidate))
    }

    /// Further blocks that have begun.
    pub fn made(&self) -> usize {
        self.0.iter().map(|candidate| candidate.made).sum()
    }

    /// Those of this load.
    pub fn made_of(&self, load: usize) -> usize {
        self.0.iter().filter(|candidate| candidate.load == load).map(|candidate| candidate.made).sum()
    }

    /// Whether a cell's interval is wider than the plan asks for, for want of time.
    pub fn lacks_precision(&self) -> bool {
        self.0.iter().any(|candidate| !candidate.is_pair && candidate.is_over && candidate.to_come.is_none())
    }
}

impl Candidate {
    /// The cells of its blocks, without those that are given up.
    fn block(&self, cells: &[Vec<usize>]) -> Vec<usize> {
        let measures = |cell: &&usize| !self.is_pair || self.decide.contains(cell);
        cells[self.load].iter().filter(measures).copied().collect()
    }

    fn width(&self, cells: &[Vec<usize>], widths: &dyn Widths) -> Option<f64> {
        let is_there = |cell: &&usize| cells[self.load].contains(cell);
        match self.decide[..] {
            [original, copy] if self.is_pair => {
                self.decide.iter().all(|cell| is_there(&cell)).then(|| widths.of_pair(original, copy))?
            }
            _ => {
                let widths = self.decide.iter().filter(is_there).filter_map(|&cell| widths.of_cell(cell));
                widths.max_by(f64::total_cmp)
            }
        }
    }

    fn rest(&self, cells: &[Vec<usize>], cost: &dyn Fn(usize) -> Duration) -> Duration {
        match self.to_come {
            Some(blocks) => cost(self.load) * (blocks * self.block(cells).len()) as u32,
            None => Duration::MAX,
        }
    }

    /// About how many further blocks it takes: a width shrinks with the square root of the number of blocks. `None` while that is
    /// not known.
    fn expected(&self, width: f64, begun: usize) -> Option<usize> {
        let needed = begun as f64 * (width / self.wanted).powi(2);
        let is_known = needed.is_finite() || self.most < usize::MAX;
        is_known.then(|| (needed.ceil() as usize).min(self.most).saturating_sub(begun.max(self.planned)))
    }
}
