//! Runs a plan: measures each cell in its trials and judges the cells at the end.

use crate::cpus::online_cpus;
use crate::events::{Event, Observer};
use crate::fleet::{Endpoint, Fleet, NotReady};
use crate::machine;
use crate::neighbours::Presence;
use crate::order::order;
use crate::rates;
use crate::trial::Ended;
use crate::windows::{Place, Windows};
use results::schema::SCHEMA;
use results::{Cell, Load, Plan, Results, Schedule, Target, Verdict};
use results::{ranks, remarks, verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

/// Runs the plan; its budget counts from `_began`. If `stop` becomes true, the run ends within about 100 ms and returns what was measured until then.
///
/// # Errors
/// The kernel's error if this machine could not run the load at all. Failures of targets are part of the results.
pub fn run(
    plan: &Plan,
    _began: Instant,
    fleet: &mut dyn Fleet,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> io::Result<Results> {
    let keys = plan.cells();
    let order = order(plan);
    let now = SystemTime::now();
    let mut results = Results {
        schema: SCHEMA.into(),
        run_id: machine::run_id(now),
        started_at: machine::rfc3339(now),
        interrupted: false,
        remarks: Vec::new(),
        machine: machine::here(),
        settings: plan.clone(),
        targets: BTreeMap::new(),
        cells: keys.iter().cloned().map(Cell::new).collect(),
    };
    let is_open = |load: &Load| load.schedule != Schedule::Closed;
    observer.on(Event::RunStarted {
        run_id: &results.run_id,
        cells: keys.len(),
        trials: order.len(),
        estimate: plan.estimate(),
        arrivals: plan.loads.iter().any(is_open).then_some(plan.arrivals),
    });
    let (presence, others) = Presence::announce();
    if !others.is_empty() {
        observer.on(Event::Disturbed { by: &others });
    }
    let mut fleet = Listening { fleet, said: BTreeMap::new() };
    let mut windows_left: usize = order.iter().map(|&(index, _)| keys[index].load.schedule.windows()).sum();
    let mut windows = Windows::new(plan, windows_left, &presence, stop);
    // The targets that have answered, and of these the ones that were waited for in vain.
    let (mut answered, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let mut trials_left = vec![plan.trials; keys.len()];
    let mut server_cpus = vec![online_cpus(); keys.len()];
    for (done, &(index, trial)) in order.iter().enumerate() {
        if stop.load(Relaxed) {
            break;
        }
        let asked = rates::resolve(&keys[index], &results.cells);
        let (key, cell) = (&keys[index], &mut results.cells[index]);
        trials_left[index] -= 1;
        windows_left -= key.load.schedule.windows();
        // After a trial that could not be measured, the cell's other trials are skipped.
        if matches!(cell.verdict, Verdict::Valid) {
            observer.on(Event::TrialStarted { cell: key, trial, done, total: order.len() });
            let target = key.target.as_str();
            let place = Place {
                key,
                trial,
                window: 0,
                waits_before: answered.contains(target) && !lost.contains(target),
                waits_after: order[done + 1..].iter().any(|&(later, _)| keys[later].target == target),
                windows_after: windows_left,
            };
            match windows.trial(&place, asked, &mut fleet, observer)? {
                Ended::Measured { mut trial, cpus, no_answer_at_end } => {
                    trial.block = Some(place.trial as u64);
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
                Ended::NoRate(why) => {
                    cell.verdict = Verdict::Errors;
                    cell.reasons.push(why);
                }
                Ended::Stopped => {}
            }
        }
        if trials_left[index] == 0 {
            conclude(cell, server_cpus[index]);
            observer.on(Event::CellFinished { cell });
        }
    }
    results.targets = fleet.said;
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

/// A fleet whose targets say something of themselves.
struct Listening<'a> {
    fleet: &'a mut dyn Fleet,
    /// What each target said when it was ready for the first time.
    said: BTreeMap<String, Target>,
}

impl Fleet for Listening<'_> {
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady> {
        let endpoint = self.fleet.ready(target)?;
        if endpoint.says != Target::default() && !self.said.contains_key(target) {
            self.said.insert(target.to_owned(), endpoint.says.clone());
        }
        Ok(endpoint)
    }

    fn finished(&mut self, target: &str) {
        self.fleet.finished(target);
    }
}
