//! Takes measures from the results of an experiment.

use super::measure::{Measure, Values};
use crate::contrast;
use crate::figures::CPU;
use crate::load::Load;
use crate::ranks::paired_blocks;
use crate::schema::{Bound, Cell, Results, Verdict, disturbance};
use crate::statistics;
use std::collections::BTreeMap;

/// The path of memory a connection.
const MEMORY: &str = "server.memory_bytes_per_connection";
/// The path of the requests that are answered a second.
pub const THROUGHPUT: &str = "throughput";
/// The path of the median latency.
pub const MEDIAN: &str = "latency_us.p50";
/// The path of the mean latency.
pub const MEAN: &str = "latency_us.mean";
/// The path of the 90th percentile of the latency, which needs 100 samples in each trial.
pub const P90: &str = "latency_us.p90";
/// The path of the 99th percentile of the latency, for which a trial needs 1000 samples.
pub const P99: &str = "latency_us.p99";

/// The results of an experiment, as evidence for a claim.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'r> {
    /// The results.
    pub results: &'r Results,
    /// Claims of the whole board.
    pub claims: usize,
}

/// A figure at one of these places, by its path in results.json.
pub type Place<'a> = (&'static str, At<'a>);

/// Blocks, and on which side of a ratio of their values the true one lies, if that is only a bound.
type Blocks = (Vec<Block>, Option<Bound>);

/// The number of a block, and the values at two places in it.
type Block = (u64, f64, f64);

/// A target of an experiment under one of its loads: its name, and the place of the load in the plan.
pub type At<'a> = (&'a str, usize);

impl Evidence<'_> {
    /// The ratio of a figure at two places, by the figure's path in results.json. Blocks with the same number form pairs: they are
    /// close together in time, under different loads, too.
    pub fn ratio(&self, what: &str, path: &'static str, of: At<'_>, to: At<'_>) -> Measure {
        self.ratio_of_two(what, (path, of), (path, to))
    }

    /// The ratio of two figures, each at its place.
    pub fn ratio_of_two(&self, what: &str, of: Place<'_>, to: Place<'_>) -> Measure {
        self.of_blocks(what, self.blocks(of, to), |(_, of, to)| of / to)
    }

    /// The ratio of CPU time a request of two targets.
    pub fn cpu_ratio(&self, of: At<'_>, to: At<'_>) -> Measure {
        self.ratio(&format!("CPU time a request, {} / {}", of.0, to.0), CPU, of, to)
    }

    /// The ratio of memory a connection of two targets, user and kernel.
    pub fn memory_ratio(&self, of: At<'_>, to: At<'_>) -> Measure {
        self.ratio(&format!("memory a connection, {} / {}", of.0, to.0), MEMORY, of, to)
    }

    /// The highest of the blocks' values, for a figure that is a count, as threads are.
    pub fn level(&self, what: &str, path: &'static str, at: At<'_>) -> Measure {
        let count = self.blocks((path, at), (path, at)).and_then(|(blocks, _)| {
            let values = || blocks.iter().map(|(_, value, _)| *value);
            let (least, most) = (values().reduce(f64::min), values().reduce(f64::max));
            let (least, most) = least.zip(most).ok_or("no block has it")?;
            Ok((most, least, most))
        });
        self.count(what, count)
    }

    /// A figure at one place, as a ratio to a value that is known.
    pub fn share_of(&self, what: &str, path: &'static str, at: At<'_>, known: f64) -> Measure {
        self.of_blocks(what, self.blocks((path, at), (path, at)), |(_, value, _)| value / known)
    }

    /// How much steeper CPU time a request grows with the connections in one target than in another: the slope of its logarithm
    /// on that of the connections, in each block over all loads of the plan, less that of the other target. A slope of 0.1 means
    /// 7 % more for twice the connections.
    pub fn steeper(&self, what: &str, target: &str, than: &str) -> Measure {
        self.measure(what, false, self.slopes(target, than).map(Values::Blocks))
    }

    fn slopes(&self, target: &str, than: &str) -> Result<Vec<f64>, String> {
        let loads = &self.results.settings.loads;
        let mut points: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, load) in loads.iter().enumerate() {
            let connections = (load.connections() as f64).ln();
            let (blocks, bound) = self.blocks((CPU, (target, at)), (CPU, (than, at)))?;
            if bound.is_some() {
                return Err(format!("CPU time with {load} is only a bound"));
            }
            for (block, cost, of_other) in blocks {
                // The slope of a difference is the difference of the slopes.
                points.entry(block).or_default().push((connections, (cost / of_other).ln()));
            }
        }
        points.retain(|_, points| points.len() == loads.len());
        Ok(points.values().map(|points| statistics::slope(points)).collect())
    }

    /// A value for each block, of which the mean counts.
    pub fn values(&self, what: &str, values: Result<Vec<f64>, String>) -> Measure {
        self.measure(what, false, values.map(Values::Blocks))
    }

    /// A count, which has no noise, and between what it could be.
    pub fn count(&self, what: &str, count: Result<(f64, f64, f64), String>) -> Measure {
        self.measure(what, false, count.map(|(value, low, high)| Values::Count { value, low, high }))
    }

    fn measure(&self, what: &str, is_ratio: bool, values: Result<Values, String>) -> Measure {
        Measure { what: what.into(), is_ratio, values, bound: None, claims: self.claims }
    }

    fn of_blocks(&self, what: &str, blocks: Result<Blocks, String>, value: impl Fn(Block) -> f64) -> Measure {
        let bound = blocks.as_ref().map_or(None, |(_, bound)| *bound);
        let values = blocks.map(|(blocks, _)| Values::Blocks(blocks.into_iter().map(value).collect()));
        Measure { bound, ..self.measure(what, true, values) }
    }

    /// The values of two figures, each at its place, in the blocks that both have; and on which side of their ratio the true one
    /// lies, if one of them is only a bound.
    fn blocks(&self, of: Place<'_>, to: Place<'_>) -> Result<Blocks, String> {
        let ((of_cell, of_bound), (to_cell, to_bound)) = (self.usable(of)?, self.usable(to)?);
        let inverted = to_bound.map(|bound| if bound == Bound::Lower { Bound::Upper } else { Bound::Lower });
        if of_bound.is_some() && inverted.is_some() && of_bound != inverted {
            return Err(contrast::objection(of_cell, of.0).unwrap_or_default());
        }
        Ok((paired_blocks((of_cell, of.0), (to_cell, to.0)), of_bound.or(inverted)))
    }

    /// The cell of a figure, and on which side of it the true value lies, if it is only a bound. Connections that got no answer say
    /// nothing against the number of the answers that others got.
    ///
    /// # Errors
    /// Why the figure is no evidence.
    fn usable(&self, (path, at): Place<'_>) -> Result<(&Cell, Option<Bound>), String> {
        let cell = self.cell(at)?;
        contrast::has_figure(cell, path)?;
        let Some(flaw) = cell.flaw(&cell.figures.at(path).0) else { return Ok((cell, None)) };
        let is_disturbed = cell.counted_trials().into_iter().any(|trial| disturbance(trial).is_some());
        match flaw.bound {
            _ if is_disturbed => Err(contrast::objection(cell, path).unwrap_or_default()),
            None if path == THROUGHPUT && flaw.verdict == Verdict::Starved => Ok((cell, None)),
            None => Err(contrast::objection(cell, path).unwrap_or_default()),
            bound => Ok((cell, bound)),
        }
    }

    /// The cell at this place.
    ///
    /// # Errors
    /// Why there is none, or that the target is not supported here.
    pub fn cell(&self, (target, load): At<'_>) -> Result<&Cell, String> {
        let load: &Load = self.results.settings.loads.get(load).ok_or("the experiment has no such load")?;
        let found = self.results.cells.iter().find(|cell| cell.key.target == target && cell.key.load == *load);
        let cell = found.ok_or_else(|| format!("{target} was not measured with {load}"))?;
        match cell.verdict {
            Verdict::Unsupported => Err(format!("{target}: {}", cell.reasons.join("; "))),
            _ => Ok(cell),
        }
    }
}

#[cfg(test)]
mod tests;
