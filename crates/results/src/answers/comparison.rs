//! How a target compares with another, in words.

use crate::contrast::{self, Contrast};
use crate::schema::Cell;
use crate::statistics::LEAST_DIFFERENCE;
use crate::units::plural;

/// A reason in a sentence has at most so many characters.
const LONGEST_REASON: usize = 70;

/// How a target compares with another by one figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Comparison {
    /// The ratio with its interval.
    Interval(Contrast),
    /// The ratio of the medians, and why it has no interval: the number of blocks, if these are too few, or another reason.
    Medians(f64, String),
    /// Why nothing can be told.
    NotTold(String),
}

/// What an interval shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is wholly above 1, by the least difference.
    More,
    /// It is wholly below 1, by the least difference.
    Less,
    /// It is wholly within the least difference around 1.
    Same,
    /// It is above 1, but not by the least difference.
    PerhapsMore,
    /// It is below 1, but not by the least difference.
    PerhapsLess,
    /// It is on both sides of 1.
    Unclear,
    /// There is no interval.
    None,
}

impl Word {
    /// What stands in brackets after an interval that has no ratio before it.
    pub(super) const OF_INTERVALS: [&str; 3] = ["perhaps more", "perhaps less", "unclear"];
}

impl Comparison {
    /// Compares two cells under the same load by the figure with this path. A figure that may not be compared is not.
    pub(super) fn of(cell: &Cell, baseline: &Cell, path: &'static str) -> Comparison {
        let value = |cell: &Cell| cell.comparable(path).map(|figure| figure.median);
        match contrast::contrast(cell, baseline, path) {
            Ok(contrast) => Comparison::Interval(contrast),
            Err(why) => match (value(cell), value(baseline)) {
                (Some(value), Some(base)) if base > 0.0 => {
                    let blocks = cell.counted_trials().len().min(baseline.counted_trials().len());
                    let is_few = blocks < contrast::LEAST_BLOCKS;
                    let few = || plural(blocks, "block");
                    let why = if is_few { few() } else { format!("no interval: {}", shortened(&why)) };
                    Comparison::Medians(value / base, why)
                }
                // The baseline is named, the target need not be.
                _ => {
                    Comparison::NotTold(shortened(why.strip_prefix(&format!("{}: ", cell.key.target)).unwrap_or(&why)))
                }
            },
        }
    }

    /// What it shows.
    pub(super) fn word(&self) -> Word {
        let Comparison::Interval(Contrast { low, high, .. }) = *self else { return Word::None };
        let (less, more) = (1.0 - LEAST_DIFFERENCE, 1.0 + LEAST_DIFFERENCE);
        match () {
            () if low > more => Word::More,
            () if high < less => Word::Less,
            () if low >= less && high <= more => Word::Same,
            () if low > 1.0 => Word::PerhapsMore,
            () if high < 1.0 => Word::PerhapsLess,
            () => Word::Unclear,
        }
    }

    /// The ratio, if there is one.
    pub(super) fn ratio(&self) -> Option<f64> {
        match self {
            Comparison::Interval(contrast) => Some(contrast.ratio),
            Comparison::Medians(ratio, _) => Some(*ratio),
            Comparison::NotTold(_) => None,
        }
    }

    /// Why nothing can be told, if that is so.
    pub(super) fn why_not(&self) -> Option<&str> {
        match self {
            Comparison::NotTold(why) => Some(why),
            _ => None,
        }
    }

    /// Whether the target certainly has more than this multiple; without an interval, the ratio decides.
    pub(super) fn is_above(&self, multiple: f64) -> bool {
        match self {
            Comparison::Interval(contrast) => contrast.low > multiple,
            other => other.ratio().is_some_and(|ratio| ratio > multiple),
        }
    }

    /// In words: the ratio with its interval, as in `7.2x (6.8 .. 7.7)`, or why there is none.
    pub(super) fn text(&self) -> String {
        let (ratio, low, high) = match self {
            Comparison::Interval(contrast) => (contrast.ratio, contrast.low, contrast.high),
            Comparison::Medians(ratio, why) => return format!("{ratio:.*}x ({why})", decimals(*ratio)),
            Comparison::NotTold(why) => return format!("not told ({why})"),
        };
        let [ratio, low, high] = [ratio, low, high].map(|value| format!("{value:.*}", decimals(value)));
        let interval = format!("{low} .. {high}");
        match self.word() {
            Word::Same => format!("the same within {:.0} %", LEAST_DIFFERENCE * 100.0),
            Word::PerhapsMore => format!("{interval} (perhaps more)"),
            Word::PerhapsLess => format!("{interval} (perhaps less)"),
            Word::Unclear => format!("{interval} (unclear)"),
            Word::More | Word::Less | Word::None => format!("{ratio}x ({interval})"),
        }
    }
}

/// The decimals that a ratio and the ends of its interval deserve: `0.92`, `7.2`, `44`.
fn decimals(ratio: f64) -> usize {
    match ratio {
        _ if ratio < 1.995 => 2,
        _ if ratio < 19.95 => 1,
        _ => 0,
    }
}

/// The first clause of a reason, and no more than a sentence can carry.
pub(super) fn shortened(why: &str) -> String {
    let clause = why.split("; ").next().unwrap_or(why);
    let clause = clause.split(", other").next().unwrap_or(clause);
    match clause.chars().count() > LONGEST_REASON {
        true => clause.chars().take(LONGEST_REASON - 1).chain(['…']).collect(),
        false => clause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;
    use crate::schema::{Flaw, Verdict};

    #[test]
    fn intervals_have_words() {
        for (low, high, text) in [
            (5.9, 7.0, "6.4x (5.9 .. 7.0)"),
            (40.4, 46.0, "43x (40 .. 46)"),
            (1.031, 1.07, "1.05x (1.03 .. 1.07)"),
            (1.029, 1.07, "1.03 .. 1.07 (perhaps more)"),
            (1.01, 1.2, "1.01 .. 1.20 (perhaps more)"),
            (0.97, 1.03, "the same within 3 %"),
            (1.005, 1.02, "the same within 3 %"),
            (0.96, 1.02, "0.96 .. 1.02 (unclear)"),
            (0.97, 1.09, "0.97 .. 1.09 (unclear)"),
            (0.8, 0.99, "0.80 .. 0.99 (perhaps less)"),
            (0.9, 0.94, "0.92x (0.90 .. 0.94)"),
            (0.97, 3.6, "0.97 .. 3.6 (unclear)"),
            (11.1, 43.0, "22x (11.1 .. 43)"),
        ] {
            let ratio = f64::sqrt(low * high);
            assert_eq!(Comparison::Interval(Contrast { ratio, low, high, blocks: 4 }).text(), text);
        }
    }

    #[test]
    fn what_has_no_interval_says_why() {
        let compared = |trials, flaw: bool| {
            let mut run = run("r", &[("a", 100.0), ("b", 200.0)], trials);
            if flaw {
                let why = "others used 22 %, other programs used 37 %; and more".into();
                let flaw = Flaw { verdict: Verdict::Disturbed, why, bound: None };
                run.cells[0].flaws.insert("throughput".into(), flaw);
            }
            Comparison::of(&run.cells[1], &run.cells[0], "throughput").text()
        };
        assert_eq!(compared(1, false), "2.0x (1 block)");
        assert_eq!(compared(2, false), "2.0x (2 blocks)");
        assert_eq!(compared(4, false), "2.0x (2.0 .. 2.0)");
        assert_eq!(compared(4, true), "not told (a: disturbed: others used 22 %)");
        assert_eq!(compared(0, false), "not told (the program that measured it did not have this figure)");
        assert_eq!(shortened(&"x".repeat(90)).chars().count(), 70);
    }
}
