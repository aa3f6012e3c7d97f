//! Writes what happens in a run to `live.ndjson` in its folder, for pages that show it while it goes on.

use crate::command::command;
use crate::conntrack::FULL;
use crate::events::{Event, Observer};
use results::live::{self, Begun, Line, Measured, Now};
use results::{Key, Plan, Trial};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time between two lines of a trial that goes on. Shorter trials have a line at their begin and at their end.
const PACE: Duration = Duration::from_secs(1);

/// Writes `live.ndjson`. What cannot be written is left out: a run does not depend on it. When it is dropped, the file goes, and with
/// it a folder that has nothing else.
pub struct LiveLog<'a> {
    /// The folder in which each run has a folder of its own.
    results: &'a Path,
    plan: &'a Plan,
    began: Instant,
    folder: Option<PathBuf>,
    file: Option<File>,
    /// When the last line of the present trial was written, and the answers until then.
    told: Option<(Instant, u64)>,
}

impl<'a> LiveLog<'a> {
    /// For a run of this plan.
    pub fn new(results: &'a Path, plan: &'a Plan) -> LiveLog<'a> {
        LiveLog { results, plan, began: Instant::now(), folder: None, file: None, told: None }
    }

    fn write(&mut self, line: &Line) {
        let Some(file) = &mut self.file else { return };
        let Ok(mut text) = serde_json::to_string(line) else { return };
        text.push('\n');
        if file.write_all(text.as_bytes()).is_err() {
            self.file = None;
        }
    }

    fn begin(&mut self, run_id: &str, trials: usize) {
        let folder = self.results.join(run_id);
        if fs::create_dir_all(&folder).is_err() {
            return;
        }
        self.file = File::create(folder.join(live::FILE)).ok();
        self.folder = Some(folder);
        let Plan { targets, loads, .. } = self.plan.clone();
        self.write(&Line::Begun(Begun { run_id: run_id.into(), command: command(), targets, loads, trials }));
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn trial(&mut self, cell: &Key, trial: &Trial) {
        self.told = None;
        let figures = &trial.figures;
        self.write(&Line::Trial(Measured {
            target: cell.target.clone(),
            load: cell.load.clone(),
            at_seconds: self.seconds(),
            cpu_us_per_request: figures.server.cpu_us_per_request,
            throughput: figures.throughput,
            p50_us: figures.latency_us.p50,
            p99_us: figures.latency_us.p99,
            errors: trial.outcomes.errors(),
        }));
    }
}

impl Observer for LiveLog<'_> {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::RunStarted { run_id, trials, .. } => self.begin(run_id, trials),
            Event::BlockStarted { done, planned, .. } => self.write(&Line::Block { done, planned }),
            Event::TrialStarted { .. } => self.told = None,
            Event::WaitsForTarget { target } => {
                self.write(&Line::Waits { why: format!("{target} does not answer any more") });
            }
            Event::WaitsForRoom { .. } => self.write(&Line::Waits { why: FULL.into() }),
            Event::Progress { cell, answered, errors, remaining, live, .. } => {
                let now = Instant::now();
                let since = self.told.map(|(told, before)| (now - told, answered.saturating_sub(before)));
                if since.is_some_and(|(time, _)| time < PACE) {
                    return;
                }
                self.told = Some((now, answered));
                let micros = |q: f64| live.latencies.quantile(q).map(|seconds| seconds * 1e6);
                self.write(&Line::Now(Now {
                    target: cell.target.clone(),
                    load: cell.load.clone(),
                    at_seconds: self.seconds(),
                    left_seconds: remaining.as_secs_f64(),
                    answers_per_second: since.map(|(time, answers)| answers as f64 / time.as_secs_f64()),
                    p50_us: micros(0.5),
                    p99_us: micros(0.99),
                    errors,
                }));
            }
            Event::TrialFinished { cell, trial } => self.trial(cell, trial),
            Event::KneeWindow { .. }
            | Event::MadeAgain { .. }
            | Event::Disturbed { .. }
            | Event::BlockFinished { .. }
            | Event::CellFinished { .. }
            | Event::RunFinished { .. } => {}
        }
    }
}

impl Drop for LiveLog<'_> {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_file(folder.join(live::FILE));
            let _ = fs::remove_dir(folder); // fails if the results are in it, as it should
        }
    }
}
