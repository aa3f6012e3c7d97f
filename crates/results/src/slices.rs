//! Slices of a trial's window; [`ndjson`](crate::ndjson) writes them.
//!
//! A window has [`SLICES`] slices of equal length; if it was interrupted, slices are missing at its end. The counts and
//! histograms of a trial's slices add up to those of the trial, exactly.

use crate::outcomes::OutcomeCounts;
use serde::{Deserialize, Serialize};

/// The number of slices of a window.
pub const SLICES: usize = 20;

/// What happened in one slice of a window. An answer belongs to the slice in which it came. An open loop's answers that
/// came after the window to requests that were due in it belong to the last slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its number, from 0.
    pub slice: usize,
    /// When it began, in seconds since the window's begin.
    pub from_seconds: f64,
    /// When it ended.
    pub to_seconds: f64,
    /// The outcomes of the requests that ended in it; those that had not ended with the window belong to the last slice.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// Latencies as an HDR histogram of nanoseconds: V2, deflated, base64.
    pub latency_histogram: String,
}
