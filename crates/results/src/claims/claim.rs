//! A claim as results.json has it.

use super::judge::Part;
use super::ruling::Ruling;
use serde::{Deserialize, Serialize};

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
}

/// What parts that are joined by "and" say together: the claim fails if one of them fails, and holds if all of them hold.
pub fn together(parts: &[Part]) -> Ruling {
    match () {
        () if parts.iter().any(|part| part.ruling == Ruling::Fails) => Ruling::Fails,
        () if !parts.is_empty() && parts.iter().all(|part| part.ruling == Ruling::Holds) => Ruling::Holds,
        () => Ruling::CannotBeShown,
    }
}
