//! How a target compares with another under the same load, by one figure, with an interval.

use crate::ranks::paired_values;
use crate::schema::{Bound, Cell};
use crate::statistics;
use crate::units::plural;

/// The fewest blocks from which a contrast has an interval.
pub const LEAST_BLOCKS: usize = statistics::LEAST_PAIRS;

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

impl Contrast {
    /// How far the interval reaches from 1, as a share: 0.25 for `0.80 .. 1.10`. A target that is measured twice may differ so
    /// much from itself.
    pub fn reach(&self) -> f64 {
        self.high.max(1.0 / self.low) - 1.0
    }
}

/// Compares `cell` with `baseline`, a cell under the same load, by the figure with this path in results.json, as
/// `server.cpu_us_per_request`.
///
/// # Errors
/// Why that cannot be said, in words that can follow a colon: one of the figures is missing or may not be compared, or there
/// are too few blocks.
pub fn contrast(cell: &Cell, baseline: &Cell, path: &'static str) -> Result<Contrast, String> {
    for cell in [cell, baseline] {
        if let Some(why) = objection(cell, path) {
            return Err(why);
        }
    }
    over_blocks(cell, baseline, path)
}

/// Why the figure of this cell may not be compared; `None` if it may, or if it has no value.
pub(crate) fn objection(cell: &Cell, path: &str) -> Option<String> {
    let (name, _) = cell.figures.at(path);
    let flaw = cell.flaw(&name)?;
    let verdict = match flaw.bound {
        None => flaw.verdict.name().to_owned(),
        Some(Bound::Lower) => format!("{}, so its value is only a lower bound", flaw.verdict.name()),
        Some(Bound::Upper) => format!("{}, so its value is only an upper bound", flaw.verdict.name()),
    };
    Some(format!("{}: {verdict}: {}", cell.key.target, flaw.why))
}

/// Why the figure is missing, if it is.
pub(crate) fn has_figure(cell: &Cell, path: &str) -> Result<(), String> {
    let (name, figure) = cell.figures.at(path);
    match figure {
        Some(_) => Ok(()),
        None => {
            let why = cell.why_missing(&name).unwrap_or("it was not measured");
            Err(format!("{}: {why}", cell.key.target))
        }
    }
}

/// The same as [`contrast`], with figures that may not be compared, too.
pub(crate) fn over_blocks(cell: &Cell, baseline: &Cell, path: &str) -> Result<Contrast, String> {
    [cell, baseline].into_iter().try_for_each(|cell| has_figure(cell, path))?;
    let (baselines, values) = paired_values(baseline, cell, path);
    for (cell, values) in [(cell, &values), (baseline, &baselines)] {
        if values.iter().any(|&value| value <= 0.0) {
            return Err(format!("{}: a value is 0, and a ratio needs values above 0", cell.key.target));
        }
    }
    let ratio = statistics::paired(&baselines, &values).ok_or_else(|| {
        let common = plural(values.len(), "block");
        format!("the targets have {common} in common, and an interval needs {LEAST_BLOCKS}")
    })?;
    Ok(Contrast { ratio: ratio.ratio, low: ratio.low, high: ratio.high, blocks: values.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::{empty_trial, results};
    use crate::schema::{Flaw, Results, Trial, Verdict};

    use crate::figures::CPU;
    /// A run of two targets with this CPU time a request in each block; `None` is a trial that lacks it.
    fn run(a: &[Option<f64>], b: &[Option<f64>]) -> Results {
        let mut run = results(&["a", "b"]);
        for (cell, values) in run.cells.iter_mut().zip([a, b]) {
            for (block, &value) in (0..).zip(values) {
                let mut trial = Trial { block: Some(block), ..empty_trial() };
                trial.figures.server.cpu_us_per_request = value;
                cell.trials.push(trial);
            }
            cell.summarise();
        }
        run
    }

    fn of(run: &Results) -> Result<Contrast, String> {
        contrast(&run.cells[1], &run.cells[0], CPU)
    }

    #[test]
    fn a_contrast_is_the_ratio_within_the_blocks() {
        let slower_and_slower = [Some(10.0), Some(20.0), Some(40.0)];
        let twice = [Some(20.0), Some(40.4), Some(79.2)];
        let contrast = of(&run(&slower_and_slower, &twice)).unwrap();
        assert!((contrast.ratio - 2.0).abs() < 0.01 && contrast.blocks == 3, "{contrast:?}");
        assert!((1.9..2.0).contains(&contrast.low) && (2.0..2.1).contains(&contrast.high), "{contrast:?}");
    }

    #[test]
    fn only_blocks_that_both_have_count() {
        let mut run = run(&[Some(1.0); 5], &[Some(2.0); 5]);
        run.cells[0].trials.remove(0);
        run.cells[1].trials[4].figures.server.cpu_us_per_request = None; // a pooled percentile has such trials
        assert_eq!(of(&run).unwrap().blocks, 3);
        run.cells[0].trials.remove(0);
        assert_eq!(of(&run).unwrap_err(), "the targets have 2 blocks in common, and an interval needs 3");
    }

    #[test]
    fn what_cannot_be_compared_has_a_reason() {
        let lacking = run(&[Some(1.0), None, Some(1.0)], &[Some(2.0); 3]);
        assert_eq!(of(&lacking).unwrap_err(), "a: the program that measured it did not have this figure");
        let zero = run(&[Some(1.0); 3], &[Some(2.0), Some(0.0), Some(2.0)]);
        assert_eq!(of(&zero).unwrap_err(), "b: a value is 0, and a ratio needs values above 0");
        for (verdict, bound, words) in [
            (Verdict::Disturbed, None, "a: disturbed: others"),
            (
                Verdict::ClientLimited,
                Some(Bound::Lower),
                "a: client-limited, so its value is only a lower bound: others",
            ),
            (
                Verdict::ClientLimited,
                Some(Bound::Upper),
                "a: client-limited, so its value is only an upper bound: others",
            ),
        ] {
            let mut run = run(&[Some(1.0); 3], &[Some(2.0); 3]);
            run.cells[0].flaws.insert("server".into(), Flaw { verdict, why: "others".into(), bound });
            assert_eq!(of(&run).unwrap_err(), words);
        }
    }
}
