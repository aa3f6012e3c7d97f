//! Takes measures from the results of an experiment.

use super::measure::{Measure, Values};
use crate::contrast;
use crate::figures::CPU;
use crate::load::Load;
use crate::schema::{Cell, Results, Verdict};

/// The results of an experiment, as evidence for a claim.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'r> {
    /// The results.
    pub results: &'r Results,
    /// Claims of the whole board.
    pub claims: usize,
}

/// A target of an experiment under one of its loads: its name, and the place of the load in the plan.
pub type At<'a> = (&'a str, usize);

impl Evidence<'_> {
    /// The ratio of a figure at two places, by the figure's path in results.json. Blocks with the same number form pairs: they are
    /// close together in time, under different loads, too.
    pub fn ratio(&self, what: &str, path: &'static str, of: At<'_>, to: At<'_>) -> Measure {
        let values = || {
            let (of, to) = (self.cell(of)?, self.cell(to)?);
            let pairs = contrast::pairs(of, to, path)?;
            Ok(Values::Blocks(pairs.into_iter().map(|(of, to)| of / to).collect()))
        };
        Measure { what: what.into(), is_ratio: true, values: values(), claims: self.claims }
    }

    /// The ratio of CPU time a request.
    pub fn cpu_ratio(&self, of: At<'_>, to: At<'_>) -> Measure {
        let what = match of.1 == to.1 {
            true => format!("CPU time a request, {} / {}", of.0, to.0),
            false => {
                format!("CPU time a request, {} with {} / with {}", of.0, self.load_words(of.1), self.load_words(to.1))
            }
        };
        self.ratio(&what, CPU, of, to)
    }

    fn load_words(&self, load: usize) -> String {
        self.results.settings.loads.get(load).map_or_else(String::new, ToString::to_string)
    }

    /// A figure at one place, whose geometric mean counts.
    pub fn value(&self, what: &str, path: &'static str, at: At<'_>) -> Measure {
        let values = || {
            let cell = self.cell(at)?;
            let pairs = contrast::pairs(cell, cell, path)?;
            Ok(Values::Blocks(pairs.into_iter().map(|(value, _)| value).collect()))
        };
        Measure { what: what.into(), is_ratio: true, values: values(), claims: self.claims }
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
