//! Figures and remarks about how well the schedule was kept, and about the background connections.

use crate::results::{Cell, Trial};
use crate::units::{count, micros};
use serde::{Deserialize, Serialize};

/// A schedule lag up to this, in microseconds, is normal for any program on this kind of system.
const NORMAL_LAG: f64 = 1_000.0;
/// The largest share of a high percentile of latency (the 99th, or with few samples the 90th) that a longer lag may
/// have.
const LAG_SHARE: f64 = 0.1;
/// Share of the window for which a client thread may have been kept from a CPU. Half is normal if it shares the CPU
/// with one server.
const CPU_WAIT_SHARE: f64 = 0.75;

/// The background connections of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundGroup {
    /// Connections asked for.
    pub asked: u64,
    /// Connections established at the end of the window.
    pub up: u64,
    /// Established connections that the server closed, over the trial. Each was opened again.
    pub cut_off: u64,
    /// Attempts to connect that failed, over the trial.
    pub failed: u64,
}

/// The background connections of one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundResults {
    /// Connections that made one request and stay idle.
    pub idle: BackgroundGroup,
    /// Connections whose request never ends.
    pub slow_senders: BackgroundGroup,
    /// Connections that read a large answer in small pieces.
    pub slow_readers: BackgroundGroup,
    /// Clients that reset their connection again and again.
    pub resetters: BackgroundGroup,
    /// Connections that the resetters reset, over the trial.
    pub resets: u64,
    /// Clients that send one request after the other.
    #[serde(default)]
    pub busy: BackgroundGroup,
    /// Requests of the busy clients that were answered with success, over the trial.
    #[serde(default)]
    pub busy_answers: u64,
}

impl BackgroundResults {
    /// Background connections that were open at the end of the window.
    pub fn up(&self) -> u64 {
        [self.idle, self.slow_senders, self.slow_readers, self.resetters, self.busy].iter().map(|group| group.up).sum()
    }
}

/// Returns why the generator could not keep the schedule; `None` if it could.
///
/// The generator's CPU time does not show that its threads were kept from their CPUs. The schedule lag shows it, and so
/// does the time that the threads waited in the run queue.
pub fn client_limit(trial: &Trial) -> Option<String> {
    let (lag, latency) = (&trial.schedule_lag_us, &trial.latency_us);
    if let Some((lag, latency)) = lag.p99.zip(latency.p99).or(lag.p90.zip(latency.p90))
        && lag > NORMAL_LAG
        && lag > LAG_SHARE * latency
    {
        return Some(format!(
            "the worst of the requests were sent {} late or more although a connection was free",
            micros(lag)
        ));
    }
    let waited = trial.client.longest_cpu_wait.filter(|&waited| waited > CPU_WAIT_SHARE)?;
    Some(format!("a client thread was kept from its CPU {:.0} % of the time", waited * 100.0))
}

/// Further remarks about a cell, a line each.
pub fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let (Some(offered), Some(achieved)) = (cell.pace.offered_per_second, cell.pace.achieved_share) {
        let time = |figure: Option<crate::figures::Figure>| figure.map_or("-".into(), |figure| micros(figure.median));
        remarks.push(format!(
            "offered {}/s, {:.1} % of it answered; service time p50 {} p99 {} max {}; sent late by {} at p99",
            count(offered.median),
            achieved.median * 100.0,
            time(cell.service_time_us.p50),
            time(cell.service_time_us.p99),
            time(cell.service_time_us.max),
            time(cell.schedule_lag_us.p99),
        ));
    }
    let group = |name: &str, group: fn(&BackgroundResults) -> BackgroundGroup| {
        let last = group(&cell.trials.last()?.background);
        let sum =
            |of: fn(BackgroundGroup) -> u64| cell.trials.iter().map(|trial| of(group(&trial.background))).sum::<u64>();
        let (cut_off, failed) = (sum(|group| group.cut_off), sum(|group| group.failed));
        (last.asked > 0).then(|| {
            format!(
                "background: {} of {} {name} open, {cut_off} closed by the target, {failed} failed",
                last.up, last.asked
            )
        })
    };
    remarks.extend(group("idle connections", |background| background.idle));
    remarks.extend(group("slow senders", |background| background.slow_senders));
    remarks.extend(group("slow readers", |background| background.slow_readers));
    let resets: u64 = cell.trials.iter().map(|trial| trial.background.resets).sum();
    if resets > 0 {
        remarks.push(format!("background: {resets} connections reset"));
    }
    let sum = |of: fn(&BackgroundResults) -> u64| cell.trials.iter().map(|trial| of(&trial.background)).sum::<u64>();
    if sum(|background| background.busy.asked) > 0 {
        let (answers, failed) = (
            sum(|background| background.busy_answers),
            sum(|background| background.busy.cut_off + background.busy.failed),
        );
        remarks.push(format!("background: {answers} requests of busy clients answered, {failed} failed"));
    }
    remarks
}
