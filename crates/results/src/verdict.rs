//! Decides the verdict of a cell: whether its numbers may be compared, and if not, why.

use crate::outcomes::OutcomeClass;
use crate::schedule::Schedule;
use crate::schema::{Cell, Trial, Verdict};
use crate::units::{micros, plural};
use statrs::statistics::Statistics;

/// A thread that was on a CPU for more than this share of the window had no time to spare.
const BUSY_SHARE: f64 = 0.9;

/// With fewer answers per connection than this, it is too early to call a connection starved.
const ENOUGH_ANSWERS: f64 = 10.0;
/// A fairness index below this means that some connections are hardly served. An uneven load of the threads alone does
/// not lower it that far.
const FAIR_INDEX: f64 = 0.8;
/// By Little's law, mean latency times rate is the number of requests in flight. If that number is outside these shares
/// of the connections, the requests that cross the ends of the window cannot explain it.
const IN_FLIGHT_SHARES: [f64; 2] = [0.8, 1.25];
/// If the throughput of three or more trials has a larger standard deviation than this share of its mean, the cell is
/// unstable.
const STEADY_DEVIATION: f64 = 0.1;
/// The smallest share of the offered rate that has to be achieved.
const OFFERED_SHARE: f64 = 0.99;

/// If the generator would need this many times the CPU time that it has to send what is offered, it cannot have offered it,
/// whatever the target does.
const BEYOND_GENERATOR: f64 = 2.0;

/// A schedule lag up to this, in microseconds, is normal for any program on this kind of system.
const NORMAL_LAG: f64 = 1_000.0;
/// The largest share of a high percentile of latency (the 99th, or with few samples the 90th) that a longer lag may
/// have.
const LAG_SHARE: f64 = 0.1;
/// Share of the window for which a client thread may have been kept from a CPU. Half is normal if it shares the CPU
/// with one server.
const CPU_WAIT_SHARE: f64 = 0.75;

/// The facts of one trial that show whether all its connections were served and the schedule was kept. An unknown fact
/// has no influence.
#[derive(Clone, Copy, Debug)]
struct Evidence {
    /// Connections that were asked for.
    connections: f64,
    /// Complete answers per connection.
    answers_per_connection: f64,
    /// Connections that got no answer.
    unserved: Option<u64>,
    /// Jain's fairness index.
    fairness: Option<f64>,
    /// Requests in flight: mean latency times rate. Only in a closed loop with kept connections.
    in_flight: Option<f64>,
    /// Achieved rate as a share of the offered rate, in an open loop.
    achieved: Option<f64>,
    /// CPU that the busiest client thread used, as a share of the window.
    busiest: Option<f64>,
}

impl Evidence {
    fn of(trial: &Trial, cell: &Cell) -> Evidence {
        let connections = cell.key.concurrency as f64;
        let kept = cell.key.requests_per_connection.0.is_none() && matches!(cell.key.schedule, Schedule::Closed);
        Evidence {
            connections,
            answers_per_connection: trial.outcomes.answered() as f64 / connections,
            unserved: trial.unserved,
            fairness: trial.fairness,
            in_flight: trial
                .figures
                .latency_us
                .mean
                .zip(trial.figures.throughput)
                .filter(|_| kept)
                .map(|(mean, throughput)| mean / 1e6 * throughput),
            achieved: trial.figures.pace.achieved_share,
            busiest: trial.figures.client.busiest_thread,
        }
    }

    /// The verdict that these facts lead to, and the reason; `None` if there is no objection.
    fn verdict(&self) -> Option<(Verdict, String)> {
        if self.answers_per_connection >= ENOUGH_ANSWERS {
            if let Some(unserved) = self.unserved.filter(|&unserved| unserved > 0) {
                return Some((
                    Verdict::Starved,
                    format!("{unserved} of {} connections got no answer", self.connections),
                ));
            }
            if let Some(fairness) = self.fairness.filter(|&fairness| fairness < FAIR_INDEX) {
                let why = format!("connections were served unevenly: Jain's fairness index is {fairness:.2}");
                return Some((Verdict::Starved, why));
            }
            if let Some(share) = self.in_flight.map(|n| n / self.connections) {
                let why = || format!("requests in flight by Little's law: {:.0} % of the connections", share * 100.0);
                if share < IN_FLIGHT_SHARES[0] {
                    return Some((Verdict::Starved, why()));
                }
                if share > IN_FLIGHT_SHARES[1] {
                    return Some((Verdict::Unstable, why()));
                }
            }
        }
        let short = self.achieved.filter(|&achieved| achieved < OFFERED_SHARE)?;
        let why = format!("only {:.1} % of the offered rate was achieved", short * 100.0);
        match self.busiest.map(|busiest| busiest / short).filter(|&needed| needed > BEYOND_GENERATOR) {
            Some(needed) if needed.is_finite() => Some((
                Verdict::ClientLimited,
                format!("{why}, and a client thread would need {needed:.0} CPUs to send all of it"),
            )),
            _ => Some((Verdict::Unstable, why)),
        }
    }
}

/// Standard deviation of the throughput over its mean; `None` with fewer than three trials.
fn deviation(cell: &Cell) -> Option<f64> {
    let values: Vec<f64> = cell.whole_trials().filter_map(|trial| trial.figures.throughput).collect();
    let mean = (&values).mean();
    (values.len() >= 3 && mean > 0.0).then(|| (&values).std_dev() / mean)
}

/// Sets the verdict and the reasons of a cell from its trials.
///
/// *errors*: a single request that ended neither `ok` nor `aborted_at_end` is enough. A failed request is usually a
/// cheap one, so a target that fails some requests would look faster than it is.
///
/// *starved*: see [`Evidence`]. *unstable*: the throughput of the trials has a standard deviation above 10 %. If
/// several apply, the verdict is the first of errors, starved, client-limited, unstable; all reasons are listed.
///
/// *client-limited*: the busiest client thread used more than 90 % of a CPU, and the target did not use 90 % of what it
/// could. Both conditions are needed. A closed loop always has a bottleneck. On a machine where generator and target
/// have one core each, a good target can keep both cores busy, and then the throughput is as much the target's own
/// ceiling as the generator's. Only if the target had CPU to spare while the generator had none, the number is
/// certainly not the target's ceiling. A target can use the CPUs that it may run on, but no more CPUs than it has
/// threads: a single-threaded server is saturated by one CPU. If the target's CPU time is not known, it cannot be shown
/// that the target was saturated, and the cell is client-limited, too. So it is if an open loop asks for a rate for which
/// the generator itself has by far too few CPUs, and if a CPU quota throttled the generator.
pub fn judge(cell: &mut Cell, server_cpus: usize) {
    if matches!(cell.verdict, Verdict::Unsupported | Verdict::Errors) {
        return;
    }
    let mut reasons = Vec::new();
    let mut verdict = Verdict::Valid;
    if let Some(busy) =
        cell.trials.iter().filter_map(|trial| schedule_limit(trial).or_else(|| client_limit(trial, server_cpus))).next()
    {
        verdict = Verdict::ClientLimited;
        reasons.push(busy);
    }
    // The threads were kept from their CPUs, so the latencies are the generator's as much as the target's.
    let throttled: f64 = cell.trials.iter().filter_map(|trial| trial.throttled_seconds).sum();
    if throttled > 0.0 {
        verdict = Verdict::ClientLimited;
        reasons.push(format!(
            "the generator was throttled for {} in all: the CPU quota of its control group is too small",
            micros(throttled * 1e6)
        ));
    }
    // A throttled generator serves its own connections unevenly, so such a trial says nothing of the target.
    let undisturbed = cell.trials.iter().filter(|trial| trial.throttled_seconds.unwrap_or(0.0) == 0.0);
    let evidence: Vec<Evidence> = undisturbed.map(|trial| Evidence::of(trial, cell)).collect();
    if let Some((found, why)) = evidence.iter().find_map(Evidence::verdict) {
        if verdict == Verdict::Valid || found == Verdict::Starved {
            verdict = found;
        }
        reasons.push(why);
    }
    if let Some(deviation) = deviation(cell).filter(|&deviation| deviation > STEADY_DEVIATION) {
        if verdict == Verdict::Valid {
            verdict = Verdict::Unstable;
        }
        reasons.push(format!("the trials' throughput has a standard deviation of {:.0} %", deviation * 100.0));
    }
    for class in OutcomeClass::ALL.into_iter().filter(|class| class.is_error()) {
        let count = cell.outcomes[class];
        if count > 0 {
            verdict = Verdict::Errors;
            reasons.push(format!("{count} of {} requests ended as {}", cell.outcomes.total(), class.name()));
        }
    }
    if cell.outcomes[OutcomeClass::Ok] == 0
        && verdict != Verdict::Errors
        && !cell.trials.iter().all(|trial| trial.aborted)
    {
        verdict = Verdict::Errors;
        reasons.push("no request was answered within the window".into());
    }
    for gone in cell.trials.iter().filter_map(|trial| trial.gone.clone()) {
        verdict = Verdict::Errors;
        reasons.push(gone);
    }
    let local: u64 = cell.trials.iter().map(|trial| trial.local_failures).sum();
    if local > 0 {
        if verdict == Verdict::Valid {
            verdict = Verdict::ClientLimited;
        }
        reasons.push(format!(
            "{} could not be tried: this machine had no port or descriptor left",
            plural(local as usize, "connection")
        ));
    }
    let dropped: u64 = cell.trials.iter().map(|trial| trial.dropped_packets).sum();
    if dropped > 0 {
        if verdict == Verdict::Valid {
            verdict = Verdict::ClientLimited;
        }
        reasons.push(format!(
            "the kernel dropped {}: its table of tracked connections (nf_conntrack_max) was full",
            plural(dropped as usize, "packet")
        ));
    }
    let missing = cell.trials.iter().filter_map(|trial| trial.figures.client.established).fold(f64::MAX, f64::min);
    if cell.key.requests_per_connection.0.is_none() && missing < cell.key.concurrency as f64 {
        reasons.push(format!("only {missing} of {} connections were established at the end", cell.key.concurrency));
    }
    let ignored: u64 = cell.trials.iter().map(|trial| trial.close_ignored).sum();
    if ignored > 0 {
        reasons.push(format!(
            "the target kept {} open that it was asked to close",
            plural(ignored as usize, "connection")
        ));
    }
    if cell.trials.iter().any(|trial| trial.aborted) {
        reasons.push("interrupted: a trial was cut short".into());
    }
    cell.verdict = verdict;
    cell.reasons = reasons;
}

/// Who else used the CPUs in a trial so much that it has to be repeated, as a sentence; `None` if nobody did.
pub fn disturbance(_trial: &Trial) -> Option<String> {
    None // to come
}

fn client_limit(trial: &Trial, server_cpus: usize) -> Option<String> {
    let busy = trial.figures.client.busiest_thread.filter(|&busy| busy > BUSY_SHARE)?;
    let percent = busy * 100.0;
    let Some(used) = trial.figures.server.cpus_used else {
        return Some(format!(
            "a client thread was busy {percent:.0} % of the time; the target's CPU time is not known"
        ));
    };
    let threads = trial.figures.server.threads.unwrap_or(f64::MAX).max(1.0);
    let could = threads.min(server_cpus as f64);
    let cpus = if could == 1.0 { "CPU" } else { "CPUs" };
    (used < BUSY_SHARE * could).then(|| {
        format!("a client thread was busy {percent:.0} % of the time; the target used {used:.2} of {could} {cpus}")
    })
}

/// Returns why the generator could not keep the schedule; `None` if it could.
///
/// The generator's CPU time does not show that its threads were kept from their CPUs. The schedule lag shows it, and so
/// does the time that the threads waited in the run queue.
fn schedule_limit(trial: &Trial) -> Option<String> {
    let (lag, latency) = (&trial.figures.schedule_lag_us, &trial.figures.latency_us);
    if let Some((lag, latency)) = lag.p99.zip(latency.p99).or(lag.p90.zip(latency.p90))
        && lag > NORMAL_LAG
        && lag > LAG_SHARE * latency
    {
        return Some(format!(
            "the worst of the requests were sent {} late or more although a connection was free",
            micros(lag)
        ));
    }
    let waited = trial.figures.client.longest_cpu_wait.filter(|&waited| waited > CPU_WAIT_SHARE)?;
    Some(format!("a client thread was kept from its CPU {:.0} % of the time", waited * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::{empty_trial, results};

    fn cell(busiest_thread: f64, cpus_used: Option<f64>, errors: u64) -> Cell {
        let mut cell = results(&["a"]).cells.remove(0);
        cell.key.concurrency = 1;
        let mut trial = empty_trial();
        trial.figures.client.busiest_thread = Some(busiest_thread);
        trial.figures.server.cpus_used = cpus_used;
        trial.figures.server.threads = Some(4.0);
        (cell.outcomes[OutcomeClass::Ok], cell.outcomes[OutcomeClass::Reset]) = (100, errors);
        cell.trials.push(trial);
        cell
    }

    #[test]
    fn each_kind_of_evidence_leads_to_its_verdict() {
        let well = Evidence {
            connections: 64.0,
            answers_per_connection: 100.0,
            unserved: Some(0),
            fairness: Some(0.95),
            in_flight: Some(63.0),
            achieved: Some(1.0),
            busiest: Some(0.6),
        };
        let verdict_of = |evidence: Evidence| evidence.verdict().map(|(verdict, _)| verdict);
        assert_eq!(verdict_of(well), None);
        assert_eq!(verdict_of(Evidence { unserved: Some(60), ..well }), Some(Verdict::Starved));
        assert_eq!(verdict_of(Evidence { fairness: Some(0.1), ..well }), Some(Verdict::Starved));
        assert_eq!(verdict_of(Evidence { in_flight: Some(4.0), ..well }), Some(Verdict::Starved));
        assert_eq!(verdict_of(Evidence { in_flight: Some(99.0), ..well }), Some(Verdict::Unstable));
        assert_eq!(verdict_of(Evidence { achieved: Some(0.5), ..well }), Some(Verdict::Unstable));
        assert_eq!(verdict_of(Evidence { achieved: Some(0.1), ..well }), Some(Verdict::ClientLimited));
        assert_eq!(verdict_of(Evidence { achieved: Some(0.1), busiest: None, ..well }), Some(Verdict::Unstable));
        assert_eq!(verdict_of(Evidence { achieved: Some(0.0), busiest: Some(0.0), ..well }), Some(Verdict::Unstable));
        let few = Evidence { answers_per_connection: 2.0, unserved: Some(60), ..well };
        assert_eq!(verdict_of(few), None, "there are too few answers to judge");
    }

    #[test]
    fn trials_that_differ_are_unstable() {
        let mut cell = cell(0.5, Some(0.5), 0);
        let trial = cell.trials[0].clone();
        cell.trials = vec![trial; 3];
        for (trial, throughput) in cell.trials.iter_mut().zip([100.0, 150.0, 70.0]) {
            trial.figures.throughput = Some(throughput);
        }
        judge(&mut cell, 1);
        assert_eq!(cell.verdict, Verdict::Unstable);
    }

    #[test]
    fn a_throttled_generator_and_a_target_that_was_gone_are_never_valid() {
        for (throttled, gone, expected) in [
            (Some(0.0), None, Verdict::Valid),
            (Some(0.001), None, Verdict::ClientLimited),
            (None, Some("it was gone"), Verdict::Errors),
            (Some(0.9), Some("it was gone"), Verdict::Errors),
        ] {
            let mut cell = cell(0.5, Some(0.5), 0);
            cell.trials[0].throttled_seconds = throttled;
            cell.trials[0].gone = gone.map(str::to_owned);
            cell.trials.push(cell.trials[0].clone());
            cell.trials[1].throttled_seconds = Some(0.0);
            judge(&mut cell, 1);
            assert_eq!(cell.verdict, expected, "{:?}", cell.reasons);
            let says = |words: &str| cell.reasons.iter().any(|reason| reason.contains(words));
            assert_eq!(says("throttled"), throttled > Some(0.0), "{:?}", cell.reasons);
            assert_eq!(says("it was gone"), gone.is_some(), "{:?}", cell.reasons);
        }
    }

    #[test]
    fn a_throttled_generator_shows_no_starved_connections() {
        for (throttled, expected) in
            [([0.0, 0.0], Verdict::Starved), ([0.1, 0.1], Verdict::ClientLimited), ([0.0, 0.1], Verdict::Starved)]
        {
            let mut cell = cell(0.5, Some(0.5), 0);
            cell.trials[0].outcomes[OutcomeClass::Ok] = 100;
            cell.trials[0].fairness = Some(0.5);
            cell.trials.push(cell.trials[0].clone());
            cell.trials.iter_mut().zip(throttled).for_each(|(trial, time)| trial.throttled_seconds = Some(time));
            judge(&mut cell, 1);
            assert_eq!(cell.verdict, expected, "{throttled:?}: {:?}", cell.reasons);
        }
    }

    #[test]
    fn client_limited_means_that_only_the_client_was_saturated() {
        for (busy, used, errors, expected) in [
            (0.5, Some(0.5), 0, Verdict::Valid),
            (0.99, Some(0.5), 0, Verdict::ClientLimited),
            (0.99, Some(0.97), 0, Verdict::Valid),
            (0.99, None, 0, Verdict::ClientLimited),
            (0.5, None, 0, Verdict::Valid),
            (0.99, Some(0.5), 1, Verdict::Errors),
        ] {
            let mut cell = cell(busy, used, errors);
            judge(&mut cell, 1);
            assert_eq!(cell.verdict, expected, "{busy} {used:?} {errors}");
            assert_eq!(cell.reasons.is_empty(), expected == Verdict::Valid);
        }
    }
}
