//! Turns the events of a run into Prometheus samples: which series there are, and when they begin and end.

use super::wire::{Batch, Histogram, Labels, STALE, Sample};
use crate::engine::{CoarseHistogram, LiveSnapshot};
use results::claims::Claim;
use results::figures::CPU;
use results::histogram::pooled;
use results::schema::disturbance;
use results::units::nine_digits;
use results::{Bound, Cell, Key, Machine, OutcomeClass, Trial, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Milliseconds between two samples of a live series.
pub const SAMPLE_INTERVAL: i64 = 1_000;

/// Quantiles of the latency that are sent during the load, with their labels.
const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (1.0, "1")];

/// The histogram of the latencies of a trial so far.
const DURATIONS: &str = "loadtest_request_duration_seconds";

/// The labels of a run.
pub fn run_labels(run_id: &str) -> Labels {
    Labels::new([("run_id", run_id.to_owned())])
}

/// The label `beside` of a load without background connections. Its value can be chosen in a dashboard, and that of a label
/// that is not there cannot.
const BESIDE_NOTHING: &str = "nothing";

/// The labels that identify a cell of the run.
pub fn cell_labels(run: &Labels, cell: &Key) -> Labels {
    let background = &cell.load.background;
    let beside = if background.is_none() { BESIDE_NOTHING.to_owned() } else { background.to_string() };
    run.with(&[
        ("target", &cell.target),
        ("workload", &cell.load.workload),
        ("schedule", &json_text(&cell.load.schedule)),
        ("concurrency", &cell.load.concurrency.to_string()),
        ("requests_per_connection", &json_text(&cell.load.requests_per_connection)),
        ("beside", &beside),
    ])
}

/// A value in the form of results.json, without quotes.
fn json_text(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// A sample whose labels describe the program and the machine; its value is always 1.
pub fn info_sample(run: &Labels, machine: &Machine, at: i64) -> (Labels, Sample) {
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

/// When a run began, or ended, in seconds since 1970: dashboards lead to that time, and take the newest run's figure.
pub fn moment_sample(run: &Labels, name: &'static str, moment: i64, at: i64) -> (Labels, Sample) {
    (run.named(name), Sample { value: moment as f64 / 1e3, at })
}

/// A window that was thrown away, since others disturbed it, and why; it ends a second later.
pub fn made_again_samples(cell: &Labels, trial: usize, why: &str, at: i64) -> Batch {
    let labels = cell.with(&[("trial", &(trial + 1).to_string()), ("why", why)]).named("loadtest_made_again");
    vec![(labels.clone(), Sample { value: 1.0, at }), (labels, Sample { value: STALE, at: at + SAMPLE_INTERVAL })]
}

/// The series of a running trial. They begin and end with its window.
pub struct TrialSeries {
    labels: Labels,
    /// When the window began, if that is known already.
    began: Option<i64>,
    /// When the next samples are due.
    due: i64,
    /// The latencies up to the last samples.
    before: CoarseHistogram,
    /// The latencies up to the last progress report.
    latest: CoarseHistogram,
    /// The time of the last sample of each series.
    last: BTreeMap<Labels, i64>,
    batch: Batch,
    histograms: Batch<Histogram>,
    /// The time of the last one of them.
    last_histogram: Option<i64>,
}

impl TrialSeries {
    /// `trial` counts the trials of a cell from 0; the label counts from 1.
    pub fn new(cell: &Labels, trial: usize) -> TrialSeries {
        TrialSeries {
            labels: cell.with(&[("trial", &(trial + 1).to_string())]),
            began: None,
            due: 0,
            before: CoarseHistogram::default(),
            latest: CoarseHistogram::default(),
            last: BTreeMap::new(),
            batch: Batch::new(),
            histograms: Batch::new(),
            last_histogram: None,
        }
    }

    /// The histograms since the last call.
    pub fn take_histograms(&mut self) -> Batch<Histogram> {
        std::mem::take(&mut self.histograms)
    }

    /// Called for each progress report. Returns samples once a second.
    pub fn progress(&mut self, live: &LiveSnapshot, now: i64) -> Batch {
        let Some(since) = live.since else { return Batch::new() };
        let began = self.begin(now - since.as_millis() as i64, live.established as f64);
        self.latest = live.latencies.clone();
        if now < self.due {
            return std::mem::take(&mut self.batch);
        }
        self.due = began + ((now - began) / SAMPLE_INTERVAL + 1) * SAMPLE_INTERVAL;
        self.counts(live.outcomes.total(), |class| live.outcomes[class], now);
        self.put("loadtest_connections", &[], live.established as f64, now);
        self.latencies(now);
        std::mem::take(&mut self.batch)
    }

    /// Ends the trial: returns its final counts, as the results have them, and a stale marker for each series.
    pub fn finish(&mut self, trial: Option<&Trial>, now: i64) -> Batch {
        if let Some(trial) = trial {
            let length = (trial.seconds * 1e3).round() as i64;
            let established = trial.figures.client.established.unwrap_or_default();
            let end = self.begin(now - length, established) + length;
            self.counts(trial.outcomes.total(), |class| trial.outcomes[class], end);
            self.put("loadtest_connections", &[], established, end);
            self.latencies(end);
        }
        let end = self.last.values().copied().chain(self.last_histogram).max().unwrap_or(now) + 1;
        for labels in std::mem::take(&mut self.last).into_keys() {
            self.batch.push((labels, Sample { value: STALE, at: end }));
        }
        if self.last_histogram.take().is_some() {
            self.histograms.push((self.labels.named(DURATIONS), Histogram::stale(end)));
        }
        std::mem::take(&mut self.batch)
    }

    /// Called when the begin of the window is known. Each counter gets a sample of 0 first, because Prometheus would
    /// not count its first increase otherwise. The connections, which were opened before, are there from the begin on: those of a short window
    /// would end as soon as they are seen.
    fn begin(&mut self, at: i64, established: f64) -> i64 {
        if self.began.is_none() {
            self.began = Some(at);
            self.counts(0, |_| 0, at);
            self.put("loadtest_connections", &[], established, at);
            self.histogram(at);
            self.due = at + SAMPLE_INTERVAL;
        }
        self.began.unwrap_or(at)
    }

    fn counts(&mut self, requests: u64, errors: impl Fn(OutcomeClass) -> u64, at: i64) {
        self.put("loadtest_requests_total", &[], requests as f64, at);
        for class in OutcomeClass::ALL.into_iter().filter(|class| class.is_error()) {
            self.put("loadtest_errors_total", &[("class", class.name())], errors(class) as f64, at);
        }
    }

    /// Adds the histogram of the latencies so far.
    fn histogram(&mut self, at: i64) {
        let at = self.last_histogram.map_or(at, |last| at.max(last + 1));
        self.last_histogram = Some(at);
        self.histograms.push((self.labels.named(DURATIONS), Histogram::of(self.latest.buckets(), at)));
    }

    /// Adds the quantiles of the latencies since the last call, and the histogram so far.
    fn latencies(&mut self, at: i64) {
        self.histogram(at);
        let latencies = self.latest.since(&self.before);
        for (q, label) in QUANTILES {
            if let Some(seconds) = latencies.quantile(q) {
                self.put("loadtest_latency_seconds", &[("quantile", label)], nine_digits(seconds), at);
            }
        }
        self.before = self.latest.clone();
    }

    /// Adds a sample, and makes sure that it is later than the last one of its series.
    fn put(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64, at: i64) {
        let labels = self.labels.with(labels).named(name);
        let at = self.last.get(&labels).map_or(at, |last| at.max(last + 1));
        self.last.insert(labels.clone(), at);
        self.batch.push((labels, Sample { value, at }));
    }
}

/// Figures that also have the two ends of their interval, in the series `…_low` and `…_high`: those of which dashboards
/// draw it.
const WITH_INTERVAL: [&str; 5] =
    ["throughput", CPU, "latency_us.p99", "server.peak_memory_bytes", "server.memory_bytes_per_connection"];

/// The results of a cell, as in results.json except that they are in base units. A figure is the median over the trials;
/// a missing figure has no sample, but one that says why. Each figure has the verdict on it as a label, since without that it may not be
/// compared, and the side on which the true value lies where that is known; the cell's own verdict is the label of everything else.
pub fn cell_samples(run: &Labels, cell: &Cell, at: i64) -> Batch {
    let mut samples = CellSamples { labels: cell_labels(run, &cell.key), at, batch: Batch::new() };
    samples.put("verdict", cell.verdict, &[("reason", &cell.reasons.join("; "))], verdict_number(cell.verdict));
    if cell.trials.is_empty() {
        return samples.batch;
    }
    samples.put("trials", cell.verdict, &[], cell.trials.len() as f64);
    samples.put("requests", cell.verdict, &[], cell.outcomes.total() as f64);
    for (class, count) in cell.outcomes.iter() {
        match class {
            OutcomeClass::Ok => samples.put("ok_requests", cell.verdict, &[], count as f64),
            OutcomeClass::AbortedAtEnd => samples.put("aborted_requests", cell.verdict, &[], count as f64),
            _ => samples.put("errors", cell.verdict, &[("class", class.name())], count as f64),
        }
    }
    for (name, figure) in cell.figures.iter() {
        let Some(figure) = figure else { continue };
        let (verdict, bound) = (cell.verdict_on(&name), bound_name(cell.flaw(&name).and_then(|flaw| flaw.bound)));
        let (series, quantile) = name.series();
        let labels = [("quantile", quantile.as_deref().unwrap_or_default()), ("bound", bound)];
        samples.put(&series, verdict, &labels, name.base_value(figure.median));
        if let (true, Some((low, high))) = (WITH_INTERVAL.contains(&&*name.path()), figure.low.zip(figure.high)) {
            samples.put(&format!("{series}_low"), verdict, &labels, name.base_value(low));
            samples.put(&format!("{series}_high"), verdict, &labels, name.base_value(high));
        }
    }
    for (figure, flaw) in &cell.flaws {
        let labels = [("figure", figure.as_str()), ("bound", bound_name(flaw.bound)), ("why", &flaw.why)];
        samples.put("flaw", flaw.verdict, &labels, 1.0);
    }
    for (figure, why) in &cell.missing {
        samples.put("missing", cell.verdict, &[("figure", figure), ("why", why)], 1.0);
    }
    disturbances(&mut samples, cell);
    samples.batch
}

/// The trials that others disturbed, each with what they did, and whether it counts all the same.
fn disturbances(samples: &mut CellSamples, cell: &Cell) {
    let counted = cell.counted_trials();
    let disturbed =
        cell.trials.iter().enumerate().filter_map(|(number, trial)| Some((number, trial, disturbance(trial)?)));
    let mut trials = 0.0;
    for (number, trial, why) in disturbed {
        let labels = [
            ("trial", &*(number + 1).to_string()),
            ("counted", if trial.is_one_of(&counted) { "yes" } else { "no" }),
            ("why", &why),
        ];
        samples.put("disturbance", cell.verdict, &labels, 1.0);
        trials += 1.0;
    }
    samples.put("disturbed_trials", cell.verdict, &[], trials);
}

/// The distribution of the latencies of a cell, over the trials that count; empty if it has none, or if the results withhold its
/// percentiles.
pub fn cell_histograms(run: &Labels, cell: &Cell, at: i64) -> Batch<Histogram> {
    if cell.figures.latency_us.p50.is_none() {
        return Batch::new();
    }
    let histograms = cell.counted_trials().into_iter().map(|trial| trial.latency_histogram.as_str());
    let Some(latencies) = pooled(histograms).filter(|latencies| !latencies.is_empty()) else { return Batch::new() };
    let (name, _) = cell.figures.at("latency_us.p99");
    let bound = bound_name(cell.flaw(&name).and_then(|flaw| flaw.bound));
    let labels = cell_labels(run, &cell.key).with(&[("verdict", cell.verdict_on(&name).name()), ("bound", bound)]);
    let times = latencies.iter_recorded();
    let times = times.map(|at| (latencies.median_equivalent(at.value_iterated_to()) as f64, at.count_at_value()));
    vec![(labels.named("loadtest_run_request_duration_seconds"), Histogram::of(times, at))]
}

/// The side on which the true value lies, as in results.json; empty if it is not known, or if the value is true.
fn bound_name(bound: Option<Bound>) -> &'static str {
    match bound {
        Some(Bound::Lower) => "lower",
        Some(Bound::Upper) => "upper",
        None => "",
    }
}

/// The ranks of a cell, which are known when all cells are measured. Only figures that may be compared have a rank.
pub fn rank_samples(run: &Labels, cell: &Cell, at: i64) -> Batch {
    let mut samples = CellSamples { labels: cell_labels(run, &cell.key), at, batch: Batch::new() };
    for (by, rank) in cell.ranks.iter() {
        if let Some(rank) = rank {
            samples.put("rank", Verdict::Valid, &[("by", by)], rank as f64);
        }
    }
    samples.batch
}

/// A claim of a board, as in results.json: what the experiment says, and each part's figure, its interval and its margin. What is
/// null there has no sample.
pub fn claim_samples(run: &Labels, claim: &Claim, at: i64) -> Batch {
    let of_claim = run.with(&[("claim", &claim.id)]);
    let sample = |labels: &Labels, name: &'static str, value: f64| (labels.named(name), Sample { value, at });
    let why = claim.why_not_shown().map(String::as_str).unwrap_or_default();
    let of_ruling = of_claim.with(&[("ruling", claim.ruling.name()), ("says", &claim.says), ("why", why)]);
    let mut batch = vec![sample(&of_ruling, "lab_claim", 1.0)];
    for (number, part) in (1..).zip(&claim.parts) {
        let labels = of_claim.with(&[
            ("part", &format!("{number}: {}", part.what)),
            ("ruling", part.ruling.name()),
            ("bound", bound_name(part.bound)),
        ]);
        let (least, most) = part.margin.bounds();
        for (name, value) in [
            ("lab_claim_figure", part.figure),
            ("lab_claim_low", part.low),
            ("lab_claim_high", part.high),
            ("lab_claim_margin_least", least),
            ("lab_claim_margin_most", most),
        ] {
            batch.extend(value.map(|value| sample(&labels, name, value)));
        }
    }
    batch
}

/// The verdict as a number, which tables can map to a colour: 0 may be compared.
fn verdict_number(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Valid => 0.0,
        Verdict::ClientLimited => 1.0,
        Verdict::Errors => 2.0,
        Verdict::Unsupported => 3.0,
        Verdict::Unstable => 4.0,
        Verdict::Starved => 5.0,
        Verdict::Disturbed => 6.0,
        Verdict::Undercounted => 7.0,
        Verdict::NotCold => 8.0,
    }
}

/// Collects the samples of one cell.
struct CellSamples {
    labels: Labels,
    at: i64,
    batch: Batch,
}

impl CellSamples {
    fn put(&mut self, name: &str, verdict: Verdict, labels: &[(&'static str, &str)], value: f64) {
        let labels = self.labels.with(&[("verdict", verdict.name())]).with(labels);
        self.batch.push((labels.named(&format!("loadtest_run_{name}")), Sample { value, at: self.at }));
    }
}

#[cfg(test)]
mod tests;
