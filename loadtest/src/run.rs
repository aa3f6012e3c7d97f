//! Runs a plan: measures each cell in its trials and judges the cells at the end.

use crate::conntrack;
use crate::cost::{CostSampler, Costs};
use crate::cpus::{allowed_cpus, online_cpus};
use crate::engine::{self, LiveSnapshot, Load, Script, TrialObserver};
use crate::events::{Event, Observer};
use crate::fleet::{Fleet, NotReady};
use crate::machine;
use crate::measure;
use crate::order::order;
use crate::probe::check;
use results::schema::SCHEMA;
use results::{Cell, Key, Plan, Results, Schedule, Trial, Verdict};
use results::{ranks, remarks, verdict};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// How often progress is reported to the observer.
const PROGRESS: Duration = Duration::from_millis(100);

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
        cells: keys.iter().cloned().map(Cell::new).collect(),
    };
    observer.on(Event::RunStarted {
        run_id: &results.run_id,
        cells: keys.len(),
        trials: order.len(),
        estimate: plan.estimate(),
    });
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
            let finished = run_trial(plan, key, schedule, fleet, observer, stop, rest_of_run);
            fleet.finished(&key.target);
            match finished? {
                Ok(None) => {}
                Ok(Some(FinishedTrial { trial, cpus, no_answer_at_end })) => {
                    server_cpus[index] = cpus.unwrap_or(server_cpus[index]);
                    observer.on(Event::TrialFinished { cell: key, trial: &trial });
                    cell.trials.push(trial);
                    if let Some(why) = no_answer_at_end {
                        cell.verdict = Verdict::Errors;
                        cell.reasons.push(format!("it did not answer any more at the end: {why}"));
                    }
                }
                Err(not_ready) => {
                    let why = match not_ready {
                        NotReady::Unsupported(why) => {
                            cell.verdict = Verdict::Unsupported;
                            why
                        }
                        NotReady::Unreachable(why) => {
                            cell.verdict = Verdict::Errors;
                            format!("unreachable: {why}")
                        }
                    };
                    cell.reasons.push(why);
                }
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
        schedule => Some(schedule),
    }
}

/// The results of one trial.
struct FinishedTrial {
    trial: Trial,
    cpus: Option<usize>,
    /// Why the target no longer answered after the trial. All its connections may still have been waiting within their
    /// time-out, so that no request had failed.
    no_answer_at_end: Option<io::Error>,
}

fn run_trial(
    plan: &Plan,
    key: &Key,
    schedule: Option<Schedule>,
    fleet: &mut dyn Fleet,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
    rest_of_run: Duration,
) -> io::Result<Result<Option<FinishedTrial>, NotReady>> {
    let endpoint = match fleet.ready(&key.target) {
        Ok(endpoint) => endpoint,
        Err(why) => return Ok(Err(why)),
    };
    let Some(schedule) = schedule else {
        return Ok(Err(NotReady::Unreachable("the closed loop gave no ceiling".into())));
    };
    let limit = plan.timeout.max(plan.connect_timeout);
    let content = plan.content_of(&key.workload);
    let unreachable = |error: io::Error| NotReady::Unreachable(format!("{}: {error}", endpoint.url));
    if let Err(error) = check(&endpoint.url, &key.workload, &content, limit) {
        return Ok(Err(unreachable(error)));
    }
    let address = match endpoint.url.resolve() {
        Ok(address) => address,
        Err(error) => return Ok(Err(unreachable(error))),
    };
    let authority = &endpoint.url.authority;
    let script = |workload: &str, per_connection| {
        let content = plan.content_of(workload);
        Script::new(authority, workload, &content, per_connection, plan.timeout, plan.connect_timeout)
    };
    let measured = script(&key.workload, key.requests_per_connection.0);
    let measured = if schedule == Schedule::Closed { measured } else { measured.open_loop() };
    let busy = script(plan.busy_workload.as_deref().unwrap_or("/"), None);
    let slow_reader = script(plan.slow_reader_workload.as_deref().unwrap_or("/"), None);
    let allowed = if plan.cpus.is_empty() { allowed_cpus() } else { plan.cpus.clone() };
    let load = Load {
        target: address,
        script: &measured,
        schedule,
        concurrency: key.concurrency,
        background: plan.background,
        authority,
        busy_request: busy.closing_request(),
        slow_reader_request: slow_reader.request(),
        threads: plan.threads,
        cpus: &allowed,
        warmup: plan.warmup,
        duration: plan.duration,
        shortest_timeout: plan.timeout.min(plan.connect_timeout),
    };
    let mut cost = CostSampler::new(endpoint.cost.clone());
    let costs = Costs { idle: cost.snapshot(), ..Costs::default() };
    let planned = plan.warmup + plan.duration;
    let mut cost_observer = CostObserver {
        cost,
        costs,
        began: Instant::now(),
        answered: 0,
        reported: Duration::ZERO,
        progress: &mut |elapsed, answered, errors, live| {
            let remaining = planned.saturating_sub(elapsed) + rest_of_run;
            observer.on(Event::Progress { cell: key, elapsed, planned, answered, errors, remaining, live });
        },
    };
    let dropped = conntrack::dropped();
    let measurement = engine::trial(&load, stop, &mut cost_observer)?;
    let dropped = conntrack::dropped().saturating_sub(dropped);
    let costs = cost_observer.costs;
    Ok(Ok(measurement.map(|measurement| {
        let trial = measure::trial(&measurement, &costs, key.concurrency, dropped);
        let no_answer_at_end = match trial.outcomes.errors() > 0 || stop.load(Relaxed) {
            true => None,
            false => check(&endpoint.url, &key.workload, &content, limit).err(),
        };
        FinishedTrial { trial, cpus: endpoint.cpus, no_answer_at_end }
    })))
}

/// Samples the target's cost at both ends of the window, and reports progress.
struct CostObserver<'a> {
    cost: CostSampler,
    costs: Costs,
    began: Instant,
    answered: u64,
    reported: Duration,
    progress: &'a mut dyn FnMut(Duration, u64, u64, &LiveSnapshot),
}

impl TrialObserver for CostObserver<'_> {
    fn window_begins(&mut self, answered: &dyn Fn() -> u64) {
        // Answers continue to arrive while the snapshot is taken, so use the middle of that time and of that count.
        let (began, before) = (Instant::now(), answered());
        self.costs.begin = self.cost.snapshot();
        self.began = began + began.elapsed() / 2;
        self.answered = before.midpoint(answered());
    }

    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> LiveSnapshot) {
        if elapsed >= self.reported + PROGRESS {
            self.reported = elapsed;
            (self.progress)(elapsed, answered, errors, &live());
        }
    }

    fn window_ended(&mut self, answered: u64) {
        self.costs.seconds = self.began.elapsed().as_secs_f64();
        self.costs.answered = answered - self.answered;
        self.costs.end = self.cost.snapshot();
        self.costs.why_missing = self.cost.missing();
    }
}
