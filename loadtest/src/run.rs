//! Runs a plan: measures each cell in its trials and judges the cells at the end.

use crate::class::OutcomeClass;
use crate::client::Script;
use crate::compare;
use crate::conntrack;
use crate::cost::{CostSampler, CostSource};
use crate::engine::{self, Load, TrialObserver, allowed_cpus};
use crate::live::LiveSnapshot;
use crate::machine::{Machine, online_cpus, rfc3339, run_id};
use crate::measure::{self, CostSnapshots};
use crate::pace;
use crate::plan::{Key, Plan, Schedule};
use crate::probe;
use crate::prometheus_text;
use crate::results::{Cell, Results, SCHEMA, Trial, Verdict};
use crate::scrape;
use crate::target::Url;
use crate::verdict;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// How often progress is reported to the observer.
const PROGRESS: Duration = Duration::from_millis(100);

/// The server that a trial loads, and the source of its cost.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the target listens; the path does not matter.
    pub url: Url,
    /// The source of its cost.
    pub cost: CostSource,
    /// CPUs that the target may run on; `None` means all CPUs of this machine. The verdict needs it to tell whether the
    /// target was saturated.
    pub cpus: Option<usize>,
}

/// Why a target cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It cannot work on this machine; its cells read "unsupported".
    Unsupported(String),
    /// It does not answer, or it could not be started.
    Unreachable(String),
}

/// The targets of a run.
pub trait Fleet {
    /// Makes a target ready for a trial: starts it, or does nothing. Called before each trial of each of its cells.
    ///
    /// # Errors
    /// Why the target cannot be measured; the run continues with the next cell.
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady>;

    /// A trial of the target is over, whether or not it could be measured.
    fn finished(&mut self, _target: &str) {}
}

/// An event in a run, as reported to an [`Observer`].
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run begins.
    RunStarted {
        /// The name of the run.
        run_id: &'a str,
        /// Cells to measure.
        cells: usize,
        /// Trials over all cells.
        trials: usize,
        /// Estimated length of the run, without the time to start targets.
        estimate: Duration,
    },
    /// A trial begins.
    TrialStarted {
        /// The cell.
        cell: &'a Key,
        /// Which trial of the cell, from 0.
        trial: usize,
        /// How many trials of the run began before it.
        done: usize,
        /// Trials of the run.
        total: usize,
    },
    /// The next trial waits until the kernel's table of tracked connections has room for the connections of the trial.
    WaitsForRoom,
    /// Progress, about ten times a second during a trial.
    Progress {
        /// The cell.
        cell: &'a Key,
        /// Time since the load began, warm-up included.
        elapsed: Duration,
        /// Length of the load, warm-up included.
        planned: Duration,
        /// Complete answers since the load began.
        answered: u64,
        /// Errors since the window began (during warm-up: since the load began).
        errors: u64,
        /// Estimated time to the end of the run.
        remaining: Duration,
        /// The counts and latencies of the window so far.
        live: &'a LiveSnapshot,
    },
    /// A trial was measured.
    TrialFinished {
        /// The cell.
        cell: &'a Key,
        /// What was measured.
        trial: &'a Trial,
    },
    /// The last trial of a cell is over.
    CellFinished {
        /// The cell with its figures and verdict.
        cell: &'a Cell,
    },
    /// The run is over, and its cells are ranked.
    RunFinished {
        /// The results of all cells.
        results: &'a Results,
    },
}

/// Is notified of the events of a run.
pub trait Observer {
    /// Called for each event, from the thread that called [`run`].
    fn on(&mut self, event: Event<'_>);
}

/// Notifies two observers, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on(&mut self, event: Event<'_>) {
        self.0.on(event);
        self.1.on(event);
    }
}

/// An observer that may be absent.
impl<O: Observer> Observer for Option<O> {
    fn on(&mut self, event: Event<'_>) {
        if let Some(observer) = self {
            observer.on(event);
        }
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn on(&mut self, event: Event<'_>) {
        (**self).on(event);
    }
}

/// Sends one request of a workload to the target, waits for the complete answer and returns its status.
///
/// # Errors
/// No connection, or no complete answer in time.
pub fn check(url: &Url, workload: &str, timeout: Duration) -> io::Result<u16> {
    let script = Script::new(url.authority(), workload, None, timeout, timeout);
    probe::status(url.resolve()?, &script, timeout)
}

/// Asks one of the lab's services, by the URL of its metrics, whether its I/O model works on its machine. Returns the
/// number of CPUs that the service may run on, if its metrics have it.
///
/// # Errors
/// `Unsupported` with the reason that the service gives, or `Unreachable`.
pub fn supported(metrics: &Url, timeout: Duration) -> Result<Option<usize>, NotReady> {
    let unreachable = |error| NotReady::Unreachable(format!("its metrics at {metrics}: {error}"));
    let (_, text) = scrape::get(metrics, timeout).map_err(unreachable)?;
    let figure = |name| prometheus_text::total(&String::from_utf8_lossy(&text), name, "");
    let supported = figure("server_supported").ok_or_else(|| {
        let why =
            format!("{metrics} has no metrics of one of the lab's services; for another server, give --target-pid");
        NotReady::Unreachable(why)
    })?;
    if supported != 0.0 {
        return Ok(figure("server_cpus").map(|cpus| cpus as usize));
    }
    let info = scrape::get(&metrics.with_path("/info"), timeout).map(|(_, body)| body);
    let info: serde_json::Value = serde_json::from_slice(&info.unwrap_or_default()).unwrap_or_default();
    let reason = info["unsupported"].as_str().unwrap_or("it says so, without a reason");
    Err(NotReady::Unsupported(reason.into()))
}

/// Runs the plan. If `stop` becomes true, the run ends within about 100 ms and returns what was measured until then.
///
/// # Errors
/// The kernel's error if this machine could not run the load at all. Failures of targets are part of the results.
pub fn run(plan: &Plan, fleet: &mut dyn Fleet, observer: &mut dyn Observer, stop: &AtomicBool) -> io::Result<Results> {
    let keys = plan.cells();
    let order = plan.order();
    let now = SystemTime::now();
    let mut results = Results {
        schema: SCHEMA.into(),
        run_id: run_id(now),
        started_at: rfc3339(now),
        interrupted: false,
        machine: Machine::here(),
        settings: plan.clone(),
        cells: keys.iter().map(Cell::new).collect(),
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
            let dropped = conntrack::dropped();
            let measurement = run_trial(plan, key, schedule, fleet, observer, stop, rest_of_run);
            let dropped = conntrack::dropped().saturating_sub(dropped);
            fleet.finished(&key.target);
            match measurement? {
                Ok(None) => {}
                Ok(Some(FinishedTrial { trial, cpus, no_answer_at_end })) => {
                    let trial = Trial { dropped_packets: dropped, ..trial };
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
    compare::rank(&mut results.cells);
    observer.on(Event::RunFinished { results: &results });
    Ok(results)
}

fn conclude(cell: &mut Cell, server_cpus: usize) {
    if cell.trials.is_empty() {
        let why = cell.reasons.first().cloned().unwrap_or_else(|| "interrupted".into());
        measure::mark_missing(cell, &why);
        return;
    }
    measure::summarise(cell);
    cell.server_cpus = Some(server_cpus);
    verdict::judge(cell, server_cpus);
    cell.reasons.extend(pace::remarks(cell));
}

/// Turns a share of a ceiling into a rate; other schedules stay as they are. `None` if the ceiling was not measured.
fn resolve_schedule(key: &Key, cells: &[Cell]) -> Option<Schedule> {
    let load = |cell: &&Cell| {
        (&cell.workload, cell.concurrency, cell.requests_per_connection, cell.schedule)
            == (&key.workload, key.concurrency, key.requests_per_connection, Schedule::Closed)
    };
    let ceiling = |cell: &Cell| cell.throughput.map(|figure| figure.median).filter(|&rate| rate > 0.0);
    let closed = cells.iter().filter(load);
    match key.schedule {
        Schedule::Share(share) => {
            closed.filter(|cell| cell.target == key.target).find_map(ceiling).map(|rate| Schedule::Rate(rate * share))
        }
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
    let unreachable = |error: io::Error| NotReady::Unreachable(format!("{}: {error}", endpoint.url));
    if let Err(error) = check(&endpoint.url, &key.workload, limit) {
        return Ok(Err(unreachable(error)));
    }
    let address = match endpoint.url.resolve() {
        Ok(address) => address,
        Err(error) => return Ok(Err(unreachable(error))),
    };
    let per_connection = key.requests_per_connection.0;
    let authority = endpoint.url.authority();
    let script = Script::new(authority, &key.workload, per_connection, plan.timeout, plan.connect_timeout);
    let busy = Script::new(authority, &plan.busy_workload, None, plan.timeout, plan.connect_timeout);
    let script = if schedule == Schedule::Closed { script } else { script.open_loop() };
    let allowed = if plan.cpus.is_empty() { allowed_cpus() } else { plan.cpus.clone() };
    let load = Load {
        target: address,
        script: &script,
        schedule,
        concurrency: key.concurrency,
        background: plan.background,
        authority,
        busy_request: busy.closing_request(),
        threads: plan.threads,
        cpus: &allowed,
        warmup: plan.warmup,
        duration: plan.duration,
        shortest_timeout: plan.timeout.min(plan.connect_timeout),
    };
    let mut cost = CostSampler::new(endpoint.cost.clone());
    let costs = CostSnapshots { idle: cost.snapshot(), ..CostSnapshots::default() };
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
    let measurement = engine::trial(&load, stop, &mut cost_observer)?;
    let CostObserver { cost, costs, .. } = cost_observer;
    Ok(Ok(measurement.map(|measurement| {
        let trial = measure::trial(&measurement, &costs, &cost, key.concurrency);
        let failed = OutcomeClass::ALL
            .iter()
            .any(|class| class.is_error() && trial.errors.get(class.name()).is_some_and(|&n| n > 0));
        let no_answer_at_end =
            if failed || stop.load(Relaxed) { None } else { check(&endpoint.url, &key.workload, limit).err() };
        FinishedTrial { trial, cpus: endpoint.cpus, no_answer_at_end }
    })))
}

/// Samples the target's cost at both ends of the window, and reports progress.
struct CostObserver<'a> {
    cost: CostSampler,
    costs: CostSnapshots,
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
    }
}
