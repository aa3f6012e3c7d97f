//! Whether an open loop's requests were sent in time.

use super::client::limited;
use super::objection::Objection;
use super::scope::Scope;
use crate::figures::Times;
use crate::histogram;
use crate::schema::{Cell, Trial};
use crate::units::micros;

/// How late requests may be sent at a percentile whose latency is this, in microseconds: a quarter of it, or 100 µs, which
/// is normal for any program on this kind of system. If they were later, the percentile shows the generator's lateness
/// as much as the target's latency.
pub fn allowed_lateness(latency_us: f64) -> f64 {
    (0.25 * latency_us).max(100.0)
}

/// The generator was late, and the percentiles of the latency that are its lateness as much as the target's latency.
pub(super) struct Lateness {
    pub(super) objection: Objection,
    pub(super) percentiles: &'static [&'static str],
}

/// Requests were sent so late that the lateness is a large part of the high percentiles: of one trial, or of all
/// samples together where single trials have too few.
pub(super) fn late(cell: &Cell, trials: &[&Trial]) -> Option<Lateness> {
    let of_cell = || {
        let (lag, latency) = (&cell.figures.schedule_lag_us, &cell.figures.latency_us);
        let [lag90, lag99, latency90, latency99] =
            [lag.p90, lag.p99, latency.p90, latency.p99].map(|figure| figure.map(|figure| figure.median));
        judged([lag90, lag99], [latency90, latency99])
    };
    trials.iter().find_map(|trial| of_trial(trial)).or_else(of_cell)
}

fn of_trial(trial: &Trial) -> Option<Lateness> {
    let (lag, mut latency) = (&trial.figures.schedule_lag_us, trial.figures.latency_us);
    if lag.p90.is_some() && (latency.p90.is_none() || latency.p99.is_none()) {
        // A late generator's percentiles are taken from its trial, but not from its histogram.
        let Times { p90, p99, .. } = histogram::times(&histogram::decode(&trial.latency_histogram)?);
        (latency.p90, latency.p99) = (latency.p90.or(p90.ok()), latency.p99.or(p99.ok()));
    }
    judged([lag.p90, lag.p99], [latency.p90, latency.p99])
}

/// Judges the lag at the 90th and the 99th percentile by the latency at the same.
fn judged(lag: [Option<f64>; 2], latency: [Option<f64>; 2]) -> Option<Lateness> {
    let is_late = |at: usize| lag[at].zip(latency[at]).filter(|(lag, latency)| *lag > allowed_lateness(*latency));
    let percentiles: &[&str] = match (is_late(0), is_late(1)) {
        (Some(_), Some(_)) => &["p90", "p99", "p999"],
        (Some(_), None) => &["p90"],
        (None, _) => &["p99", "p999"],
    };
    let (which, (lag, _)) = match is_late(1) {
        Some(late) => ("one request of a hundred", late),
        None => ("one request of ten", is_late(0)?),
    };
    let why = format!("{which} was sent {} late or more although a connection was free", micros(lag));
    Some(Lateness { objection: limited(Scope::TimesBounds, why), percentiles })
}
