//! Computes a trial's figures from what the engine measured and what the target cost.

use crate::cost::Costs;
use crate::engine::{Measurement, Recorder, ThreadMeasurement};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use results::figures::{ClientCost, Figures, MachineUse, Pace, Reason, ServerCost, Times};
use results::units::nine_digits;
use results::{OutcomeClass, OutcomeCounts, Trial, statistics};
use std::time::Duration;

/// A figure's value, or why it could not be had.
type Value = Result<f64, Reason>;

/// Makes a trial of what was measured. `concurrency` is the number of measured connections; `dropped_packets` is the
/// number of packets that the kernel dropped meanwhile because its table of tracked connections was full.
pub fn trial(measurement: &Measurement, costs: &Costs, concurrency: usize, dropped_packets: u64) -> Trial {
    let Measurement { threads, offered, background, warmup, slices, trend } = measurement;
    let recorder = threads.iter().fold(Recorder::default(), |mut sum, thread| {
        sum.add(&thread.recorder);
        sum
    });
    let window = threads.iter().map(|thread| thread.window).sum::<Duration>() / threads.len() as u32;
    let seconds = window.as_secs_f64().max(1e-9);
    let outcomes = recorder.outcomes;
    let latency_us = times(&recorder.latency);
    let figures = Figures {
        throughput: Ok(outcomes[OutcomeClass::Ok] as f64 / seconds),
        bytes_per_second: Ok(recorder.bytes as f64 / seconds),
        service_time_us: if offered.is_some() { times(&recorder.service_time) } else { latency_us.clone() },
        schedule_lag_us: if offered.is_some() { times(&recorder.schedule_lag) } else { Times::all(no_schedule()) },
        connect_us: times(&recorder.connect),
        latency_us,
        pace: offered.map_or_else(|| Pace::all(no_schedule()), |offered| pace(offered, seconds, &outcomes, threads)),
        server: server_cost(costs, concurrency as u64 + background.up()),
        client: client_cost(threads, &outcomes),
        machine: MachineUse::all(Err("not measured".into())),
    };
    let (figures, missing) = figures.values_and_missing();
    let answers = || threads.iter().flat_map(|thread| thread.served.iter().copied());
    let open_loops = |histogram| if offered.is_some() { encode(histogram) } else { String::new() };
    Trial {
        run_id: None,
        began_at: None,
        block: None,
        aborted: threads.iter().any(|thread| thread.interrupted),
        seconds: nine_digits(seconds),
        warmup_seconds: Some(nine_digits(warmup.as_secs_f64())),
        trend: *trend,
        outcomes,
        figures,
        sources: Default::default(),
        contents_checked: Some(recorder.contents_checked).filter(|&checked| checked > 0),
        probes: Vec::new(),
        background: *background,
        close_ignored: recorder.close_ignored,
        local_failures: recorder.local_failures,
        dropped_packets,
        redirections: (300..).zip(recorder.redirections).filter(|&(_, count)| count > 0).collect(),
        throttled_seconds: None,
        gone: None,
        remarks: recorder
            .first_mismatch
            .iter()
            .map(|how| format!("the first answer that ended as content: {how}"))
            .collect(),
        unserved: Some(answers().filter(|&answers| answers == 0).count() as u64),
        fairness: statistics::fairness(answers()).map(nine_digits),
        missing,
        histogram_unit: "ns".into(),
        latency_histogram: encode(&recorder.latency),
        connect_histogram: encode(&recorder.connect),
        service_time_histogram: open_loops(&recorder.service_time),
        schedule_lag_histogram: open_loops(&recorder.schedule_lag),
        slices: slices.clone(),
    }
}

fn no_schedule() -> Value {
    Err("a closed loop has no schedule".into())
}

/// The distribution in a histogram of nanoseconds. A percentile q needs 10/(1-q) samples, so that ten lie beyond it.
fn times(histogram: &Histogram<u64>) -> Times<Value> {
    let samples = histogram.len();
    if samples == 0 {
        return Times::all(Err("no samples".into()));
    }
    let quantile = |q: f64, needed: u64| match samples < needed {
        true => Err(format!("needs {needed} samples, has {samples}")),
        false => Ok(histogram.value_at_quantile(q) as f64 / 1e3),
    };
    Times {
        mean: Ok(histogram.mean() / 1e3),
        p50: quantile(0.5, 20),
        p90: quantile(0.9, 100),
        p99: quantile(0.99, 1_000),
        p999: quantile(0.999, 10_000),
        max: Ok(histogram.max() as f64 / 1e3),
    }
}

fn pace(offered: f64, seconds: f64, outcomes: &OutcomeCounts, threads: &[ThreadMeasurement]) -> Pace<Value> {
    Pace {
        offered_per_second: Ok(offered),
        achieved_share: Ok(outcomes.answered() as f64 / seconds / offered),
        unsent: Ok(threads.iter().map(|thread| thread.unsent).sum::<u64>() as f64),
    }
}

fn server_cost(costs: &Costs, connections: u64) -> ServerCost<Value> {
    let Costs { idle, begin, end, answered, seconds, why_missing } = costs;
    if begin.is_older_life_than(end) || idle.is_older_life_than(begin) {
        return ServerCost::all(Err("the target's counters restarted within the trial".into()));
    }
    let known = |value: Option<f64>| value.ok_or_else(|| why_missing.clone());
    let grown = |from: Option<f64>, to: Option<f64>| known(from.zip(to).map(|(from, to)| to - from));
    let per_request = |from: Option<f64>, to: Option<f64>| match grown(from, to)? {
        _ if *answered == 0 => Err("no request was answered".into()),
        grown => Ok(grown / *answered as f64),
    };
    let micros = |from: Option<f64>, to: Option<f64>| per_request(from, to).map(|seconds| seconds * 1e6);
    let memory_grown = known(end.memory.zip(idle.memory).map(|(end, idle)| end - idle));
    ServerCost {
        cpu_us_per_request: micros(begin.cpu, end.cpu),
        user_us_per_request: micros(begin.user, end.user),
        system_us_per_request: micros(begin.system, end.system),
        cpus_used: grown(begin.cpu, end.cpu).map(|cpu| cpu / seconds.max(1e-9)),
        memory_bytes: known(end.memory),
        peak_memory_bytes: known(end.peak_memory),
        kernel_memory_bytes: Err("not measured".into()),
        memory_bytes_per_connection: Err("not measured".into()),
        user_memory_bytes_per_connection: memory_grown.and_then(|grown| match grown {
            _ if grown < 0.0 => Err("memory shrank under load".into()),
            _ => Ok(grown / connections as f64),
        }),
        kernel_memory_bytes_per_connection: Err("not measured".into()),
        processes: known(end.processes),
        threads: known(end.threads),
        open_fds: known(end.open_fds),
        voluntary_switches_per_request: per_request(begin.voluntary_switches, end.voluntary_switches),
        involuntary_switches_per_request: per_request(begin.involuntary_switches, end.involuntary_switches),
        minor_faults_per_request: per_request(begin.minor_faults, end.minor_faults),
        major_faults_per_request: per_request(begin.major_faults, end.major_faults),
        syscalls_per_request: per_request(begin.syscalls, end.syscalls),
        supervisor_cpus_used: Err("not measured".into()),
    }
}

fn client_cost(threads: &[ThreadMeasurement], outcomes: &OutcomeCounts) -> ClientCost<Value> {
    let cpu: Duration = threads.iter().map(|thread| thread.cpu).sum();
    let largest_share = |time: fn(&ThreadMeasurement) -> Option<Duration>| {
        let share = |thread| Some(time(thread)?.as_secs_f64() / thread.window.as_secs_f64().max(1e-9));
        let shares: Option<Vec<f64>> = threads.iter().map(share).collect();
        let largest = shares.map(|shares| shares.into_iter().fold(0.0, f64::max));
        largest.ok_or_else(|| "the kernel does not record it in /proc/thread-self/schedstat".into())
    };
    ClientCost {
        cpu_us_per_request: match outcomes.answered() {
            0 => Err("no request was answered".into()),
            answered => Ok(cpu.as_secs_f64() * 1e6 / answered as f64),
        },
        busiest_thread: largest_share(|thread| Some(thread.cpu)),
        polling: largest_share(|thread| Some(thread.fruitless_polling)),
        longest_cpu_wait: largest_share(|thread| thread.waited),
        established: Ok(threads.iter().map(|thread| thread.established).sum::<usize>() as f64),
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Serialising fails only for a histogram of more than 4 GiB.
    let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    STANDARD.encode(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cost::Snapshot;

    fn thread(recorder: Recorder) -> ThreadMeasurement {
        ThreadMeasurement {
            recorder,
            window: Duration::from_secs(2),
            interrupted: false,
            cpu: Duration::from_millis(500),
            fruitless_polling: Duration::from_millis(200),
            waited: None,
            established: 3,
            served: vec![1_000, 1_000, 0],
            unsent: 5,
        }
    }

    fn measurement(offered: Option<f64>) -> Measurement {
        let mut recorder = Recorder::default();
        for n in 0..2_000 {
            recorder.started += 1;
            recorder.answered(200, 1_000 * n);
        }
        let threads =
            vec![thread(recorder), ThreadMeasurement { cpu: Duration::from_secs(1), ..thread(Recorder::default()) }];
        Measurement {
            threads,
            offered,
            background: Default::default(),
            warmup: Duration::ZERO,
            slices: Vec::new(),
            trend: None,
        }
    }

    /// A trial without any request.
    pub(crate) fn empty_trial() -> Trial {
        let threads = vec![thread(Recorder::default())];
        trial(&Measurement { threads, ..measurement(None) }, &Costs::unknown("no cost"), 1, 0)
    }

    #[test]
    fn a_trial_has_the_sums_over_the_threads_and_the_largest_shares() {
        let trial = trial(&measurement(Some(1_250.0)), &Costs::unknown("no cost"), 6, 7);
        let figures = &trial.figures;
        assert_eq!((trial.seconds, trial.outcomes.total(), trial.dropped_packets), (2.0, 2_000, 7));
        assert_eq!((trial.unserved, trial.fairness), (Some(2), Some(0.666666667)));
        assert_eq!((figures.throughput, figures.client.cpu_us_per_request), (Some(1_000.0), Some(750.0)));
        assert_eq!((figures.client.busiest_thread, figures.client.polling), (Some(0.5), Some(0.1)));
        assert_eq!((figures.client.established, figures.pace.unsent), (Some(6.0), Some(10.0)));
        assert_eq!(figures.pace.achieved_share, Some(0.8));
        assert_eq!(figures.client.longest_cpu_wait, None, "a thread's wait is not known");
        assert!(trial.missing["client.longest_cpu_wait"].contains("schedstat"));
        assert_eq!(figures.latency_us.p999, None);
        assert_eq!(trial.missing["latency_us.p999"], "needs 10000 samples, has 2000");
    }

    #[test]
    fn a_closed_loop_has_no_schedule_and_its_service_times_are_its_latencies() {
        let trial = trial(&measurement(None), &Costs::unknown("no cost"), 6, 0);
        assert_eq!(trial.figures.service_time_us, trial.figures.latency_us);
        assert_eq!(trial.missing["pace"], "a closed loop has no schedule");
        assert_eq!((trial.figures.schedule_lag_us, trial.figures.pace), (Times::all(None), Pace::all(None)));
        assert!(trial.service_time_histogram.is_empty() && !trial.latency_histogram.is_empty());
    }

    #[test]
    fn the_servers_cost_is_what_grew_in_the_window() {
        let snapshot = |n: f64| Snapshot { cpu: Some(n), memory: Some(1e6 * n), ..Snapshot::default() };
        let mut costs = Costs {
            idle: snapshot(1.0),
            begin: snapshot(2.0),
            end: snapshot(3.0),
            answered: 1_000,
            seconds: 2.0,
            why_missing: "not known".into(),
        };
        let cost = server_cost(&costs, 4);
        assert_eq!((cost.cpu_us_per_request, cost.cpus_used), (Ok(1_000.0), Ok(0.5)));
        assert_eq!((cost.memory_bytes, cost.user_memory_bytes_per_connection), (Ok(3e6), Ok(5e5)));
        assert_eq!(cost.threads, Err("not known".into()));
        (costs.answered, costs.idle) = (0, Snapshot { memory: Some(9e6), ..Snapshot::default() });
        let cost = server_cost(&costs, 4);
        assert_eq!(cost.cpu_us_per_request, Err("no request was answered".into()));
        assert_eq!(cost.user_memory_bytes_per_connection, Err("memory shrank under load".into()));
    }

    #[test]
    fn counters_that_restart_have_no_cost() {
        let costs = |idle: f64, begin: f64, end: f64| Costs {
            idle: Snapshot { cpu: Some(9.0), syscalls: Some(idle), ..Snapshot::default() },
            begin: Snapshot { cpu: Some(9.0), syscalls: Some(begin), ..Snapshot::default() },
            end: Snapshot { cpu: Some(9.5), syscalls: Some(end), memory: Some(1e6), ..Snapshot::default() },
            answered: 1_000,
            seconds: 2.0,
            why_missing: "not known".into(),
        };
        assert_eq!(server_cost(&costs(1.0, 2.0, 3.0), 4).cpu_us_per_request, Ok(500.0));
        for (idle, begin, end) in [(1.0, 2.0, 1.5), (2.0, 1.0, 3.0)] {
            let cost = server_cost(&costs(idle, begin, end), 4);
            let why = || Err("the target's counters restarted within the trial".into());
            assert_eq!((cost.cpu_us_per_request, cost.memory_bytes), (why(), why()));
        }
    }
}
