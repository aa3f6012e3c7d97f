//! Remarks about a cell: how well the schedule was kept, and what became of the background connections.

use crate::background::{BackgroundGroup, BackgroundResults};
use crate::schema::Cell;
use crate::statistics::Figure;
use crate::units::{count, micros};

/// Remarks about a cell, a line each.
pub fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let (Some(offered), Some(achieved)) = (cell.figures.pace.offered_per_second, cell.figures.pace.achieved_share) {
        let time = |figure: Option<Figure>| figure.map_or("-".into(), |figure| micros(figure.median));
        remarks.push(format!(
            "offered {}/s, {:.1} % of it answered; service time p50 {} p99 {} max {}; sent late by {} at p99",
            count(offered.median),
            achieved.median * 100.0,
            time(cell.figures.service_time_us.p50),
            time(cell.figures.service_time_us.p99),
            time(cell.figures.service_time_us.max),
            time(cell.figures.schedule_lag_us.p99),
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
