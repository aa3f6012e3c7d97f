//! Tells a Prometheus what happens in a run while it happens, by remote write 1.0: `docker compose run` gives the load
//! test no name by which it could be scraped, and a scrape would miss what comes after it.
//!
//! [`RemoteWrite`] is an [`Observer`] that turns events into samples and puts them into a bounded queue,
//! which takes microseconds; a thread of its own sends them. Nothing that happens there can slow the load or fail the
//! run: [`RemoteWrite::finish`] says what was lost, and the files stay the truth.

mod check;
mod queue;
mod samples;
mod sender;
mod wire;

use crate::machine::Machine;
use crate::run::{Event, Observer};
use crate::target::Url;
use queue::Queue;
use samples::{EVERY, LiveTrial};
use sender::{Patience, Tally};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use wire::{Batch, Labels, STALE, Sample};

/// Samples that wait at most: more than an hour of a run.
const QUEUE: usize = 100_000;
/// How long the end of a run waits for what is not sent yet.
const FLUSH: Duration = Duration::from_secs(3);
const PATIENCE: Patience = Patience {
    attempt: Duration::from_secs(5),
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_secs(5),
};
/// Where Prometheus takes samples, if the URL has no path.
const PATH: &str = "/api/v1/write";

/// The URL to write to: one without a path means Prometheus' own.
///
/// # Errors
/// What to write instead.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    Ok(if url.path == "/" { url.with_path(PATH) } else { url })
}

/// Milliseconds since 1970, which never go back, whatever is done to the clock meanwhile.
struct Clock {
    at_start: i64,
    start: Instant,
}

impl Clock {
    fn start() -> Clock {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { at_start: since_1970.as_millis() as i64, start: Instant::now() }
    }

    fn now(&self) -> i64 {
        self.at_start + self.start.elapsed().as_millis() as i64
    }
}

/// Writes a run to a Prometheus.
pub struct RemoteWrite {
    url: Url,
    clock: Clock,
    queue: Arc<Queue>,
    sender: JoinHandle<Tally>,
    run: Option<Labels>,
    trial: Option<LiveTrial>,
    /// When the run was last said to go on.
    told: i64,
}

impl RemoteWrite {
    /// Starts the thread that writes to `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub fn start(url: Url) -> std::io::Result<RemoteWrite> {
        let queue = Arc::new(Queue::new(QUEUE));
        let sender = {
            let (url, queue) = (url.clone(), Arc::clone(&queue));
            let thread = thread::Builder::new().name("remote-write".into());
            thread.spawn(move || sender::send_all(&url, &queue, PATIENCE))?
        };
        Ok(RemoteWrite { url, clock: Clock::start(), queue, sender, run: None, trial: None, told: 0 })
    }

    /// The run is over: sends what is left, for at most some seconds, and asks whether the last sample is there.
    pub fn finish(mut self) -> Report {
        self.end_trial(None);
        let last = self.clock.now().max(self.told + 1);
        if let Some(run) = &self.run {
            let running = run.named("loadtest_running");
            let sample = |value, at| (running.clone(), Sample { value, at });
            self.queue.push(vec![
                samples::info(run, &Machine::here(), last),
                sample(0.0, last),
                sample(STALE, last + 1),
            ]);
        }
        self.queue.close(Instant::now() + FLUSH);
        let tally = self.sender.join().unwrap_or_else(|_| Tally {
            problem: Some("the sending thread panicked".into()),
            lost: 1,
            ..Tally::default()
        });
        let missing = match &self.run {
            Some(run) if tally.lost == 0 && tally.refused == 0 => check::missing(&self.url, run, last),
            _ => None,
        };
        Report { url: self.url, tally, missing }
    }

    fn push(&self, batch: Batch) {
        if !batch.is_empty() {
            self.queue.push(batch);
        }
    }

    /// Once a second: the run goes on.
    fn running(&mut self) {
        let now = self.clock.now();
        if let Some(run) = &self.run
            && now >= self.told + EVERY
        {
            self.told = now;
            self.push(vec![(run.named("loadtest_running"), Sample { value: 1.0, at: now })]);
        }
    }

    fn end_trial(&mut self, measured: Option<&crate::results::Trial>) {
        if let Some(trial) = self.trial.take() {
            self.push(trial.finish(measured, self.clock.now()));
        }
    }
}

impl Observer for RemoteWrite {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::RunStarted { run_id, .. } => {
                let run = samples::run_labels(run_id);
                self.push(vec![samples::info(&run, &Machine::here(), self.clock.now())]);
                self.run = Some(run);
            }
            Event::TrialStarted { cell, trial, .. } => {
                // One that could not be measured ends here.
                self.end_trial(None);
                self.trial = self.run.as_ref().map(|run| LiveTrial::new(&samples::cell_labels(run, cell), trial));
            }
            Event::Progress { live, .. } => {
                let now = self.clock.now();
                let batch = self.trial.as_mut().map(|trial| trial.progress(live, now));
                self.push(batch.unwrap_or_default());
            }
            Event::WaitsForRoom => {}
            Event::TrialFinished { trial, .. } => self.end_trial(Some(trial)),
            Event::RunFinished { results } => {
                let now = self.clock.now();
                let ranks = self.run.as_ref().map(|run| {
                    results.cells.iter().flat_map(|cell| samples::ranks_of(run, cell, now)).collect::<Vec<_>>()
                });
                self.push(ranks.unwrap_or_default());
            }
            Event::CellFinished { cell } => {
                self.end_trial(None);
                if let Some(run) = &self.run {
                    self.push(samples::of_cell(run, cell, self.clock.now()));
                }
            }
        }
        self.running();
    }
}

/// What became of the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    url: Url,
    tally: Tally,
    /// Why the last sample is not there, although all were taken.
    missing: Option<String>,
}

impl Report {
    /// Whether all samples arrived.
    pub fn is_complete(&self) -> bool {
        self.tally.lost == 0 && self.tally.refused == 0 && self.missing.is_none()
    }
}

impl fmt::Display for Report {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, lost, refused, problem } = &self.tally;
        let all = sent + lost + refused;
        write!(f, "remote write to {}: ", self.url)?;
        match (lost, refused) {
            (0, 0) => write!(f, "{sent} samples")?,
            (_, 0) => write!(f, "{lost} of {all} samples were lost")?,
            (0, _) => write!(f, "{refused} of {all} samples were refused")?,
            _ => write!(f, "of {all} samples, {lost} were lost and {refused} refused")?,
        }
        if let Some(problem) = problem.as_ref().filter(|_| lost + refused > 0) {
            write!(f, " ({problem})")?;
        }
        if let Some(missing) = &self.missing {
            write!(f, ", but {missing}")?;
        }
        if !self.is_complete() {
            write!(f, "; the results are not touched by this")?;
        }
        Ok(())
    }
}
