//! The words for what an experiment says.

use serde::{Deserialize, Serialize};
use std::fmt;

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
