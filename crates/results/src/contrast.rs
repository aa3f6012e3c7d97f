//! How a target compares with another under the same load, by one figure, with an interval.

use crate::ranks::{Compared, paired_values};
use crate::schema::Cell;
use crate::statistics;

/// The fewest blocks from which a contrast has an interval.
pub const LEAST_BLOCKS: usize = 3;

/// The ratio of a figure of two targets, over the blocks that both have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// Geometric mean, over the blocks, of the target's figure to the baseline's.
    pub ratio: f64,
    /// Lower end of its 95 % confidence interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Blocks that both targets have.
    pub blocks: usize,
}

/// Compares `cell` with `baseline`, a cell under the same load, by the figure with this path in results.json, as
/// `server.cpu_us_per_request`.
///
/// # Errors
/// Why that cannot be said: one of the figures is missing or may not be compared, or there are too few blocks.
pub fn contrast(cell: &Cell, baseline: &Cell, path: &'static str) -> Result<Contrast, String> {
    for cell in [cell, baseline] {
        let (name, figure) = cell.figures.at(path);
        let target = &cell.key.target;
        if figure.is_none() {
            return Err(format!("{target}: {}", cell.why_missing(&name).unwrap_or("it was not measured")));
        }
        if let Some(flaw) = cell.flaw(&name) {
            return Err(format!("{target}: {}: {}", flaw.verdict.name(), flaw.why));
        }
    }
    let figure = Compared { name: path, path, higher_is_better: false };
    let few = || format!("it takes {LEAST_BLOCKS} blocks, and there are fewer");
    let (baselines, values) = paired_values(baseline, cell, &figure).ok_or_else(few)?;
    if values.len() < LEAST_BLOCKS {
        return Err(few());
    }
    let ratio = statistics::ratio_of_pairs(&baselines, &values).ok_or("a value is not above zero")?;
    Ok(Contrast { ratio: ratio.ratio, low: ratio.low, high: ratio.high, blocks: values.len() })
}
