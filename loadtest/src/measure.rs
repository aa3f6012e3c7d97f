//! Computes the figures of a trial and of a cell from the engine's counts.

use crate::class::{OutcomeClass, OutcomeCounts};
use crate::cost::{CostSampler, Snapshot};
use crate::engine::TrialMeasurement;
use crate::figures::{ClientCost, Figure, Pace, ServerCost, Times, nine_digits};
use crate::plan::Schedule;
use crate::results::{Cell, Trial};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use std::collections::BTreeMap;

type Missing = BTreeMap<String, String>;

/// The target's cost before the load, at the window's begin and at its end, and the answers between the last two.
#[derive(Default)]
pub struct CostSnapshots {
    pub idle: Snapshot,
    pub begin: Snapshot,
    pub end: Snapshot,
    /// Complete answers between the snapshots of begin and end.
    pub answered: u64,
    /// Seconds between these snapshots.
    pub seconds: f64,
}

/// Computes the figures of one trial.
pub fn trial(measurement: &TrialMeasurement, costs: &CostSnapshots, cost: &CostSampler, concurrency: usize) -> Trial {
    let mut missing = Missing::new();
    let seconds = measurement.window.as_secs_f64().max(1e-9);
    let ok = measurement.outcomes[OutcomeClass::Ok];
    let answered = (ok + measurement.outcomes[OutcomeClass::Status]).max(1);
    let latency_us = times(&measurement.latency, "latency_us", &mut missing);
    let open = measurement.offered.is_some();
    let (service_time_us, schedule_lag_us) = match open {
        true => (
            times(&measurement.service_time, "service_time_us", &mut missing),
            times(&measurement.schedule_lag, "schedule_lag_us", &mut missing),
        ),
        false => {
            for group in ["schedule_lag_us", "pace"] {
                missing.insert(group.into(), "a closed loop has no schedule".into());
            }
            (latency_us.clone(), Times::default())
        }
    };
    let histogram = |histogram| if open { encode(histogram) } else { String::new() };
    let trial = Trial {
        aborted: measurement.interrupted,
        seconds: nine_digits(seconds),
        requests: measurement.started,
        ok,
        errors: errors(&measurement.outcomes),
        throughput: nine_digits(ok as f64 / seconds),
        bytes_per_second: nine_digits(measurement.bytes as f64 / seconds),
        latency_us,
        service_time_us,
        schedule_lag_us,
        pace: Pace {
            offered_per_second: measurement.offered.map(nine_digits),
            achieved_share: measurement.offered.map(|offered| {
                nine_digits((ok + measurement.outcomes[OutcomeClass::Status]) as f64 / seconds / offered)
            }),
            unsent: measurement.offered.map(|_| measurement.unsent as f64),
        },
        background: measurement.background,
        connect_us: times(&measurement.connect, "connect_us", &mut missing),
        server: server(costs, cost, concurrency as u64 + measurement.background.up(), &mut missing),
        client: ClientCost {
            cpu_us_per_request: Some(nine_digits(measurement.cpu.as_secs_f64() * 1e6 / answered as f64)),
            busiest_thread: Some(nine_digits(measurement.busiest_thread)),
            polling: Some(nine_digits(measurement.polling)),
            longest_cpu_wait: Some(nine_digits(measurement.longest_wait)),
            established: Some(measurement.established as f64),
        },
        close_ignored: measurement.close_ignored,
        local_failures: measurement.local_failures,
        dropped_packets: 0, // filled in by `run`
        unserved: Some(measurement.unserved),
        fairness: measurement.fairness.map(nine_digits),
        missing: Missing::new(),
        histogram_unit: "ns".into(),
        latency_histogram: encode(&measurement.latency),
        connect_histogram: encode(&measurement.connect),
        service_time_histogram: histogram(&measurement.service_time),
        schedule_lag_histogram: histogram(&measurement.schedule_lag),
    };
    Trial { missing, ..trial }
}

/// A trial without any request.
#[cfg(test)]
pub fn empty_trial() -> Trial {
    let nothing = TrialMeasurement {
        started: 0,
        outcomes: OutcomeCounts::default(),
        latency: crate::recorder::histogram(),
        connect: crate::recorder::histogram(),
        service_time: crate::recorder::histogram(),
        schedule_lag: crate::recorder::histogram(),
        offered: None,
        unsent: 0,
        background: Default::default(),
        bytes: 0,
        close_ignored: 0,
        local_failures: 0,
        window: std::time::Duration::from_secs(1),
        cpu: std::time::Duration::ZERO,
        busiest_thread: 0.0,
        polling: 0.0,
        longest_wait: 0.0,
        established: 1,
        interrupted: false,
        unserved: 0,
        fairness: None,
    };
    trial(&nothing, &CostSnapshots::default(), &CostSampler::new(crate::cost::CostSource::None), 1)
}

fn errors(outcomes: &OutcomeCounts) -> BTreeMap<String, u64> {
    outcomes
        .iter()
        .filter(|&(class, _)| class != OutcomeClass::Ok)
        .map(|(class, n)| (class.name().to_owned(), n))
        .collect()
}

/// The distribution in a histogram of nanoseconds. A percentile q needs 10/(1-q) samples, so that ten lie beyond it.
fn times(histogram: &Histogram<u64>, group: &str, missing: &mut Missing) -> Times<Option<f64>> {
    let samples = histogram.len();
    if samples == 0 {
        missing.insert(group.into(), "no samples".into());
        return Times::default();
    }
    let mut quantile = |q: f64, name: &str, needed: u64| {
        if samples < needed {
            missing.insert(format!("{group}.{name}"), format!("needs {needed} samples, has {samples}"));
            return None;
        }
        Some(nine_digits(histogram.value_at_quantile(q) as f64 / 1e3))
    };
    Times {
        p50: quantile(0.5, "p50", 20),
        p90: quantile(0.9, "p90", 100),
        p99: quantile(0.99, "p99", 1_000),
        p999: quantile(0.999, "p999", 10_000),
        mean: Some(nine_digits(histogram.mean() / 1e3)),
        max: Some(nine_digits(histogram.max() as f64 / 1e3)),
    }
}

fn server(
    costs: &CostSnapshots,
    cost: &CostSampler,
    connections: u64,
    missing: &mut Missing,
) -> ServerCost<Option<f64>> {
    let CostSnapshots { idle, begin, end, answered, seconds } = costs;
    let mut note = |name: &str, value: Option<f64>, why: Option<String>| {
        if value.is_none() {
            missing.insert(format!("server.{name}"), why.unwrap_or_else(|| cost.missing()));
        }
        value.map(nine_digits)
    };
    let grown = |from: Option<f64>, to: Option<f64>| Some((to? - from?).max(0.0));
    let mut per_request = |name: &str, from: Option<f64>, to: Option<f64>, unit: f64| {
        let why = (*answered == 0).then(|| "no request was answered".to_owned());
        let value = grown(from, to).filter(|_| *answered > 0).map(|n| n * unit / *answered as f64);
        note(name, value, why)
    };
    let mut figures = ServerCost {
        cpu_us_per_request: per_request("cpu_us_per_request", begin.cpu, end.cpu, 1e6),
        user_us_per_request: per_request("user_us_per_request", begin.user, end.user, 1e6),
        system_us_per_request: per_request("system_us_per_request", begin.system, end.system, 1e6),
        voluntary_switches_per_request: per_request(
            "voluntary_switches_per_request",
            begin.voluntary_switches,
            end.voluntary_switches,
            1.0,
        ),
        involuntary_switches_per_request: per_request(
            "involuntary_switches_per_request",
            begin.involuntary_switches,
            end.involuntary_switches,
            1.0,
        ),
        minor_faults_per_request: per_request("minor_faults_per_request", begin.minor_faults, end.minor_faults, 1.0),
        major_faults_per_request: per_request("major_faults_per_request", begin.major_faults, end.major_faults, 1.0),
        syscalls_per_request: per_request("syscalls_per_request", begin.syscalls, end.syscalls, 1.0),
        ..ServerCost::default()
    };
    figures.cpus_used = note("cpus_used", grown(begin.cpu, end.cpu).map(|cpu| cpu / seconds.max(1e-9)), None);
    figures.memory_bytes = note("memory_bytes", end.memory, None);
    figures.peak_memory_bytes = note("peak_memory_bytes", end.peak_memory, None);
    let grown_by = end.memory.zip(idle.memory).map(|(end, idle)| end - idle);
    let why = grown_by.filter(|&grown_by| grown_by < 0.0).map(|_| "memory shrank under load".to_owned());
    let each = grown_by.filter(|&grown_by| grown_by >= 0.0).map(|grown_by| grown_by / connections as f64);
    figures.memory_bytes_per_connection = note("memory_bytes_per_connection", each, why);
    figures.processes = note("processes", end.processes, None);
    figures.threads = note("threads", end.threads, None);
    figures.open_fds = note("open_fds", end.open_fds, None);
    figures
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Serialising fails only for a histogram of more than 4 GiB.
    let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    STANDARD.encode(bytes)
}

/// Summarises the trials of a cell. A figure needs a value in every trial, because trials that lack one (too few
/// samples, for example) are not comparable with the others. An aborted trial counts only if there is no other.
pub fn summarise(cell: &mut Cell) {
    let whole: Vec<&Trial> = match cell.trials.iter().filter(|trial| !trial.aborted).collect::<Vec<_>>() {
        none if none.is_empty() => cell.trials.iter().collect(),
        whole => whole,
    };
    cell.requests = cell.trials.iter().map(|trial| trial.requests).sum();
    cell.ok = cell.trials.iter().map(|trial| trial.ok).sum();
    cell.errors.clear();
    for (class, count) in cell.trials.iter().flat_map(|trial| &trial.errors) {
        *cell.errors.entry(class.clone()).or_default() += count;
    }
    let mut missing = Missing::new();
    let figure = |_: &str, values: Vec<Option<f64>>| Figure::of(&values.into_iter().collect::<Option<Vec<f64>>>()?);
    let plain = |value: fn(&Trial) -> f64| Figure::of(&whole.iter().map(|trial| value(trial)).collect::<Vec<_>>());
    cell.throughput = plain(|trial| trial.throughput);
    cell.bytes_per_second = plain(|trial| trial.bytes_per_second);
    cell.latency_us = Times::combine(&whole.iter().map(|trial| &trial.latency_us).collect::<Vec<_>>(), figure);
    cell.service_time_us =
        Times::combine(&whole.iter().map(|trial| &trial.service_time_us).collect::<Vec<_>>(), figure);
    cell.schedule_lag_us =
        Times::combine(&whole.iter().map(|trial| &trial.schedule_lag_us).collect::<Vec<_>>(), figure);
    cell.pace = Pace::combine(&whole.iter().map(|trial| &trial.pace).collect::<Vec<_>>(), figure);
    cell.connect_us = Times::combine(&whole.iter().map(|trial| &trial.connect_us).collect::<Vec<_>>(), figure);
    cell.server = ServerCost::combine(&whole.iter().map(|trial| &trial.server).collect::<Vec<_>>(), figure);
    cell.client = ClientCost::combine(&whole.iter().map(|trial| &trial.client).collect::<Vec<_>>(), figure);
    for trial in &whole {
        missing.extend(trial.missing.iter().map(|(name, why)| (name.clone(), why.clone())));
    }
    for (name, why) in missing.clone() {
        if let Some(rest) = name.strip_prefix("latency_us")
            && cell.schedule == Schedule::Closed
        {
            missing.insert(format!("service_time_us{rest}"), why);
        }
    }
    cell.missing = missing;
}

/// Records why a cell without a trial has no figures.
pub fn mark_missing(cell: &mut Cell, why: &str) {
    let times = ["latency_us", "service_time_us", "connect_us", "schedule_lag_us"];
    for group in ["throughput", "bytes_per_second", "pace", "server", "client"].into_iter().chain(times) {
        cell.missing.insert(group.into(), why.into());
    }
}
