//! Whether the load generator was the bottleneck.

use super::objection::Objection;
use super::pace::kept_up;
use super::scope::Scope;
use crate::schedule::Schedule;
use crate::schema::{Cell, DISTURBING_SHARE, Trial, Verdict};
use crate::units::plural;

/// A thread that was on a CPU for more than this share of the window had no time to spare.
pub(crate) const SATURATED_SHARE: f64 = 0.9;
/// If the generator would need this many times the CPU time that it has to send what is offered, it cannot have offered
/// it, whatever the target does.
const BEYOND_GENERATOR: f64 = 2.0;

/// What a generator without enough CPU time bounds. An offered rate with which the target kept up is what was measured,
/// whatever the generator did.
fn bounds(trial: &Trial, schedule: Schedule) -> Scope {
    match kept_up(trial, schedule) {
        Some(true) => Scope::TimesBounds,
        _ => Scope::SpeedBounds,
    }
}

pub(super) fn limited(scope: Scope, why: String) -> Objection {
    Objection::new(Verdict::ClientLimited, scope, why)
}

/// The number of CPUs that the target can use at the same time: no more than it has threads. A program of one thread is
/// saturated by one CPU.
fn usable_cpus(threads: Option<f64>, server_cpus: usize) -> f64 {
    threads.unwrap_or(f64::MAX).max(1.0).min(server_cpus as f64)
}

/// The share that the target of this cell used of the CPUs that it could use at the same time.
pub(crate) fn share_of_cpus(cell: &Cell) -> Option<f64> {
    let server = &cell.figures.server;
    let usable = usable_cpus(server.threads.map(|threads| threads.median), cell.server_cpus?);
    server.cpus_used.map(|used| used.median / usable)
}

/// The busiest client thread used more than 90 % of a CPU, and the target did not use 90 % of what it could. If the
/// target's CPU time is not known, it cannot be shown that the target was saturated.
pub(super) fn busy(trial: &Trial, schedule: Schedule, server_cpus: usize) -> Option<Objection> {
    let busy = trial.figures.client.busiest_thread.filter(|&busy| busy > SATURATED_SHARE)?;
    let busy = format!("a client thread was busy {:.0} % of the time", busy * 100.0);
    let Some(used) = trial.figures.server.cpus_used else {
        return Some(limited(bounds(trial, schedule), format!("{busy}; the target's CPU time is not known")));
    };
    let could = usable_cpus(trial.figures.server.threads, server_cpus);
    let cpus = if could == 1.0 { "CPU" } else { "CPUs" };
    (used < SATURATED_SHARE * could)
        .then(|| limited(bounds(trial, schedule), format!("{busy}; the target used {used:.2} of {could} {cpus}")))
}

/// For which share of the window a CPU quota kept the generator from its CPUs, if that is too much.
pub(super) fn throttled(trial: &Trial) -> Option<f64> {
    let seconds = trial.throttled_seconds.map(|throttled| throttled / trial.seconds);
    trial.figures.machine.client_throttled.or(seconds).filter(|&share| share > DISTURBING_SHARE)
}

/// The generator was throttled by a CPU quota, or one of its threads was ready to run but had no CPU: what the target
/// had answered already was read late. The generator's own CPU time does not show that.
///
/// Where generator and target share their CPUs it is always so: there only CPU time a request can be compared.
pub(super) fn kept_from_cpu(trial: &Trial, schedule: Schedule) -> Option<Objection> {
    if let Some(share) = throttled(trial) {
        let why = format!(
            "the generator was throttled for {:.0} % of the window: the CPU quota of its control group is too small",
            share * 100.0
        );
        return Some(limited(bounds(trial, schedule), why));
    }
    let share = trial.figures.client.longest_cpu_wait.filter(|&waited| waited > DISTURBING_SHARE)?;
    let why = format!("a client thread was kept from its CPU {:.0} % of the time", share * 100.0);
    Some(limited(bounds(trial, schedule), why))
}

/// Answers came more slowly than requests were due: because of the generator, if it would need by far too many CPUs to
/// send all of them, else because of the target, whose latency then grows with the length of the window.
pub(super) fn offered(trial: &Trial, schedule: Schedule) -> Option<Objection> {
    let short = trial.figures.pace.achieved_share.filter(|_| kept_up(trial, schedule) == Some(false))?;
    let why = format!("answers came at only {:.1} % of the offered rate", short * 100.0);
    let needed = trial.figures.client.busiest_thread.map(|busiest| busiest / short);
    match needed.filter(|&needed| needed > BEYOND_GENERATOR && needed.is_finite()) {
        Some(needed) => {
            let why = format!("{why}, and a client thread would need {needed:.0} CPUs to send all of it");
            Some(limited(Scope::SpeedBounds, why))
        }
        None => Some(Objection::new(Verdict::Unstable, Scope::Speed, why)),
    }
}

/// Connections and packets that this machine could not have, over these trials.
pub(super) fn network(trials: &[&Trial]) -> Vec<Objection> {
    let mut found = Vec::new();
    let local: u64 = trials.iter().map(|trial| trial.local_failures).sum();
    if local > 0 {
        let connections = plural(local as usize, "connection");
        let why = format!("{connections} could not be tried: this machine had no port or descriptor left");
        found.push(limited(Scope::Speed, why));
    }
    let dropped: u64 = trials.iter().map(|trial| trial.dropped_packets).sum();
    if dropped > 0 {
        let packets = plural(dropped as usize, "packet");
        let why = format!("the kernel dropped {packets}: its table of tracked connections (nf_conntrack_max) was full");
        found.push(limited(Scope::SpeedBounds, why));
    }
    found
}
