//! Runs a plan: measures each cell in its trials and judges the cells at the end.

use crate::conntrack;
use crate::cpus::online_cpus;
use crate::events::{Event, Observer};
use crate::fleet::{Fleet, NotReady};
use crate::machine;
use crate::neighbours::{Presence, named};
use crate::order::order;
use crate::trial::{Attempt, Ended};
use results::schema::SCHEMA;
use results::{Cell, Key, Plan, Results, Schedule, Verdict};
use results::{ranks, remarks, verdict};
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

/// Runs the plan. If `stop` becomes true, the run ends within about 100 ms and returns what was measured until then.
///
/// # Errors
/// The kernel's error if this machine could not run the load at all. Failures of targets are part of the results.
pub fn run(plan: &Plan, fleet: &mut dyn Fleet, observer: &mut dyn Observer, stop: &AtomicBool) -> io::Result<Results> {
    let keys = plan.cells();
    let order = order(plan);
    let now = SystemTime::now();
    let mut results = Results {
        schema: SCHEMA.into(),
        run_id: machine::run_id(now),
        started_at: machine::rfc3339(now),
        interrupted: false,
        machine: machine::here(),
        settings: plan.clone(),
        targets: Default::default(),
        cells: keys.iter().cloned().map(Cell::new).collect(),
    };
    observer.on(Event::RunStarted {
        run_id: &results.run_id,
        cells: keys.len(),
        trials: order.len(),
        estimate: plan.estimate(),
    });
    let (presence, others) = Presence::announce();
    if !others.is_empty() {
        observer.on(Event::Disturbed { by: &others });
    }
    // The targets that have answered, and of these the ones that were waited for in vain.
    let (mut answered, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let started = Instant::now();
    let mut trials_left = vec![plan.trials; keys.len()];
    let mut server_cpus = vec![online_cpus(); keys.len()];
    for (done, &(index, trial)) in order.iter().enumerate() {
        if stop.load(Relaxed) {
            break;
        }
        let schedule = resolve_schedule(&keys[index], &results.cells);
        let (key, cell) = (&keys[index], &mut results.cells[index]);
        trials_left[index] -= 1;
        // After a trial that could not be measured, the cell's other trials are skipped.
        if matches!(cell.verdict, Verdict::Valid) {
            observer.on(Event::TrialStarted { cell: key, trial, done, total: order.len() });
            let pace = started.elapsed().checked_div(done as u32).unwrap_or(plan.duration + plan.warmup);
            let rest_of_run = pace * (order.len() - done - 1) as u32;
            let time = plan.warmup + plan.duration;
            let opened = conntrack::entries_needed(plan.connections(), key.requests_per_connection.0.is_none(), time);
            conntrack::wait_for_room(opened, stop, || observer.on(Event::WaitsForRoom));
            let target = key.target.as_str();
            let waits_before = answered.contains(target) && !lost.contains(target);
            let waits_after = order[done + 1..].iter().any(|&(later, _)| keys[later].target == target);
            let attempt = Attempt { plan, key, schedule, rest_of_run, waits_before, waits_after, stop };
            let mut others = presence.others();
            let ended = attempt.make(fleet, observer);
            fleet.finished(&key.target);
            match ended? {
                Ended::Measured { mut trial, cpus, no_answer_at_end } => {
                    others.extend(presence.others());
                    others.sort_unstable();
                    others.dedup();
                    if !others.is_empty() {
                        trial.remarks.push(format!("on this machine, {} ran at the same time", named(&others)));
                    }
                    answered.insert(target);
                    match no_answer_at_end {
                        Some(_) => lost.insert(target),
                        None => lost.remove(target),
                    };
                    server_cpus[index] = cpus.unwrap_or(server_cpus[index]);
                    observer.on(Event::TrialFinished { cell: key, trial: &trial });
                    cell.trials.push(*trial);
                    if let Some(why) = no_answer_at_end.filter(|_| !stop.load(Relaxed)) {
                        cell.verdict = Verdict::Errors;
                        cell.reasons.push(format!("it did not answer any more at the end: {why}"));
                    }
                }
                Ended::NotReady(NotReady::Unsupported(why)) => {
                    cell.verdict = Verdict::Unsupported;
                    cell.reasons.push(why);
                }
                // The signal may have interrupted a system call of the check.
                Ended::NotReady(NotReady::Unreachable(_)) if stop.load(Relaxed) => {}
                Ended::NotReady(NotReady::Unreachable(why)) => {
                    lost.insert(target);
                    cell.verdict = Verdict::Errors;
                    cell.reasons.push(format!("unreachable: {why}"));
                }
                Ended::Stopped => {}
            }
        }
        if trials_left[index] == 0 {
            conclude(cell, server_cpus[index]);
            observer.on(Event::CellFinished { cell });
        }
    }
    results.interrupted = stop.load(Relaxed);
    for (index, cell) in results.cells.iter_mut().enumerate().filter(|&(index, _)| trials_left[index] > 0) {
        conclude(cell, server_cpus[index]);
    }
    if results.interrupted {
        // An interrupted run leaves out the cells whose trials never began.
        results.cells.retain(|cell| !cell.trials.is_empty() || cell.verdict != Verdict::Valid);
    }
    ranks::rank(&mut results.cells);
    observer.on(Event::RunFinished { results: &results });
    Ok(results)
}

fn conclude(cell: &mut Cell, server_cpus: usize) {
    if cell.trials.is_empty() {
        let why = cell.reasons.first().cloned().unwrap_or_else(|| "interrupted".into());
        cell.mark_missing(&why);
        return;
    }
    cell.summarise();
    cell.server_cpus = Some(server_cpus);
    verdict::judge(cell, server_cpus);
    cell.reasons.extend(remarks::remarks(cell));
}

/// Turns a share of a ceiling into a rate; other schedules stay as they are. `None` if the ceiling was not measured.
fn resolve_schedule(key: &Key, cells: &[Cell]) -> Option<Schedule> {
    let closed_loop = Key { schedule: Schedule::Closed, ..key.clone() };
    let ceiling = |cell: &Cell| cell.figures.throughput.map(|figure| figure.median).filter(|&rate| rate > 0.0);
    let closed = cells.iter().filter(|cell| cell.key.same_load(&closed_loop));
    match key.schedule {
        Schedule::Share(share) => closed
            .filter(|cell| cell.key.target == key.target)
            .find_map(ceiling)
            .map(|rate| Schedule::Rate(rate * share)),
        Schedule::Common(share) => {
            closed.filter_map(ceiling).min_by(f64::total_cmp).map(|rate| Schedule::Rate(rate * share))
        }
        Schedule::Knee(_) => None, // to come
        schedule => Some(schedule),
    }
}
