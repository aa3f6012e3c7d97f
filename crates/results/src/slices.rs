//! Slices of a trial's window, and their file `slices.ndjson`: one JSON object a line, one line a slice.
//!
//! A window has [`SLICES`] slices of equal length; if it was interrupted, slices are missing at its end. The counts and
//! histograms of a trial's slices add up to those of the trial, exactly.

use crate::outcomes::OutcomeCounts;
use crate::plan::Key;
use crate::schema::Results;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

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

/// A line of `slices.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceLine {
    /// The run.
    pub run_id: String,
    /// The cell.
    #[serde(flatten)]
    pub key: Key,
    /// The number of the trial within the cell, from 0.
    pub trial: usize,
    /// The slice.
    #[serde(flatten)]
    pub slice: Slice,
}

/// Writes the slices of all trials of a run, in the order of its cells. Results that were read from a file have none.
///
/// # Errors
/// An error of writing to `out`.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    for cell in &results.cells {
        for (trial, slices) in cell.trials.iter().map(|trial| &trial.slices).enumerate() {
            for slice in slices {
                let (run_id, key, slice) = (results.run_id.clone(), cell.key.clone(), slice.clone());
                serde_json::to_writer(&mut *out, &SliceLine { run_id, key, trial, slice })?;
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::OutcomeClass;
    use crate::schema::tests::{empty_trial, results};

    #[test]
    fn each_slice_has_a_line_that_can_be_read_again() {
        let mut results = results(&["a", "b"]);
        let slice = |slice: usize| {
            let from_seconds = slice as f64 / 20.0;
            let mut outcomes = OutcomeCounts::default();
            outcomes[OutcomeClass::Ok] = 7;
            let latency_histogram = "HISTF".into();
            Slice { slice, from_seconds, to_seconds: from_seconds + 0.05, outcomes, bytes: 9, latency_histogram }
        };
        for cell in &mut results.cells {
            cell.trials = vec![empty_trial(); 2];
            cell.trials[1].slices = (0..SLICES).map(slice).collect();
        }
        let mut out = Vec::new();
        write(&results, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<SliceLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2 * SLICES);
        let last = lines.last().unwrap();
        assert_eq!((last.run_id.as_str(), last.key.target.as_str(), last.trial), ("r", "b", 1));
        assert_eq!(last.slice, slice(SLICES - 1));
        assert!(
            text.starts_with("{\"run_id\":\"r\",\"target\":\"a\",\"workload\":\"/\",\"schedule\":\"closed\""),
            "{text}"
        );
    }
}
