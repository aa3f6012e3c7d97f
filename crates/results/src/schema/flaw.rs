//! Verdicts: whether figures may be compared.

use serde::{Deserialize, Serialize};

/// Whether a number may be compared. A later one is graver: *client-limited* says on which side of a value the true one
/// lies, and that is so whatever else disturbed the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They may be compared.
    Valid,
    /// CPU time of the target was left out of the count, so its CPU figures are lower bounds.
    Undercounted,
    /// The rate changed within the trials, did not fit the latency, or was not the offered one.
    Unstable,
    /// Other programs, or other machines of the same host, used the CPUs at the same time, or a CPU quota throttled the
    /// target.
    Disturbed,
    /// The load generator was the bottleneck: the throughput is the generator's limit, not the target's.
    ClientLimited,
    /// Some connections got no answer, or far fewer than others.
    Starved,
    /// Files that should not be in memory were there, or nothing proves that they were not.
    NotCold,
    /// The target cannot work on this machine.
    Unsupported,
    /// Requests failed, or nothing could be measured.
    Errors,
}

/// Why a figure of a cell may not be compared, although it has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaw {
    /// The verdict on the figure; never `valid`.
    pub verdict: Verdict,
    /// The reason, as in the cell's `reasons`.
    pub why: String,
    /// On which side of the value the true one lies, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// What a value with a flaw still shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The true value is at least this: a throughput that the load generator limited, or CPU time that was counted in part.
    Lower,
    /// The true value is at most this: a latency that contains a delay of the load generator.
    Upper,
}

impl Verdict {
    /// The name of the verdict in tables and in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Undercounted => "undercounted",
            Verdict::ClientLimited => "client-limited",
            Verdict::Errors => "errors",
            Verdict::Unsupported => "unsupported",
            Verdict::Unstable => "unstable",
            Verdict::Starved => "starved",
            Verdict::Disturbed => "disturbed",
            Verdict::NotCold => "not-cold",
        }
    }
}
