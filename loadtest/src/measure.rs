//! Computes a trial's figures from what the engine measured and what the target cost.

use crate::cost::{Connections, Costs, machine_use, server_cost, sources};
use crate::engine::{Measurement, Recorder, ThreadMeasurement, answers_by_slice, mean_window};
use crate::lateness::without_late;
use results::figures::{ClientCost, Figures, Pace, Reason, Times};
use results::histogram::{encode, times};
use results::units::nine_digits;
use results::{OutcomeClass, Trial, statistics};
use std::time::Duration;

/// A figure's value, or why it could not be had.
type Value = Result<f64, Reason>;

/// Makes a trial of what was measured. `dropped_packets` is the number of packets that the kernel dropped meanwhile because
/// its table of tracked connections was full.
pub fn trial(measurement: &Measurement, costs: &Costs, dropped_packets: u64) -> Trial {
    let Measurement { threads, offered, background, warmup, slices, trend, .. } = measurement;
    let recorder = threads.iter().fold(Recorder::default(), |mut sum, thread| {
        sum.add(&thread.recorder);
        sum
    });
    let window = mean_window(threads);
    let seconds = window.as_secs_f64().max(1e-9);
    let outcomes = recorder.outcomes;
    let mut all_latencies = times(&recorder.latency);
    if offered.is_none() {
        all_latencies.max = all_latencies.max.map(|max| max.max(longest_wait(threads)));
    }
    let (latency_us, service_time_us, schedule_lag_us) = match offered {
        None => (all_latencies.clone(), all_latencies, Times::all(no_schedule())),
        Some(_) => {
            let lag = times(&recorder.schedule_lag);
            (without_late(all_latencies, &lag), times(&recorder.service_time), lag)
        }
    };
    let figures = Figures {
        throughput: per_second(outcomes[OutcomeClass::Ok] as f64, window),
        bytes_per_second: per_second(recorder.bytes as f64, window),
        latency_us,
        service_time_us,
        schedule_lag_us,
        connect_us: times(&recorder.connect),
        pace: offered.map_or_else(|| Pace::all(no_schedule()), |offered| pace(offered, window, threads)),
        server: server_cost(costs, connections(measurement)),
        client: client_cost(threads),
        machine: machine_use(costs),
    };
    let (figures, missing) = figures.values_and_missing();
    let mut sources = sources(costs);
    sources.retain(|figure, _| !missing.contains_key(figure));
    let served = || threads.iter().flat_map(|thread| thread.served.iter().copied());
    let open_loops = |histogram| if offered.is_some() { encode(histogram) } else { String::new() };
    Trial {
        run_id: None,
        began_at: None,
        block: None,
        aborted: threads.iter().any(|thread| thread.interrupted),
        seconds: nine_digits(seconds),
        warmup_seconds: Some(nine_digits(warmup.as_secs_f64())),
        trend: trend.map(nine_digits),
        outcomes,
        figures,
        sources,
        answer: None, // the trial knows it
        contents_checked: Some(recorder.contents_checked).filter(|&checked| checked > 0),
        probes: Vec::new(),
        background: *background,
        close_ignored: recorder.close_ignored,
        local_failures: recorder.local_failures,
        dropped_packets,
        redirections: (300..).zip(recorder.redirections).filter(|&(_, count)| count > 0).collect(),
        throttled_seconds: figures.machine.client_throttled.map(|share| nine_digits(share * seconds)),
        undercounted: costs.undercounted(),
        gone: None,
        remarks: recorder
            .mismatches
            .first()
            .iter()
            .map(|how| format!("the first answer that ended as content: {how}"))
            .collect(),
        unserved: Some(served().filter(|&answers| answers == 0).count() as u64),
        fairness: statistics::fairness(served()).map(nine_digits),
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

/// The longest time in microseconds for which a request in flight at the window's end had been waiting: the maximum of the
/// latencies is at least this, although the closed loop does not wait for the answer. So a stall at the window's end is seen.
fn longest_wait(threads: &[ThreadMeasurement]) -> f64 {
    threads.iter().map(|thread| thread.longest_wait.as_secs_f64() * 1e6).fold(0.0, f64::max)
}

/// Complete answers that came in the window. An open loop's further answers, to requests that were due in it, came later.
fn answers(threads: &[ThreadMeasurement]) -> u64 {
    threads.iter().map(|thread| thread.answers).sum()
}

/// The connections that there were at the window's end, over which memory is divided.
fn connections(measurement: &Measurement) -> Connections {
    let Measurement { threads, background, background_unanswered, .. } = measurement;
    let sum = |count: fn(&ThreadMeasurement) -> usize| threads.iter().map(count).sum::<usize>() as u64;
    let (established, answered) = (sum(|thread| thread.established), sum(|thread| thread.answered_once));
    Connections {
        answered: answered + background.up(),
        // A connection that was answered may just be opened anew, and one that stays open may never have been answered.
        unanswered: established.saturating_sub(answered) + background_unanswered,
    }
}

/// In a shorter window there are no rates and shares. A thread that has no CPU when the window begins has a shorter one,
/// which is empty if it gets none until the window's end.
const SHORTEST: Duration = Duration::from_millis(1);
const NO_WINDOW: &str = "the load generator had no CPU in the window, or was interrupted";

fn per_second(amount: f64, window: Duration) -> Value {
    if window < SHORTEST { Err(NO_WINDOW.into()) } else { Ok(amount / window.as_secs_f64()) }
}

fn pace(offered: f64, window: Duration, threads: &[ThreadMeasurement]) -> Pace<Value> {
    let answered = per_second(answers(threads) as f64, window);
    Pace {
        offered_per_second: answered.clone().and(Ok(offered)),
        achieved_share: match answered.clone() {
            Ok(_) if offered == 0.0 => Err("no request was due in the window".into()),
            answered => answered.map(|answered| answered / offered),
        },
        largest_burst: answered.and(Ok(largest_burst(threads) as f64)),
        unsent: Ok(threads.iter().map(|thread| thread.unsent).sum::<u64>() as f64),
    }
}

/// The most complete answers that came in one slice of the window.
fn largest_burst(threads: &[ThreadMeasurement]) -> u64 {
    answers_by_slice(threads).into_iter().max().unwrap_or_default()
}

fn client_cost(threads: &[ThreadMeasurement]) -> ClientCost<Value> {
    let cpu: Duration = threads.iter().map(|thread| thread.cpu).sum();
    let in_window = |time| match threads.iter().any(|thread| thread.window < SHORTEST) {
        true => Err(NO_WINDOW.into()),
        false => largest_share(threads, time),
    };
    ClientCost {
        cpu_us_per_request: match answers(threads) {
            0 => Err("no request was answered".into()),
            answered => Ok(cpu.as_secs_f64() * 1e6 / answered as f64),
        },
        busiest_thread: in_window(|thread| Some(thread.cpu)),
        polling: in_window(|thread| Some(thread.fruitless_polling)),
        longest_cpu_wait: largest_share(threads, |thread| thread.waited),
        established: Ok(threads.iter().map(|thread| thread.established).sum::<usize>() as f64),
    }
}

/// The largest share of its window that a thread spent so. The wait for a CPU can be longer than the window, since it may
/// have begun before it.
fn largest_share(threads: &[ThreadMeasurement], time: fn(&ThreadMeasurement) -> Option<Duration>) -> Value {
    let share = |thread| Some((time(thread)?.as_secs_f64() / thread.window.as_secs_f64().max(1e-9)).min(1.0));
    let shares: Option<Vec<f64>> = threads.iter().map(share).collect();
    let largest = shares.map(|shares| shares.into_iter().fold(0.0, f64::max));
    largest.ok_or_else(|| "the kernel does not record it in /proc/thread-self/schedstat".into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::engine::ThreadSlice;

    fn thread(recorder: Recorder) -> ThreadMeasurement {
        ThreadMeasurement {
            recorder,
            window: Duration::from_secs(2),
            interrupted: false,
            cpu: Duration::from_millis(500),
            fruitless_polling: Duration::from_millis(200),
            waited: None,
            established: 3,
            answered_once: 2,
            answers: 1_000,
            served: vec![1_000, 1_000, 0],
            longest_wait: Duration::ZERO,
            slices: Vec::new(),
            unsent: 5,
        }
    }

    fn measurement(offered: Option<f64>) -> Measurement {
        let mut recorder = Recorder::default();
        for n in 0..2_000 {
            recorder.started += 1;
            recorder.answered(200, 0, 1_000 * n, false);
        }
        let threads =
            vec![thread(recorder), ThreadMeasurement { cpu: Duration::from_secs(1), ..thread(Recorder::default()) }];
        Measurement {
            threads,
            offered,
            background: Default::default(),
            background_unanswered: 0,
            warmup: Duration::ZERO,
            silence: Duration::ZERO,
            slices: Vec::new(),
            trend: None,
        }
    }

    /// A trial without any request.
    pub(crate) fn empty_trial() -> Trial {
        let threads = vec![thread(Recorder::default())];
        trial(&Measurement { threads, ..measurement(None) }, &Costs::unknown("no cost"), 0)
    }

    #[test]
    fn a_trial_has_the_sums_over_the_threads_and_the_largest_shares() {
        let trial = trial(&measurement(Some(1_250.0)), &Costs::unknown("no cost"), 7);
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
    fn the_largest_burst_is_that_of_all_threads_in_the_same_slice() {
        let with = |answers: [u64; 3]| {
            let latency = Recorder::default().latency;
            let slice =
                |answers| ThreadSlice { outcomes: Default::default(), bytes: 0, latency: latency.clone(), answers };
            ThreadMeasurement { slices: answers.map(slice).into(), ..thread(Recorder::default()) }
        };
        assert_eq!(largest_burst(&[with([5, 0, 2]), with([0, 4, 4])]), 6);
        assert_eq!(largest_burst(&[thread(Recorder::default())]), 0);
    }

    #[test]
    fn connections_are_told_apart_by_whether_the_target_has_answered_them() {
        let (mut background, group) = (results::BackgroundResults::default(), results::BackgroundGroup::default());
        background.idle = results::BackgroundGroup { asked: 10_000, up: 4_097, ..group };
        background.busy = results::BackgroundGroup { asked: 2, up: 2, ..group };
        let measurement = Measurement { background, background_unanswered: 4_174, ..measurement(None) };
        assert_eq!(connections(&measurement), Connections { answered: 4 + 4_099, unanswered: 2 + 4_174 });
    }

    #[test]
    fn a_generator_without_a_cpu_in_the_window_has_no_rates_and_no_shares() {
        let mut measurement = measurement(Some(0.0));
        let threads = &mut measurement.threads;
        threads
            .iter_mut()
            .for_each(|thread| (thread.window, thread.waited) = (Duration::ZERO, Some(Duration::MAX / 2)));
        let late = trial(&measurement, &Costs::unknown("no cost"), 0);
        let (figures, pace) = (&late.figures, &late.figures.pace);
        assert_eq!((figures.throughput, figures.bytes_per_second, figures.client.busiest_thread), (None, None, None));
        assert_eq!((pace.offered_per_second, pace.achieved_share), (None, None));
        assert_eq!(figures.client.longest_cpu_wait, Some(1.0));
        assert!(late.missing["throughput"].contains("no CPU in the window"), "{:?}", late.missing);
        measurement.threads.iter_mut().for_each(|thread| thread.window = Duration::from_millis(100));
        measurement.threads[1].waited = Some(Duration::from_millis(900));
        measurement.threads[0].waited = Some(Duration::ZERO);
        let short = trial(&measurement, &Costs::unknown("no cost"), 0);
        assert_eq!((short.figures.client.longest_cpu_wait, short.figures.pace.achieved_share), (Some(1.0), None));
        assert_eq!(short.missing["pace.achieved_share"], "no request was due in the window");
    }

    #[test]
    fn a_closed_loop_has_no_schedule_and_its_service_times_are_its_latencies() {
        let trial = trial(&measurement(None), &Costs::unknown("no cost"), 0);
        assert_eq!(trial.figures.service_time_us, trial.figures.latency_us);
        assert_eq!(trial.missing["pace"], "a closed loop has no schedule");
        assert_eq!((trial.figures.schedule_lag_us, trial.figures.pace), (Times::all(None), Pace::all(None)));
        assert!(trial.service_time_histogram.is_empty() && !trial.latency_histogram.is_empty());
    }
}
