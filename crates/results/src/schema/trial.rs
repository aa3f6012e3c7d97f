//! A trial of a cell.

use super::flaw::Verdict;
use crate::background::BackgroundResults;
use crate::figures::{Figures, Reason};
use crate::outcomes::OutcomeCounts;
use crate::slices::Slice;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One trial of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The run that it was measured in; only in merged results, where it is not the run of all trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When its load began: RFC 3339 with milliseconds, in UTC.
    #[serde(default)]
    pub began_at: Option<String>,
    /// The number of its block, from 0: the trials of all targets under one load that were made one after another.
    #[serde(default)]
    pub block: Option<u64>,
    /// Whether an interrupt cut the window short.
    pub aborted: bool,
    /// Length of the window in seconds.
    pub seconds: f64,
    /// Length of the warm-up in seconds: it goes on until each connection has been answered and the rate has settled.
    #[serde(default)]
    pub warmup_seconds: Option<f64>,
    /// How much the rate of answers changed from the first to the last quarter of the window, as a share, where that
    /// was more than chance; null where the schedule changes the rate, or where it did not change.
    #[serde(default)]
    pub trend: Option<f64>,
    /// The outcomes of its requests.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
    /// Its figures. A missing one is null, and `missing` says why.
    #[serde(flatten)]
    pub figures: Figures<Option<f64>>,
    /// Where figures come from, by the figure's name, where there is more than one way to have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// What the target answered before the load, as far as its answers had it in common; null in results of an older generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerSeen>,
    /// Answers whose content was compared with that of the answers before the load; null if none was: these differed among
    /// themselves or had no content, the method was not GET, nothing was answered, or an older generator made the results.
    /// The length is compared in every answer, if it did not differ.
    #[serde(default)]
    pub contents_checked: Option<u64>,
    /// What a knee search tried, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// The background connections.
    #[serde(rename = "beside", default)]
    pub background: BackgroundResults,
    /// Connections that the server left open although the client had asked it to close them.
    pub close_ignored: u64,
    /// Connections that the generator's machine could not attempt, for want of a port or a descriptor.
    pub local_failures: u64,
    /// Packets that the kernel dropped during the trial because its table of tracked connections was full. The count
    /// covers all programs on this machine.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Answers with a status of 3xx, by status. They are among the requests that ended as `ok`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redirections: BTreeMap<u16, u64>,
    /// Seconds of the window for which the kernel kept the generator from the CPUs, because a CPU quota of its control
    /// group, or of one above, was used up; in version 1 of control groups they are summed over the CPUs. The same as
    /// the figure `machine.client_throttled`, which older files lack. Null if it is not known.
    #[serde(default)]
    pub throttled_seconds: Option<f64>,
    /// Why the target's CPU time is only a lower bound, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undercounted: Option<String>,
    /// When and why the target did not answer, if it was gone for a while and came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// What else happened on the machine that may have disturbed the trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Connections that got no answer within the window; null in results of an older generator.
    #[serde(default)]
    pub unserved: Option<u64>,
    /// Jain's fairness index over the numbers of answers that the connections got, 1/n to 1; null without answers.
    #[serde(default)]
    pub fairness: Option<f64>,
    /// Why figures are missing.
    pub missing: BTreeMap<String, Reason>,
    /// Unit of the histograms' values: `ns`.
    pub histogram_unit: String,
    /// Latencies as an HDR histogram: V2, deflated, base64.
    pub latency_histogram: String,
    /// Connect times, in the same form.
    pub connect_histogram: String,
    /// Service times, in the same form; empty in a closed loop, where they are the latencies.
    #[serde(default)]
    pub service_time_histogram: String,
    /// Schedule lag, in the same form; empty in a closed loop.
    #[serde(default)]
    pub schedule_lag_histogram: String,
    /// The window in slices. They are not in results.json but in `slices.ndjson` beside it.
    #[serde(skip)]
    pub slices: Vec<Slice>,
}

impl Trial {
    /// Whether it is one of these trials: the very one, and not one like it.
    pub fn is_one_of(&self, trials: &[&Trial]) -> bool {
        trials.iter().any(|&other| std::ptr::eq(other, self))
    }
}

/// What a target answers to the requests of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerSeen {
    /// Length of the body in bytes; null if it varies.
    pub bytes: Option<u64>,
    /// A hash of the body (of its first MiB), by which two bodies of the same length are told apart; null if they vary.
    pub hash: Option<String>,
}

/// A rate that a knee search tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Requests a second.
    pub rate: f64,
    /// 99th percentile of the latency in microseconds; null with too few samples.
    pub p99_us: Option<f64>,
    /// Whether the target kept up: the rate was achieved, and the latency was not above its bound.
    pub kept_up: bool,
    /// If it did not keep up although the target may not be the cause: `client-limited` or `disturbed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objection: Option<Verdict>,
}
