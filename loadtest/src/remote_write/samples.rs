//! From what happens in a run to samples: which series there are, and when they begin and end.

use super::wire::{Batch, Labels, STALE, Sample};
use crate::class::Class;
use crate::figures::{Figure, Times, tidy};
use crate::live::{Latencies, Live};
use crate::machine::Machine;
use crate::plan::{Key, PerConnection, Schedule};
use crate::results::{Cell, Trial, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Milliseconds between two samples of a live series.
pub const EVERY: i64 = 1_000;

/// Quantiles of the latency while the load is on, with their label.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")];

/// The labels of a run.
pub fn run_labels(run_id: &str) -> Labels {
    Labels::new([("run_id", run_id.to_owned())])
}

/// The labels that say which cell of the run.
pub fn cell_labels(run: &Labels, cell: &Key) -> Labels {
    labels_of(run, &cell.target, &cell.workload, cell.schedule, cell.concurrency, cell.requests_per_connection)
}

fn labels_of(
    run: &Labels,
    target: &str,
    workload: &str,
    schedule: Schedule,
    concurrency: usize,
    per_connection: PerConnection,
) -> Labels {
    run.with(&[
        ("target", target),
        ("workload", workload),
        ("schedule", &word(&schedule)),
        ("concurrency", &concurrency.to_string()),
        ("requests_per_connection", &word(&per_connection)),
    ])
}

/// A value as results.json has it, without quotes.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// What ran, and where: 1, and the labels say it.
pub fn info(run: &Labels, machine: &Machine, at: i64) -> (Labels, Sample) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let labels = run.with(&[
        ("__name__", "loadtest_info"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("host", &text(&machine.host)),
        ("kernel", &text(&machine.kernel)),
        ("cpu", &text(&machine.cpu)),
        ("cpus", &machine.cpus.to_string()),
    ]);
    (labels, Sample { value: 1.0, at })
}

/// The series of a trial that runs. They begin with its window, and end with it.
pub struct LiveTrial {
    labels: Labels,
    /// When the window began, once that is known.
    began: Option<i64>,
    /// When the next samples are due.
    due: i64,
    /// The latencies when the last samples were taken.
    before: Latencies,
    /// The latencies when they were last told.
    latest: Latencies,
    /// When each series had its last sample.
    last: BTreeMap<Labels, i64>,
    batch: Batch,
}

impl LiveTrial {
    /// The trial of that number, from 0, of the cell with these labels. Its label counts from 1.
    pub fn new(cell: &Labels, trial: usize) -> LiveTrial {
        LiveTrial {
            labels: cell.with(&[("trial", &(trial + 1).to_string())]),
            began: None,
            due: 0,
            before: Latencies::default(),
            latest: Latencies::default(),
            last: BTreeMap::new(),
            batch: Batch::new(),
        }
    }

    /// The load is on, and fares so. Answers with samples once a second.
    pub fn progress(&mut self, live: &Live, now: i64) -> Batch {
        let Some(since) = live.since else { return Batch::new() };
        let began = self.begin(now - since.as_millis() as i64);
        self.latest = live.latencies.clone();
        if now < self.due {
            return std::mem::take(&mut self.batch);
        }
        self.due = began + ((now - began) / EVERY + 1) * EVERY;
        self.counts(live.ends.total(), |class| live.ends[class], now);
        self.put("loadtest_connections", &[], live.established as f64, now);
        self.latencies(now);
        std::mem::take(&mut self.batch)
    }

    /// The trial is over: its counts as the results have them, and the end of each series.
    pub fn finish(mut self, trial: Option<&Trial>, now: i64) -> Batch {
        if let Some(trial) = trial {
            let length = (trial.seconds * 1e3).round() as i64;
            let end = self.begin(now - length) + length;
            self.counts(trial.requests, |class| trial.errors.get(class.name()).copied().unwrap_or(0), end);
            let established = trial.client.established.unwrap_or_default();
            self.put("loadtest_connections", &[], established, end);
            self.latencies(end);
        }
        let end = self.last.values().copied().max().unwrap_or(now) + 1;
        for labels in std::mem::take(&mut self.last).into_keys() {
            self.batch.push((labels, Sample { value: STALE, at: end }));
        }
        self.batch
    }

    /// The window began then. A counter begins with 0, or its first step would not count.
    fn begin(&mut self, at: i64) -> i64 {
        if self.began.is_none() {
            self.began = Some(at);
            self.counts(0, |_| 0, at);
            self.due = at + EVERY;
        }
        self.began.unwrap_or(at)
    }

    fn counts(&mut self, requests: u64, errors: impl Fn(Class) -> u64, at: i64) {
        self.put("loadtest_requests_total", &[], requests as f64, at);
        for class in Class::ALL.into_iter().filter(|class| class.is_error()) {
            self.put("loadtest_errors_total", &[("class", class.name())], errors(class) as f64, at);
        }
    }

    /// Quantiles of the latencies since the last time.
    fn latencies(&mut self, at: i64) {
        let latencies = self.latest.since(&self.before);
        for (q, label) in QUANTILES {
            if let Some(seconds) = latencies.quantile(q) {
                self.put("loadtest_latency_seconds", &[("quantile", label)], tidy(seconds), at);
            }
        }
        self.before = self.latest.clone();
    }

    /// A sample, later than the last one of its series.
    fn put(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64, at: i64) {
        let labels = self.labels.with(labels).named(name);
        let at = self.last.get(&labels).map_or(at, |last| at.max(last + 1));
        self.last.insert(labels.clone(), at);
        self.batch.push((labels, Sample { value, at }));
    }
}

/// What a cell came to, as in results.json but for units: times are in seconds. A figure over several trials is their
/// median; one that could not be had has no sample. Each has the cell's verdict as a label, for without it none may be
/// compared.
pub fn of_cell(run: &Labels, cell: &Cell, at: i64) -> Batch {
    let Cell { target, workload, schedule, concurrency, requests_per_connection, .. } = cell;
    let labels = labels_of(run, target, workload, *schedule, *concurrency, *requests_per_connection);
    let mut figures = Figures { labels: labels.with(&[("verdict", cell.verdict.name())]), at, batch: Batch::new() };
    figures.put("verdict", &[("reason", &cell.reasons.join("; "))], verdict_number(cell.verdict));
    if cell.trials.is_empty() {
        return figures.batch;
    }
    figures.put("trials", &[], cell.trials.len() as f64);
    figures.put("requests", &[], cell.requests as f64);
    figures.put("ok_requests", &[], cell.ok as f64);
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Ok) {
        let count = cell.errors.get(class.name()).copied().unwrap_or(0) as f64;
        match class.is_error() {
            true => figures.put("errors", &[("class", class.name())], count),
            false => figures.put("aborted_requests", &[], count),
        }
    }
    figures.put_median("throughput", cell.throughput);
    for (bound, value) in [("low", cell.throughput.and_then(|f| f.low)), ("high", cell.throughput.and_then(|f| f.high))]
    {
        if let Some(value) = value {
            figures.put(&format!("throughput_{bound}"), &[], value);
        }
    }
    figures.put_median("bytes_per_second", cell.bytes_per_second);
    figures.put_times("latency", &cell.latency_us);
    figures.put_times("connect", &cell.connect_us);
    let server = &cell.server;
    figures.put_micros("cpu_seconds_per_request", &[], server.cpu_us_per_request);
    figures.put_micros("cpu_user_seconds_per_request", &[], server.user_us_per_request);
    figures.put_micros("cpu_system_seconds_per_request", &[], server.system_us_per_request);
    figures.put_median("cpus_used", server.cpus_used);
    figures.put_median("memory_bytes", server.memory_bytes);
    figures.put_median("peak_memory_bytes", server.peak_memory_bytes);
    figures.put_median("memory_bytes_per_connection", server.memory_bytes_per_connection);
    figures.put_median("processes", server.processes);
    figures.put_median("threads", server.threads);
    figures.put_median("open_fds", server.open_fds);
    figures.put_median("voluntary_switches_per_request", server.voluntary_switches_per_request);
    figures.put_median("involuntary_switches_per_request", server.involuntary_switches_per_request);
    figures.put_median("minor_faults_per_request", server.minor_faults_per_request);
    figures.put_median("major_faults_per_request", server.major_faults_per_request);
    figures.put_median("syscalls_per_request", server.syscalls_per_request);
    figures.put_micros("client_cpu_seconds_per_request", &[], cell.client.cpu_us_per_request);
    figures.put_median("client_busiest_thread", cell.client.busiest_thread);
    figures.put_median("client_connections", cell.client.established);
    figures.batch
}

/// The places of a cell, which are known when all cells are.
pub fn ranks_of(run: &Labels, cell: &Cell, at: i64) -> Batch {
    let labels = cell_labels(run, &cell.key()).with(&[("verdict", cell.verdict.name())]);
    let mut figures = Figures { labels, at, batch: Batch::new() };
    for (by, rank) in [("throughput", cell.ranks.throughput), ("p99", cell.ranks.p99), ("cpu", cell.ranks.cpu)] {
        if let Some(rank) = rank {
            figures.put("rank", &[("by", by)], rank as f64);
        }
    }
    figures.batch
}

/// As a number, for a table to colour: 0 may be compared.
fn verdict_number(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Valid => 0.0,
        Verdict::ClientLimited => 1.0,
        Verdict::Errors => 2.0,
        Verdict::Unsupported => 3.0,
        Verdict::Unstable => 4.0,
        Verdict::Starved => 5.0,
    }
}

/// Samples of one cell.
struct Figures {
    labels: Labels,
    at: i64,
    batch: Batch,
}

impl Figures {
    fn put(&mut self, name: &str, labels: &[(&'static str, &str)], value: f64) {
        let labels = self.labels.with(labels).named(&format!("loadtest_run_{name}"));
        self.batch.push((labels, Sample { value, at: self.at }));
    }

    fn put_median(&mut self, name: &str, figure: Option<Figure>) {
        if let Some(figure) = figure {
            self.put(name, &[], figure.median);
        }
    }

    fn put_micros(&mut self, name: &str, labels: &[(&'static str, &str)], figure: Option<Figure>) {
        if let Some(figure) = figure {
            self.put(name, labels, tidy(figure.median / 1e6));
        }
    }

    fn put_times(&mut self, name: &str, times: &Times<Option<Figure>>) {
        let quantiles =
            [("0.5", times.p50), ("0.9", times.p90), ("0.99", times.p99), ("0.999", times.p999), ("1", times.max)];
        for (label, figure) in quantiles {
            self.put_micros(&format!("{name}_seconds"), &[("quantile", label)], figure);
        }
        self.put_micros(&format!("{name}_mean_seconds"), &[], times.mean);
    }
}

#[cfg(test)]
mod tests;
