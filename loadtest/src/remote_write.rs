//! Sends the events of a run to a Prometheus while they happen, by remote write 1.0. Prometheus cannot scrape the load
//! test instead: `docker compose run` gives it no name to scrape, and a scrape would miss what happens after the last
//! one.
//!
//! [`RemoteWrite`] is an [`Observer`] that turns events into samples and puts them into a bounded queue, which takes
//! microseconds. A separate thread sends them. A slow or failing Prometheus can neither slow down the load nor fail the
//! run: [`RemoteWrite::finish`] reports what was lost, and the result files are complete in any case.

mod check;
mod native;
mod queue;
mod samples;
mod sender;
mod wire;

use crate::events::{Event, Observer};
use crate::machine;
use crate::target::Url;
use queue::Queue;
use results::Key;
use results::claims::Claim;
use samples::{SAMPLE_INTERVAL, TrialSeries};
use sender::{DeliveryCounts, RetryPolicy};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use wire::{Batch, Histogram, Labels, PATH, Point, STALE, Sample};

/// The most samples that can wait in the queue: more than an hour of a run. Histograms are larger, and there are fewer.
const QUEUE: usize = 100_000;
const QUEUE_OF_HISTOGRAMS: usize = 4_000;
/// The series that is 1 while a run goes on, and that for a board of claims.
const RUN: &str = "loadtest_running";
const BOARD: &str = "lab_lecture_running";
/// The series that say when a run began, and when it ended.
const START: &str = "loadtest_start_timestamp_seconds";
const END: &str = "loadtest_end_timestamp_seconds";
/// How long the end of a run waits for unsent samples.
const FLUSH: Duration = Duration::from_secs(3);
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_secs(5),
    first_back_off: Duration::from_millis(100),
    longest_back_off: Duration::from_secs(5),
};
/// Parses the URL to write to. A URL without a path gets Prometheus' path for remote write.
///
/// # Errors
/// A message that says what to write instead.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url: Url = text.parse()?;
    // A query is no path.
    Ok(match url.path().strip_prefix('/') {
        Some(query) if query.is_empty() || query.starts_with('?') => url.with_path(&format!("{PATH}{query}")),
        _ => url,
    })
}

/// Milliseconds since 1970. They never go back, even if the system's clock is set meanwhile.
struct UnixClock {
    at_start: i64,
    start: Instant,
}

impl UnixClock {
    fn start() -> UnixClock {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixClock { at_start: since_1970.as_millis() as i64, start: Instant::now() }
    }

    fn now(&self) -> i64 {
        self.at_start + self.start.elapsed().as_millis() as i64
    }
}

/// A queue, and the thread that sends what is in it.
struct Delivery<T> {
    queue: Arc<Queue<T>>,
    sender: JoinHandle<DeliveryCounts>,
}

impl<T: Point> Delivery<T> {
    fn start(url: &Url, name: &str, capacity: usize) -> std::io::Result<Delivery<T>> {
        let queue = Arc::new(Queue::new(capacity));
        let (url, its) = (url.clone(), Arc::clone(&queue));
        let thread = thread::Builder::new().name(name.into());
        Ok(Delivery { queue, sender: thread.spawn(move || sender::send_all(&url, &its, RETRY_POLICY))? })
    }

    /// Hands these over, unless the thread has ended, since the server does without them.
    fn push(&self, batch: Batch<T>) {
        if !batch.is_empty() && !self.sender.is_finished() {
            self.queue.push(batch);
        }
    }

    /// Waits for what is unsent, after the queue was closed.
    fn finish(self) -> DeliveryCounts {
        self.sender.join().unwrap_or_else(|_| DeliveryCounts {
            problem: Some("the sending thread panicked".into()),
            lost: 1,
            ..DeliveryCounts::default()
        })
    }
}

/// An observer that writes the run to a Prometheus. Histograms go in requests of their own, since a Prometheus that does not keep them
/// refuses the whole request.
pub struct RemoteWrite {
    url: Url,
    clock: UnixClock,
    samples: Delivery<Sample>,
    histograms: Delivery<Histogram>,
    run: Option<Labels>,
    /// When the run began.
    began: i64,
    /// The series that says whether the run is going on.
    running: &'static str,
    trial: Option<TrialSeries>,
    /// When the last sample was sent that says that the run is still going on.
    heartbeat_at: i64,
    /// Until when the last trial that was thrown away is marked.
    marked_until: i64,
}

impl RemoteWrite {
    /// Starts the threads that write to `url`. They send nothing yet.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(url: Url) -> std::io::Result<RemoteWrite> {
        Ok(RemoteWrite {
            samples: Delivery::start(&url, "remote-write", QUEUE)?,
            histograms: Delivery::start(&url, "histograms", QUEUE_OF_HISTOGRAMS)?,
            url,
            clock: UnixClock::start(),
            run: None,
            began: 0,
            running: RUN,
            trial: None,
            heartbeat_at: 0,
            marked_until: 0,
        })
    }

    /// A board of claims begins, in place of a run. The runs of its experiments are not sent: they would stand among the load
    /// tests in the dashboards.
    pub fn begin_board(&mut self, run_id: &str) {
        (self.run, self.running) = (Some(samples::run_labels(run_id)), BOARD);
        self.running();
    }

    /// A claim of the board was judged.
    pub fn claim(&mut self, claim: &Claim) {
        if let Some(run) = &self.run {
            self.push(samples::claim_samples(run, claim, self.clock.now()));
        }
        self.running();
    }

    /// Ends the run: sends the remaining samples, for at most some seconds, and asks Prometheus whether it has the last
    /// one.
    pub fn finish(mut self) -> DeliveryReport {
        self.end_trial(None);
        let last = self.clock.now().max(self.heartbeat_at + 1);
        if let Some(run) = &self.run {
            if self.running == RUN {
                self.push(vec![
                    samples::info_sample(run, &machine::here(), last),
                    samples::moment_sample(run, START, self.began, last),
                    samples::moment_sample(run, END, last, last),
                ]);
            }
            let running = run.named(self.running);
            self.push(vec![
                (running.clone(), Sample { value: 0.0, at: last }),
                (running, Sample { value: STALE, at: last + 1 }),
            ]);
        }
        let until = Instant::now() + FLUSH;
        self.samples.queue.close(until);
        self.histograms.queue.close(until);
        let counts = self.samples.finish();
        let histograms = self.histograms.finish();
        let missing = match &self.run {
            Some(run) if counts.lost == 0 && counts.refused == 0 => {
                check::missing_last_sample(&self.url, run.selector(self.running), last)
            }
            _ => None,
        };
        DeliveryReport { url: self.url, counts, histograms, missing }
    }

    fn push(&self, batch: Batch) {
        self.samples.push(batch);
    }

    /// Sends once a second a sample that says that the run is still going on.
    fn running(&mut self) {
        let now = self.clock.now();
        if let Some(run) = &self.run
            && now >= self.heartbeat_at + SAMPLE_INTERVAL
        {
            self.heartbeat_at = now;
            self.push(vec![(run.named(self.running), Sample { value: 1.0, at: now })]);
        }
    }

    fn begin_trial(&mut self, cell: &Key, trial: usize) {
        // A trial that could not be measured has no end of its own, nor has a window that is not the last one
        // of its trial, so end its series here.
        self.end_trial(None);
        self.trial = self.run.as_ref().map(|run| TrialSeries::new(&samples::cell_labels(run, cell), trial));
    }

    /// A window was thrown away. The same may happen to a trial again within the second for which the mark of the first time stands.
    fn mark_made_again(&mut self, cell: &Key, trial: usize, why: &str) {
        if let Some(run) = &self.run {
            let at = self.clock.now().max(self.marked_until + 1);
            self.push(samples::made_again_samples(&samples::cell_labels(run, cell), trial, why, at));
            self.marked_until = at + SAMPLE_INTERVAL;
        }
    }

    fn end_trial(&mut self, measured: Option<&results::Trial>) {
        if let Some(mut trial) = self.trial.take() {
            self.push(trial.finish(measured, self.clock.now()));
            self.histograms.push(trial.take_histograms());
        }
    }
}

impl Observer for RemoteWrite {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::RunStarted { run_id, .. } => {
                let (run, now) = (samples::run_labels(run_id), self.clock.now());
                let moment = samples::moment_sample(&run, START, now, now);
                self.push(vec![samples::info_sample(&run, &machine::here(), now), moment]);
                (self.run, self.began) = (Some(run), now);
            }
            Event::TrialStarted { cell, trial, .. } | Event::KneeWindow { cell, trial, .. } => {
                self.begin_trial(cell, trial);
            }
            Event::MadeAgain { cell, trial, why } => {
                self.mark_made_again(cell, trial, why);
                self.begin_trial(cell, trial);
            }
            Event::Progress { live, .. } => {
                let now = self.clock.now();
                if let Some(trial) = &mut self.trial {
                    self.samples.push(trial.progress(live, now));
                    self.histograms.push(trial.take_histograms());
                }
            }
            Event::BlockStarted { .. }
            | Event::BlockFinished { .. }
            | Event::WaitsForRoom { .. }
            | Event::WaitsForTarget { .. }
            | Event::Disturbed { .. } => {}
            Event::TrialFinished { trial, .. } => self.end_trial(Some(trial)),
            Event::RunFinished { results } => {
                let now = self.clock.now();
                let ranks = self.run.as_ref().map(|run| {
                    results.cells.iter().flat_map(|cell| samples::rank_samples(run, cell, now)).collect::<Vec<_>>()
                });
                self.push(ranks.unwrap_or_default());
            }
            Event::CellFinished { cell } => {
                self.end_trial(None);
                if let Some(run) = &self.run {
                    let now = self.clock.now();
                    self.samples.push(samples::cell_samples(run, cell, now));
                    self.histograms.push(samples::cell_histograms(run, cell, now));
                }
            }
        }
        self.running();
    }
}

/// What became of the samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    url: Url,
    counts: DeliveryCounts,
    histograms: DeliveryCounts,
    /// Why the last sample is missing although Prometheus accepted all samples.
    missing: Option<String>,
}

impl DeliveryReport {
    /// Whether all samples arrived. A Prometheus may do without histograms.
    pub fn is_complete(&self) -> bool {
        self.counts.lost == 0 && self.histograms.lost == 0 && self.counts.refused == 0 && self.missing.is_none()
    }
}

impl fmt::Display for DeliveryReport {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (samples, histograms) = (&self.counts, &self.histograms);
        let (sent, lost, refused) = (samples.sent + histograms.sent, samples.lost + histograms.lost, samples.refused);
        let all = sent + lost + refused;
        write!(f, "remote write to {}: ", self.url)?;
        match (lost, refused) {
            (0, 0) => write!(f, "{sent} samples")?,
            (_, 0) => write!(f, "{lost} of {all} samples were lost")?,
            (0, _) => write!(f, "{refused} of {all} samples were refused")?,
            _ => write!(f, "of {all} samples, {lost} were lost and {refused} refused")?,
        }
        let with_problem = [samples, histograms].into_iter().find(|counts| counts.lost > 0 || counts.refused > 0);
        if let Some(problem) = with_problem.and_then(|counts| counts.problem.as_ref()).filter(|_| lost + refused > 0) {
            write!(f, " ({problem})")?;
        }
        if let (0, 0, 1.., Some(problem)) = (lost, refused, histograms.refused, &histograms.problem) {
            write!(f, ", without histograms ({problem}): percentiles are those of the results")?;
        }
        if let Some(missing) = &self.missing {
            write!(f, ", but {missing}")?;
        }
        if !self.is_complete() {
            write!(f, "; the results are not affected")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_that_of_prometheus_and_keeps_its_query() {
        for (text, expected) in [
            ("http://p:9090", "http://p:9090/api/v1/write"),
            ("http://p:9090/", "http://p:9090/api/v1/write"),
            ("http://p:9090?a=b", "http://p:9090/api/v1/write?a=b"),
            ("http://p:9090/?a=b", "http://p:9090/api/v1/write?a=b"),
            ("http://p:9090/own?a=b", "http://p:9090/own?a=b"),
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), expected);
        }
    }
}
