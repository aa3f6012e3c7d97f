//! Whether all connections were served.

use super::client;
use super::objection::Objection;
use super::pace::answers_in_window;
use super::scope::Scope;
use crate::background::BackgroundGroup;
use crate::load::Key;
use crate::schedule::Schedule;
use crate::schema::{Trial, Verdict};
use statrs::distribution::{ChiSquared, ContinuousCDF, DiscreteCDF, Poisson};

/// A trial is starved if chance would do this to its connections with less than this probability. A run of a thousand
/// trials finds a starved one where there is none in less than one of a thousand cases.
const BY_CHANCE: f64 = 1e-6;
/// With fewer answers a connection than this, neither fairness nor the requests in flight can be judged: requests that
/// cross the ends of the window change the latter by up to 1 in 10, and the chi-squared test needs five (W. Cochran,
/// Annals of Mathematical Statistics 23, 1952).
const ENOUGH_ANSWERS: f64 = 10.0;
/// A fairness index below this means that some connections are hardly served: a quarter of all gets nothing, for
/// example, or half of them three times as much as the other half. An uneven load of the threads alone does not lower
/// it that far.
const FAIR_INDEX: f64 = 0.8;
/// By Little's law, mean latency times rate is the number of requests in flight. If that number is outside these shares
/// of the connections, the requests that cross the ends of the window cannot explain it.
const IN_FLIGHT_SHARES: [f64; 2] = [0.8, 1.25];
/// The share of the background connections that has to be open at the end of the window. One that the target closed is
/// opened again, so a few may be on their way.
const HELD_SHARE: f64 = 0.99;

fn starved(why: String) -> Objection {
    Objection::new(Verdict::Starved, Scope::Speed, why)
}

/// The answers that the connections got in the window, and the connections. A generator that was throttled serves its own
/// connections unevenly, so its trial says nothing of the target.
fn answers_of(trial: &Trial, key: &Key) -> Option<(f64, f64)> {
    let is_throttled = client::throttled(trial).is_some();
    (!is_throttled).then(|| (answers_in_window(trial), key.load.concurrency as f64))
}

/// What shows that connections were not served: the first of the three that follow, since each shows what the others
/// do.
pub(super) fn unserved_or_uneven(trial: &Trial, key: &Key) -> Option<Objection> {
    unserved(trial, key).or_else(|| uneven(trial, key)).or_else(|| in_flight(trial, key))
}

/// Connections that got no answer, more than chance leaves.
///
/// If *a* answers fall on *c* connections at random, c × (1 - 1/c)^a of them get none on average, and their number is
/// at most as spread as a Poisson distribution (A. Barbour, L. Holst, S. Janson, Poisson Approximation, 1992, chapter
/// 6). A server that serves connections in turn leaves fewer. So does an open loop, which uses the connection that was
/// free the longest; there the rule may overlook starved connections, but sees none where there are none.
fn unserved(trial: &Trial, key: &Key) -> Option<Objection> {
    let (answers, connections) = answers_of(trial, key)?;
    let unserved = trial.unserved.filter(|&unserved| unserved > 0 && answers > 0.0)?;
    let expected = connections * (1.0 - 1.0 / connections).powf(answers);
    // Without an expectation worth the name, a single one is too many.
    let chance = Poisson::new(expected).map_or(0.0, |none| none.sf(unserved - 1));
    (chance < BY_CHANCE).then(|| {
        let by_chance =
            if expected < 0.5 { String::new() } else { format!("; by chance it would be about {expected:.0}") };
        starved(format!("{unserved} of {connections} connections got no answer{by_chance}"))
    })
}

/// Connections of a closed loop that were served unevenly, more than chance does. In an open loop the generator decides
/// which connection carries the next request.
///
/// With *a* answers on *c* connections, a × (1/J - 1) is the chi-squared statistic of equal shares, with c - 1 degrees
/// of freedom, where J is Jain's index.
fn uneven(trial: &Trial, key: &Key) -> Option<Objection> {
    let (answers, connections) = answers_of(trial, key)?;
    let is_closed = key.load.schedule == Schedule::Closed;
    let index = trial.fairness.filter(|&index| is_closed && index > 0.0 && index < FAIR_INDEX)?;
    let shares = ChiSquared::new(connections - 1.0).ok()?;
    let is_uneven = answers >= ENOUGH_ANSWERS * connections && shares.sf(answers * (1.0 / index - 1.0)) < BY_CHANCE;
    is_uneven.then(|| starved(format!("connections were served unevenly: Jain's fairness index is {index:.2}")))
}

/// Requests in flight that are fewer than the connections, which therefore were not all served, or more, which cannot
/// be. Only for a closed loop with kept connections, in which each connection always has one.
fn in_flight(trial: &Trial, key: &Key) -> Option<Objection> {
    let (answers, connections) = answers_of(trial, key)?;
    let kept = key.load.requests_per_connection.0.is_none() && key.load.schedule == Schedule::Closed;
    if !kept || answers < ENOUGH_ANSWERS * connections {
        return None;
    }
    let share = trial.figures.latency_us.mean? / 1e6 * trial.figures.throughput? / connections;
    let why = || format!("requests in flight by Little's law: {:.0} % of the connections", share * 100.0);
    match share {
        _ if share < IN_FLIGHT_SHARES[0] => Some(starved(why())),
        _ if share > IN_FLIGHT_SHARES[1] => Some(Objection::new(Verdict::Unstable, Scope::Speed, why())),
        _ => None,
    }
}

/// Background connections that the target did not hold: the load was not what was asked for.
pub(super) fn background(trial: &Trial) -> Option<Objection> {
    let kinds = [("idle connections", trial.background.idle), ("slow readers", trial.background.slow_readers)];
    kinds.into_iter().find_map(|(name, group)| {
        let lost = not_held(trial, group)?;
        Some(starved(format!("the target held {} of {} {name}", lost.up, lost.asked)))
    })
}

/// The group of background connections, if the target did not hold it in this trial. Connections that this machine could not
/// try are not the target's fault.
pub(crate) fn not_held(trial: &Trial, group: BackgroundGroup) -> Option<BackgroundGroup> {
    let is_known = !trial.aborted && trial.local_failures == 0;
    (is_known && (group.up as f64) < HELD_SHARE * group.asked as f64).then_some(group)
}
