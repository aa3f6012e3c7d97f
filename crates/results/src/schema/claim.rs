//! Claims: sentences of the lecture, and what experiments say of them.

use super::flaw::Bound;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A sentence of the lecture, and what its experiment says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name, as `process-start`.
    pub id: String,
    /// The sentence, in our words.
    pub says: String,
    /// What was done to judge it.
    pub does: String,
    /// What the experiment says.
    pub ruling: Ruling,
    /// Why it cannot be shown here, if the parts do not say it: the experiment was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was measured, each part against its margin.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// What is to be known besides, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The command that repeats the experiment alone.
    pub command: String,
    /// How long the experiment took; null if it was not made.
    pub seconds: Option<f64>,
    /// Where the results of its experiment are, seen from the folder of this file; null if there are none.
    pub experiment: Option<String>,
}

impl Claim {
    /// The part that stands for the claim where there is room for one: the one that decides against it or keeps it open, or else
    /// the first one.
    pub fn deciding_part(&self) -> Option<&Part> {
        self.parts.iter().find(|part| part.ruling == self.ruling).or(self.parts.first())
    }

    /// Why it cannot be shown, if its deciding part or it itself says that.
    pub fn why_not_shown(&self) -> Option<&String> {
        self.deciding_part().and_then(|part| part.why.as_ref()).or(self.why.as_ref())
    }
}

/// What an experiment says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// The interval is wholly beyond the margin.
    Holds,
    /// The interval is wholly short of the margin.
    Fails,
    /// The margin is within the interval, or a figure is not valid.
    CannotBeShown,
}

impl Ruling {
    /// All, in the order of the board.
    pub const ALL: [Ruling; 3] = [Ruling::Holds, Ruling::Fails, Ruling::CannotBeShown];

    /// The name in results.json and in Prometheus.
    pub fn name(self) -> &'static str {
        match self {
            Ruling::Holds => "holds",
            Ruling::Fails => "fails",
            Ruling::CannotBeShown => "cannot-be-shown",
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ruling::Holds => "holds",
            Ruling::Fails => "fails",
            Ruling::CannotBeShown => "cannot be shown here",
        })
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
    /// On which side of the figure the true one lies, if it is only a bound: an upper bound that is low enough still shows that the true
    /// figure is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Blocks that it is computed of; 0 for a count.
    pub blocks: usize,
    /// What it says.
    pub ruling: Ruling,
    /// Why it cannot be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

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
    /// The least and the most that a measure may be for its part to hold, where there is such a bound.
    pub fn bounds(self) -> (Option<f64>, Option<f64>) {
        match self {
            Margin::AtLeast(least) | Margin::MoreThan(least) => (Some(least), None),
            Margin::AtMost(most) => (None, Some(most)),
            Margin::Within(least, most) => (Some(least), Some(most)),
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
