//! The file `slices.ndjson`: one JSON object a line, one line a slice of a trial's window.

use crate::load::Key;
use crate::schema::Results;
use crate::slices::Slice;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};

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

/// Gives the trials of a run their slices back, as [`write()`] has written them.
///
/// # Errors
/// One line: a line cannot be read, or belongs to no trial of this run. The results have no slices then.
pub fn read_into(results: &mut Results, lines: impl BufRead) -> Result<(), String> {
    let read = attach(results, lines);
    if read.is_err() {
        results.cells.iter_mut().flat_map(|cell| &mut cell.trials).for_each(|trial| trial.slices.clear());
    }
    read
}

fn attach(results: &mut Results, lines: impl BufRead) -> Result<(), String> {
    for (number, line) in lines.lines().enumerate() {
        let wrong = |why: String| format!("line {}: {why}", number + 1);
        let line: SliceLine = serde_json::from_str(&line.map_err(|error| wrong(error.to_string()))?)
            .map_err(|error| wrong(format!("it is no slice: {error}")))?;
        let is_of_this_run = line.run_id == results.run_id;
        let cell = results.cells.iter_mut().find(|cell| is_of_this_run && cell.key == line.key);
        let trial = cell.and_then(|cell| cell.trials.get_mut(line.trial));
        trial.ok_or_else(|| wrong("it is of another run".into()))?.slices.push(line.slice);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::{OutcomeClass, OutcomeCounts};
    use crate::schema::tests::{empty_trial, results};
    use crate::slices::SLICES;

    #[test]
    fn each_slice_has_a_line_that_can_be_read_again() {
        let mut results = results(&["a", "b"]);
        let slice = |slice: usize| {
            let from_seconds = slice as f64 / 32.0; // JSON has it exactly
            let mut outcomes = OutcomeCounts::default();
            outcomes[OutcomeClass::Ok] = 7;
            let latency_histogram = "HISTF".into();
            Slice { slice, from_seconds, to_seconds: from_seconds + 1.0 / 32.0, outcomes, bytes: 9, latency_histogram }
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

        let mut bare = results.clone();
        bare.cells.iter_mut().flat_map(|cell| &mut cell.trials).for_each(|trial| trial.slices.clear());
        let mut again = bare.clone();
        assert_eq!((read_into(&mut again, text.as_bytes()), &again), (Ok(()), &results));
        for (wrong, why) in
            [(text.replace("\"r\"", "\"s\""), "line 1: it is of another run"), (format!("{text}{{"), "no slice")]
        {
            let mut again = bare.clone();
            assert!(read_into(&mut again, wrong.as_bytes()).unwrap_err().contains(why));
            assert_eq!(again, bare);
        }
        assert!(
            text.starts_with("{\"run_id\":\"r\",\"target\":\"a\",\"workload\":\"/\",\"schedule\":\"closed\""),
            "{text}"
        );
    }
}
