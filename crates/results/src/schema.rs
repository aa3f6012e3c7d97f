//! The contents of results.json: the one schema that the lab, the load test and the dashboards share.

mod cell;
mod claim;
mod disturbance;
mod flaw;
#[cfg(test)]
pub(crate) mod tests;
mod trial;

pub(crate) use cell::by_load;
pub use cell::{Cell, Ranks};
pub use claim::{Claim, Margin, Part, Ruling};
pub(crate) use disturbance::DISTURBING_SHARE;
pub use disturbance::disturbance;
pub use flaw::{Bound, Flaw, Verdict};
pub use trial::{AnswerSeen, Probe, Trial};

use crate::machine::Machine;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The name and version of the schema.
///
/// Files of version 1 are still read, and keep their version: what differs in them is a null with its reason. Version 1
/// had verdicts on cells alone, which fall on their usual figures when it is read, without bounds. It read
/// `server.memory_bytes_per_connection` after the load and without the kernel's part, so that is null. Processes,
/// threads, descriptors and memory were read once, at the end of the window. Runs of both versions are different
/// experiments, and are not merged.
pub const SCHEMA: &str = "io-models-lab/results/2";

/// The results of a whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`], or the earlier version of the file that it was read from.
    pub schema: String,
    /// Name of the run: UTC date and time, and four random digits.
    pub run_id: String,
    /// RFC 3339, in UTC.
    pub started_at: String,
    /// Whether the run was interrupted: cells may lack trials.
    pub interrupted: bool,
    /// The command line that made it; of merged runs, and in older files, null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What the run says of itself: blocks and loads that its budget left out. Of merged runs, what any of them says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The plan of the run.
    pub settings: Plan,
    /// What the targets said of themselves; those that say nothing are missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, Target>,
    /// Its cells.
    pub cells: Vec<Cell>,
    /// What experiments say of sentences of the lecture (`lab lecture`); each has its cells in a file of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

/// What a target said of itself before its first trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The flags that it was given, on its command line or by its environment, with their values.
    pub given: BTreeMap<String, String>,
    /// What else it states: the facts of its model, and the sources of its figures.
    pub facts: BTreeMap<String, String>,
    /// Whether it is a guest: a server of others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_guest: bool,
}

/// The fact of a guest that is its command.
pub(crate) const COMMAND: &str = "command";

impl Target {
    /// What runs, as it was asked for; `None` of a target that is no guest.
    pub fn command(&self) -> Option<&String> {
        self.facts.get(COMMAND).filter(|_| self.is_guest)
    }
}

impl Results {
    /// Whether this is a board of claims, whose cells are in files of their own.
    pub fn is_board(&self) -> bool {
        !self.claims.is_empty()
    }

    /// Writes the results as JSON.
    ///
    /// # Errors
    /// An error of writing to `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Whether this target is a guest: a server of others.
    pub fn is_guest(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(|said| said.is_guest)
    }

    /// Whether a request of any cell failed, or a target could not be measured. Unsupported cells do not count.
    pub fn has_failures(&self) -> bool {
        self.cells.iter().any(|cell| cell.verdict == Verdict::Errors)
    }
}
