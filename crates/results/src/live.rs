//! The file `live.ndjson` in the folder of a run that goes on: one JSON object a line, for what has happened. A page that shows the
//! run reads nothing else. The file is gone when `results.json` is there.

use crate::load::Load;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The name of the file.
pub const FILE: &str = "live.ndjson";

/// A line of `live.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Line {
    /// The run began.
    Begun(Begun),
    /// A block begins, after so many others.
    Block {
        /// Blocks that began before it.
        done: usize,
        /// Blocks that are planned; further ones may follow to make intervals narrower.
        planned: usize,
    },
    /// A trial goes on, or begins.
    Now(Now),
    /// A trial was measured.
    Trial(Measured),
    /// The run waits.
    Waits {
        /// For what.
        why: String,
    },
}

/// What a run is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// Its name.
    pub run_id: String,
    /// The command line that makes it, if that is known.
    pub command: Option<String>,
    /// Its targets.
    pub targets: Vec<String>,
    /// Its loads.
    pub loads: Vec<Load>,
    /// Trials that are planned.
    pub trials: usize,
}

/// What goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// The target that is measured.
    pub target: String,
    /// The load.
    pub load: Load,
    /// Seconds since the run began.
    pub at_seconds: f64,
    /// Seconds to the end of the run, as it is estimated now.
    pub left_seconds: f64,
    /// Answers a second in the time since the trial's last line; null at its begin.
    pub answers_per_second: Option<f64>,
    /// The median latency of the window so far, in microseconds; null with too few answers.
    pub p50_us: Option<f64>,
    /// The 99th percentile.
    pub p99_us: Option<f64>,
    /// Requests of the trial that failed so far.
    pub errors: u64,
}

/// A trial that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The target.
    pub target: String,
    /// The load.
    pub load: Load,
    /// Seconds since the run began.
    pub at_seconds: f64,
    /// CPU time a request in microseconds; null if it could not be had.
    pub cpu_us_per_request: Option<f64>,
    /// Answers a second.
    pub throughput: Option<f64>,
    /// The median latency in microseconds.
    pub p50_us: Option<f64>,
    /// The 99th percentile.
    pub p99_us: Option<f64>,
    /// Requests that failed.
    pub errors: u64,
}

/// A moment of a run: what came in at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since the run began.
    pub at_seconds: f64,
    /// The target that was measured.
    pub target: String,
    /// Answers a second.
    pub answers_per_second: f64,
    /// The 99th percentile of the latency in microseconds.
    pub p99_us: Option<f64>,
}

/// So many moments are kept: the last minutes.
const MOMENTS: usize = 200;

/// What is known of a run that goes on, from the lines so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// What it is about; `None` before its first line.
    pub begun: Option<Begun>,
    /// Blocks that began before the present one, and those that are planned.
    pub block: Option<(usize, usize)>,
    /// What goes on.
    pub now: Option<Now>,
    /// What it waits for.
    pub waits: Option<String>,
    /// The trials so far.
    pub measured: Vec<Measured>,
    /// The last moments.
    pub moments: VecDeque<Moment>,
}

impl State {
    /// Takes a line in. Lines of a newer program that are not known are passed over.
    pub fn read(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str(line) else { return };
        match line {
            Line::Begun(begun) => self.begun = Some(begun),
            Line::Block { done, planned } => self.block = Some((done, planned)),
            Line::Waits { why } => self.waits = Some(why),
            Line::Now(now) => {
                self.waits = None;
                self.add(now.at_seconds, &now.target, now.answers_per_second, now.p99_us);
                self.now = Some(now);
            }
            Line::Trial(trial) => {
                self.add(trial.at_seconds, &trial.target, trial.throughput, trial.p99_us);
                self.measured.push(trial);
            }
        }
    }

    /// Adds a moment if its answers are known.
    fn add(&mut self, at_seconds: f64, target: &str, answers: Option<f64>, p99_us: Option<f64>) {
        let Some(answers_per_second) = answers else { return };
        if self.moments.len() == MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(Moment { at_seconds, target: target.to_owned(), answers_per_second, p99_us });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_from_lines_and_unknown_lines_do_no_harm() {
        let mut state = State::default();
        let load = Load::default();
        let begun = Begun { run_id: "r".into(), targets: vec!["a".into()], trials: 4, ..Begun::default() };
        let now = Now {
            target: "a".into(),
            load: load.clone(),
            at_seconds: 1.0,
            left_seconds: 9.0,
            answers_per_second: Some(100.0),
            p50_us: None,
            p99_us: Some(7.0),
            errors: 0,
        };
        let trial = Measured {
            target: "a".into(),
            load,
            at_seconds: 2.0,
            cpu_us_per_request: Some(5.0),
            throughput: None,
            p50_us: None,
            p99_us: None,
            errors: 1,
        };
        let lines = [
            Line::Begun(begun.clone()),
            Line::Block { done: 1, planned: 20 },
            Line::Waits { why: "a guest".into() },
            Line::Now(now.clone()),
            Line::Trial(trial.clone()),
        ];
        for line in &lines {
            state.read(&serde_json::to_string(line).unwrap());
            state.read("{\"event\":\"of-tomorrow\"}");
            state.read("{\"event\":\"now\",");
        }
        let moment = Moment { at_seconds: 1.0, target: "a".into(), answers_per_second: 100.0, p99_us: Some(7.0) };
        let expected = State {
            begun: Some(begun),
            block: Some((1, 20)),
            now: Some(now.clone()),
            waits: None,
            measured: vec![trial],
            moments: [moment].into(),
        };
        assert_eq!(state, expected);
        let again = serde_json::to_string(&Line::Now(now)).unwrap();
        (0..2 * MOMENTS).for_each(|_| state.read(&again));
        assert_eq!(state.moments.len(), MOMENTS);
    }
}
