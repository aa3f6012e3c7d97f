//! What a schedule and the connections beside the measured ones did: figures, and remarks for the table.

use crate::results::{Cell, Trial};
use crate::units::{count, micros};
use serde::{Deserialize, Serialize};

/// Lateness up to here, in microseconds, is what any program on this kind of system has.
const PUNCTUAL: f64 = 1_000.0;
/// Beyond that, the share of a high percentile of latency (the 99th, or with few samples the 90th) that the generator may be to blame for.
const BLAME: f64 = 0.1;
/// Share of the window that a client thread may have been kept from a CPU. Half is what sharing it with one server brings.
const KEPT_WAITING: f64 = 0.75;

/// Some connections beside the measured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Herd {
    /// Connections asked for.
    pub asked: u64,
    /// Connections established at the end of the window.
    pub up: u64,
    /// Established connections that the server ended, over the trial. Each was opened again.
    pub cut_off: u64,
    /// Attempts to connect that failed, over the trial.
    pub failed: u64,
}

/// The connections beside the measured ones in one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// They made one request and say nothing.
    pub idle: Herd,
    /// Their request never ends.
    pub slow_senders: Herd,
    /// They read a large answer in small pieces.
    pub slow_readers: Herd,
    /// They reset their connection again and again.
    pub resetters: Herd,
    /// Connections that the resetters reset, over the trial.
    pub resets: u64,
    /// They ask again and again.
    #[serde(default)]
    pub busy: Herd,
    /// Requests of the busy ones that were answered with success, over the trial.
    #[serde(default)]
    pub busy_answers: u64,
}

impl Beside {
    /// Connections that were open at the end of the window.
    pub fn up(&self) -> u64 {
        [self.idle, self.slow_senders, self.slow_readers, self.resetters, self.busy].iter().map(|herd| herd.up).sum()
    }
}

/// If the generator could not keep the pace: why.
///
/// Its CPU time does not show that it was kept from its CPU. Schedule lag does, and so does the time that its threads
/// waited in the run queue.
pub fn client_limit(trial: &Trial) -> Option<String> {
    let (lag, latency) = (&trial.schedule_lag_us, &trial.latency_us);
    if let Some((lag, latency)) = lag.p99.zip(latency.p99).or(lag.p90.zip(latency.p90))
        && lag > PUNCTUAL
        && lag > BLAME * latency
    {
        return Some(format!(
            "the worst of the requests were sent {} late or more although a connection was free",
            micros(lag)
        ));
    }
    let waited = trial.client.longest_cpu_wait.filter(|&waited| waited > KEPT_WAITING)?;
    Some(format!("a client thread was kept from its CPU {:.0} % of the time", waited * 100.0))
}

/// What else to know about a cell, a line each.
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
    let herd = |name: &str, herd: fn(&Beside) -> Herd| {
        let last = herd(&cell.trials.last()?.beside);
        let sum = |of: fn(Herd) -> u64| cell.trials.iter().map(|trial| of(herd(&trial.beside))).sum::<u64>();
        let (cut_off, failed) = (sum(|herd| herd.cut_off), sum(|herd| herd.failed));
        (last.asked > 0).then(|| {
            format!("beside: {} of {} {name} up, {cut_off} cut off by the target, {failed} failed", last.up, last.asked)
        })
    };
    remarks.extend(herd("idle connections", |beside| beside.idle));
    remarks.extend(herd("slow senders", |beside| beside.slow_senders));
    remarks.extend(herd("slow readers", |beside| beside.slow_readers));
    let resets: u64 = cell.trials.iter().map(|trial| trial.beside.resets).sum();
    if resets > 0 {
        remarks.push(format!("beside: {resets} connections reset"));
    }
    let sum = |of: fn(&Beside) -> u64| cell.trials.iter().map(|trial| of(&trial.beside)).sum::<u64>();
    if sum(|beside| beside.busy.asked) > 0 {
        let (answers, failed) =
            (sum(|beside| beside.busy_answers), sum(|beside| beside.busy.cut_off + beside.busy.failed));
        remarks.push(format!("beside: {answers} requests of busy clients answered, {failed} failed"));
    }
    remarks
}
