//! Runs a plan: measures each cell in its trials and judges the cells at the end.

use crate::agenda::Agenda;
use crate::budget::{self, CutShort};
use crate::command::command;
use crate::conclude::{conclude, judged};
use crate::cpus::online_cpus;
use crate::events::{Event, Observer};
use crate::fleet::{Endpoint, Fleet, NotReady};
use crate::machine;
use crate::neighbours::Presence;
use crate::rates::{self, Asked};
use crate::stop::Stop;
use crate::trial::Ended;
use crate::widths::SoFar;
use crate::windows::{Place, Windows};
use results::ranks;
use results::schema::SCHEMA;
use results::{Cell, Load, Plan, Results, Schedule, Target, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

/// Runs the plan; its budget counts from `began`. If `stop` becomes true, or the budget is over, the run ends
/// within about 100 ms and returns what was measured until then. (The fleet may take longer to make a target ready.)
///
/// # Errors
/// The kernel's error if this machine could not run the load at all. Failures of targets are part of the results.
pub fn run(
    plan: &Plan,
    began: Instant,
    fleet: &mut dyn Fleet,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> io::Result<Results> {
    let keys = plan.cells();
    let stop = Stop::new(stop, budget::limit(plan, began));
    let reserve = budget::reserve(plan);
    let mut agenda = Agenda::new(plan);
    let mut results = begin(plan);
    let is_open = |load: &Load| load.schedule != Schedule::Closed;
    observer.on(Event::RunStarted {
        run_id: &results.run_id,
        loads: plan.loads.len(),
        targets: plan.targets.len(),
        blocks: plan.trials,
        trials: keys.len() * plan.trials,
        estimate: budget::limited(agenda.rest().saturating_add(reserve), stop, reserve),
        arrivals: plan.loads.iter().any(is_open).then_some(plan.arrivals),
    });
    let (presence, others) = Presence::announce();
    if !others.is_empty() {
        observer.on(Event::Disturbed { by: &others });
    }
    let guests = keys.iter().map(|key| &key.target).filter(|target| fleet.is_guest(target));
    let guest = |name: &String| (name.clone(), Target { is_guest: true, ..Target::default() });
    let guests = guests.map(guest).collect();
    let mut fleet = Listening { fleet, guests, said: BTreeMap::new() };
    let of_round: usize = keys.iter().map(|key| key.load.schedule.windows()).sum();
    let mut windows = Windows::new(plan, of_round * plan.trials, &presence, stop);
    // The targets that have answered, and of these the ones that were waited for in vain.
    let (mut answered, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let mut is_concluded = vec![false; keys.len()];
    let mut server_cpus = vec![online_cpus(); keys.len()];
    // What the closed loops have measured, once a schedule needs it.
    let mut ceilings: Option<Vec<Cell>> = None;
    let mut cut_short = None;
    while !stop.is_interrupted() {
        let so_far = SoFar { cells: &results.cells, server_cpus: &server_cpus };
        let Some(block) = agenda.next(stop.left(), &so_far) else { break };
        let load = &plan.loads[block.load];
        let block_began = Instant::now();
        let (begun, planned) = agenda.position();
        observer.on(Event::BlockStarted { load, done: begun - 1, planned });
        let mut measured = 0;
        for (nth, &index) in block.cells.iter().enumerate() {
            if stop.is_set() {
                break;
            }
            let asked = match load.schedule.needs_ceiling() {
                false => Ok(Asked::Window { schedule: load.schedule, remark: None }),
                true => {
                    let all = || results.cells.iter().zip(&server_cpus).map(|(cell, &cpus)| judged(cell, cpus));
                    rates::resolve(&keys[index], ceilings.get_or_insert_with(|| all().collect()))
                }
            };
            agenda.begin_trial();
            let trial_began = Instant::now();
            let (key, cell) = (&keys[index], &mut results.cells[index]);
            observer.on(Event::TrialStarted { cell: key, trial: block.number });
            let target = key.target.as_str();
            let comes_again = block.cells[nth + 1..].iter().any(|&later| keys[later].target == target);
            let place = Place {
                key,
                trial: block.number,
                window: 0,
                waits_before: answered.contains(target) && !lost.contains(target),
                waits_after: comes_again || agenda.has_planned(),
                window_takes: agenda.trial_cost() / load.schedule.windows() as u32,
                rest_of_run: agenda.rest().saturating_add(reserve),
                needs_for_repeat: agenda.needs_for_repeat(),
            };
            let ended = windows.trial(&place, asked, &mut fleet, observer)?;
            let is_over_budget = stop.is_set() && !stop.is_interrupted();
            match ended {
                // What the end of the budget cut short does not count.
                Ended::Measured { trial, .. } if is_over_budget && trial.aborted => {}
                Ended::NotReady(NotReady::Unreachable(_)) if is_over_budget => {}
                Ended::Measured { mut trial, cpus, no_answer_at_end } => {
                    measured += 1;
                    agenda.learn(trial_began.elapsed().saturating_sub(windows.waited()));
                    trial.block = Some(block.number as u64);
                    answered.insert(target);
                    match no_answer_at_end {
                        Some(_) => lost.insert(target),
                        None => lost.remove(target),
                    };
                    server_cpus[index] = cpus.unwrap_or(server_cpus[index]);
                    observer.on(Event::TrialFinished { cell: key, trial: &trial });
                    cell.trials.push(*trial);
                    if let Some(why) = no_answer_at_end.filter(|_| !stop.is_set()) {
                        cell.verdict = Verdict::Errors;
                        cell.reasons.push(format!("it did not answer any more at the end: {why}"));
                    }
                }
                Ended::NotReady(NotReady::Unsupported(why)) => {
                    cell.verdict = Verdict::Unsupported;
                    cell.reasons.push(why);
                }
                // The signal may have interrupted a system call of the check.
                Ended::NotReady(NotReady::Unreachable(_)) if stop.is_interrupted() => {}
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
            // After a trial that could not be measured, the cell's other trials are skipped.
            if cell.verdict != Verdict::Valid {
                agenda.give_up(index);
            }
            if agenda.is_over(index) && !stop.is_set() {
                is_concluded[index] = true;
                conclude(cell, server_cpus[index]);
                observer.on(Event::CellFinished { cell });
            }
        }
        if stop.is_set() && !stop.is_interrupted() && block.is_planned {
            cut_short = Some(CutShort { load, measured, trials: block.cells.len() });
        }
        observer.on(Event::BlockFinished {
            load,
            cells: &block.cells.iter().map(|&index| &results.cells[index]).collect::<Vec<_>>(),
            number: block.number as u64,
            took: block_began.elapsed(),
        });
    }
    results.targets = fleet.said();
    results.interrupted = stop.is_interrupted();
    results.remarks = budget::remarks(plan, &agenda, cut_short);
    for (index, cell) in results.cells.iter_mut().enumerate().filter(|&(index, _)| !is_concluded[index]) {
        let is_measured = !cell.trials.is_empty();
        conclude(cell, server_cpus[index]);
        if is_measured && !results.interrupted {
            observer.on(Event::CellFinished { cell });
        }
    }
    // The cells whose trials never began are left out.
    results.cells.retain(|cell| !cell.trials.is_empty() || cell.verdict != Verdict::Valid);
    ranks::rank(&mut results.cells);
    observer.on(Event::RunFinished { results: &results });
    Ok(results)
}

/// A seed for a run that is given none.
pub fn any_seed() -> u64 {
    fastrand::u64(..1 << 32)
}

/// The results of a run of this plan that begins now: nothing is measured yet.
pub fn begin(plan: &Plan) -> Results {
    let now = SystemTime::now();
    Results {
        schema: SCHEMA.into(),
        run_id: machine::run_id(now),
        started_at: machine::rfc3339(now),
        interrupted: false,
        command: command(),
        remarks: Vec::new(),
        machine: machine::here(),
        settings: plan.clone(),
        targets: BTreeMap::new(),
        cells: plan.cells().into_iter().map(Cell::new).collect(),
        claims: Vec::new(),
    }
}

/// A fleet whose targets say something of themselves.
struct Listening<'a> {
    fleet: &'a mut dyn Fleet,
    /// What is known of guests, even if none of their trials is made.
    guests: BTreeMap<String, Target>,
    /// What each target said when it was ready for the first time.
    said: BTreeMap<String, Target>,
}

impl Listening<'_> {
    /// What is known of the targets at the end.
    fn said(self) -> BTreeMap<String, Target> {
        let mut said = self.guests;
        for (name, target) in self.said {
            let is_guest = target.is_guest || said.contains_key(&name);
            said.insert(name, Target { is_guest, ..target });
        }
        said
    }
}

impl Fleet for Listening<'_> {
    fn ready(&mut self, target: &str, load: &results::Load) -> Result<Endpoint, NotReady> {
        let endpoint = self.fleet.ready(target, load)?;
        if endpoint.says != Target::default() && !self.said.contains_key(target) {
            self.said.insert(target.to_owned(), endpoint.says.clone());
        }
        Ok(endpoint)
    }

    fn finished(&mut self, target: &str) {
        self.fleet.finished(target);
    }
}
