//! The judgement: a measure and its interval against a margin that was fixed before.

use super::measure::{Measure, Values};
use super::ruling::Ruling;
use crate::statistics::{self, mean_interval};
use crate::units::plural;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The probability with which the noise of the machine lets any claim of the board be judged wrongly, over all of them together.
pub const ALPHA: f64 = 0.05;
/// The fewest blocks from which a measure has an interval.
pub const LEAST_BLOCKS: usize = 3;
/// More blocks than this are not named as what it would take: nobody would run them.
const MOST_NAMED: usize = 1000;

/// Where a measure has to be for its part to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Margin {
    /// This, or more.
    AtLeast(f64),
    /// This, or less.
    AtMost(f64),
    /// More than this.
    MoreThan(f64),
    /// Between both, or at one of them. The equivalence of two targets is shown by two one-sided tests (Schuirmann 1987).
    Within(f64, f64),
}

impl Margin {
    /// What an interval says. Both ends may be the same.
    fn ruling(self, low: f64, high: f64) -> Ruling {
        let (holds, fails) = match self {
            Margin::AtLeast(margin) => (low >= margin, high < margin),
            Margin::AtMost(margin) => (high <= margin, low > margin),
            Margin::MoreThan(margin) => (low > margin, high <= margin),
            Margin::Within(least, most) => (low >= least && high <= most, high < least || low > most),
        };
        match (holds, fails) {
            (true, _) => Ruling::Holds,
            (_, true) => Ruling::Fails,
            _ => Ruling::CannotBeShown,
        }
    }

    /// How far a value is from the nearest bound, on the scale of the values.
    fn distance(self, value: f64, on_scale: fn(f64) -> f64) -> f64 {
        let from = |bound: f64| (on_scale(value) - on_scale(bound)).abs();
        match self {
            Margin::AtLeast(margin) | Margin::AtMost(margin) | Margin::MoreThan(margin) => from(margin),
            Margin::Within(least, most) => from(least).min(from(most)),
        }
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Margin::AtLeast(margin) => write!(f, ">= {margin}"),
            Margin::AtMost(margin) => write!(f, "<= {margin}"),
            Margin::MoreThan(margin) => write!(f, "> {margin}"),
            Margin::Within(least, most) => write!(f, "{least} .. {most}"),
        }
    }
}

/// A part of a claim: what was measured, and what that says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What was measured.
    pub what: String,
    /// Where it has to be.
    pub margin: Margin,
    /// Whether the figure is a ratio of two targets or loads, so that 1 means no difference.
    pub is_ratio: bool,
    /// The figure over all blocks; null if it could not be had.
    pub figure: Option<f64>,
    /// Lower end of its interval; null if there is none.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Blocks that it is computed of; 0 for a count.
    pub blocks: usize,
    /// What it says.
    pub ruling: Ruling,
    /// Why it cannot be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Measure {
    /// Whether it is this or more.
    pub fn at_least(self, margin: f64) -> Part {
        judge(self, Margin::AtLeast(margin))
    }

    /// Whether it is this or less.
    pub fn at_most(self, margin: f64) -> Part {
        judge(self, Margin::AtMost(margin))
    }

    /// Whether it is more than this.
    pub fn more_than(self, margin: f64) -> Part {
        judge(self, Margin::MoreThan(margin))
    }

    /// Whether it is between both.
    pub fn within(self, least: f64, most: f64) -> Part {
        judge(self, Margin::Within(least, most))
    }
}

/// Judges a measure. Its interval holds with 1 - [`ALPHA`]/`claims`.
pub fn judge(measure: Measure, margin: Margin) -> Part {
    let Measure { what, is_ratio, values, claims } = measure;
    let part = |figure, low, high, blocks, ruling, why| Part {
        what,
        margin,
        is_ratio,
        figure,
        low,
        high,
        blocks,
        ruling,
        why,
    };
    let cannot = Ruling::CannotBeShown;
    let values = match values {
        Err(why) => return part(None, None, None, 0, cannot, Some(why)),
        Ok(Values::Count { value, low, high }) => {
            let ruling = margin.ruling(value, value);
            return part(Some(value), Some(low), Some(high), 0, ruling, None);
        }
        Ok(Values::Blocks(values)) => values,
    };
    let blocks = values.len();
    let (on_scale, back): (fn(f64) -> f64, fn(f64) -> f64) =
        if is_ratio { (f64::ln, f64::exp) } else { (|v| v, |v| v) };
    if values.iter().any(|value| !value.is_finite()) {
        return part(None, None, None, blocks, cannot, Some("a value is no number".into()));
    }
    if is_ratio && values.iter().any(|&value| value <= 0.0) {
        return part(None, None, None, blocks, cannot, Some("a value is 0, and a ratio needs values above 0".into()));
    }
    let scaled: Vec<f64> = values.iter().map(|&value| on_scale(value)).collect();
    if blocks < LEAST_BLOCKS {
        let why = format!("{}, and an interval needs {LEAST_BLOCKS}", plural(blocks, "block"));
        return part(None, None, None, blocks, cannot, Some(why));
    }
    let alpha = ALPHA / claims as f64;
    let (mean, half) = mean_interval(&scaled, alpha);
    let (figure, low, high) = (back(mean), back(mean - half), back(mean + half));
    let ruling = margin.ruling(low, high);
    let why = (ruling == cannot).then(|| {
        let distance = margin.distance(figure, on_scale);
        let needed = statistics::values_needed(blocks, half, distance, alpha).filter(|&needed| needed <= MOST_NAMED);
        let how_many = match needed {
            Some(needed) => format!("with this noise, about {needed} blocks would show it, and there were {blocks}"),
            None => format!("no number of blocks up to {MOST_NAMED} would show it with this noise"),
        };
        format!("the margin is within the interval: {how_many}")
    });
    part(Some(figure), Some(low), Some(high), blocks, ruling, why)
}

#[cfg(test)]
mod tests;
