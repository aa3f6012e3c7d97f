//! A sentence of the lecture, and the experiment that judges it.

use results::claims::{Evidence, Part};

use super::experiment::Experiment;
use super::watched::Readings;

/// A sentence of the lecture. Each has a file of its own in `claims/`.
pub struct Sentence {
    /// Its name: that of its file, with hyphens.
    pub id: &'static str,
    /// What the lecture says, in our words.
    pub says: &'static str,
    /// What is done to judge it, and what the figure is.
    pub does: &'static str,
    /// How long the experiment takes at most, in seconds. What does not fit into it is left out, block by block.
    pub seconds: u64,
    /// The experiment.
    ///
    /// # Errors
    /// Why it cannot be made here.
    pub experiment: fn() -> Result<Experiment, String>,
    /// What the experiment says: the parts of the claim, each against its margin.
    pub judge: fn(&Seen<'_>) -> Judged,
}

/// What an experiment has shown.
pub struct Seen<'r> {
    /// Its results.
    pub run: Evidence<'r>,
    /// What was read from the service after each trial, if the experiment asks for that.
    pub readings: &'r Readings,
}

/// What a sentence's experiment says.
#[derive(Default)]
pub struct Judged {
    /// The parts, which are joined by "and".
    pub parts: Vec<Part>,
    /// What is to be known besides, a sentence each.
    pub notes: Vec<String>,
}

impl From<Vec<Part>> for Judged {
    fn from(parts: Vec<Part>) -> Judged {
        Judged { parts, ..Judged::default() }
    }
}

impl Sentence {
    /// The command that judges it alone.
    pub fn command(&self) -> String {
        format!("cargo run --release -- lecture {}", self.id)
    }
}
