//! One trial: makes the target ready, loads it, samples its cost at both ends of the window, and looks whether it still
//! answers.

use crate::conntrack;
use crate::cost::{CostSampler, Costs, Snapshot};
use crate::cpus::allowed_cpus;
use crate::engine::{self, LiveSnapshot, Load, Script, TrialObserver};
use crate::events::{Event, Observer};
use crate::fleet::{Endpoint, Fleet, NotReady};
use crate::measure;
use crate::probe::check;
use results::{Key, Plan, Schedule, Trial};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often progress is reported to the observer.
const PROGRESS: Duration = Duration::from_millis(100);

/// A trial to be made.
pub struct Attempt<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The cell.
    pub key: &'a Key,
    /// When requests are sent; `None` if the ceiling that it depends on was not measured.
    pub schedule: Option<Schedule>,
    /// The estimated time that the run needs after this trial.
    pub rest_of_run: Duration,
    /// Ends the trial early.
    pub stop: &'a AtomicBool,
}

/// How a trial has ended.
pub enum Ended {
    /// It was measured.
    Measured {
        /// What was measured.
        trial: Box<Trial>,
        /// CPUs that the target may run on, if that is known.
        cpus: Option<usize>,
        /// Why the target no longer answered after the trial. All its connections may still have been waiting within
        /// their time-out, so that no request had failed.
        no_answer_at_end: Option<io::Error>,
    },
    /// The target cannot be measured.
    NotReady(NotReady),
    /// It was stopped before its window began.
    Stopped,
}

impl Attempt<'_> {
    /// Makes the trial.
    ///
    /// # Errors
    /// The kernel's error if this machine could not run the load at all.
    pub fn make(&self, fleet: &mut dyn Fleet, observer: &mut dyn Observer) -> io::Result<Ended> {
        let dropped_before = conntrack::dropped();
        let unreachable = |why: String| Ok(Ended::NotReady(NotReady::Unreachable(why)));
        let endpoint = match fleet.ready(&self.key.target) {
            Ok(endpoint) => endpoint,
            Err(why) => return Ok(Ended::NotReady(why)),
        };
        let Some(schedule) = self.schedule else { return unreachable("the closed loop gave no ceiling".into()) };
        let address = match self.check(&endpoint).and_then(|()| endpoint.url.resolve()) {
            Ok(address) => address,
            Err(error) => return unreachable(format!("{}: {error}", endpoint.url)),
        };
        let Some(trial) = self.measure(&endpoint, address, schedule, dropped_before, observer)? else {
            return Ok(Ended::Stopped);
        };
        let failed = trial.outcomes.errors() > 0 || self.stop.load(Relaxed);
        let no_answer_at_end = if failed { None } else { self.check(&endpoint).err() };
        Ok(Ended::Measured { trial: Box::new(trial), cpus: endpoint.cpus, no_answer_at_end })
    }

    /// Looks whether the target answers the workload.
    fn check(&self, endpoint: &Endpoint) -> io::Result<()> {
        let Attempt { plan, key, .. } = self;
        let limit = plan.timeout.max(plan.connect_timeout);
        check(&endpoint.url, &key.workload, plan.content_of(&key.workload), limit).map(drop)
    }

    /// Loads the target. `None` if the trial was stopped before its window began.
    fn measure(
        &self,
        endpoint: &Endpoint,
        target: SocketAddr,
        schedule: Schedule,
        dropped_before: u64,
        observer: &mut dyn Observer,
    ) -> io::Result<Option<Trial>> {
        let Attempt { plan, key, rest_of_run, stop, .. } = self;
        let authority = endpoint.url.authority();
        let script = |workload: &str, per_connection| {
            let content = plan.content_of(workload);
            Script::new(authority, workload, content, per_connection, plan.timeout, plan.connect_timeout)
        };
        let measured = script(&key.workload, key.requests_per_connection.0);
        let measured = if schedule == Schedule::Closed { measured } else { measured.open_loop() };
        let busy = script(&plan.busy_workload, None);
        let slow_reader = script(&plan.slow_reader_workload, None);
        let cpus = if plan.cpus.is_empty() { allowed_cpus() } else { plan.cpus.clone() };
        let load = Load {
            target,
            script: &measured,
            schedule,
            concurrency: key.concurrency,
            background: plan.background,
            authority,
            busy_request: busy.closing_request(),
            slow_reader_request: slow_reader.request(),
            threads: plan.threads,
            cpus: &cpus,
            warmup: plan.warmup,
            duration: plan.duration,
            shortest_timeout: plan.timeout.min(plan.connect_timeout),
        };
        let planned = plan.warmup + plan.duration;
        let mut progress = |elapsed, answered, errors, live: &LiveSnapshot| {
            let remaining = planned.saturating_sub(elapsed) + *rest_of_run;
            observer.on(Event::Progress { cell: key, elapsed, planned, answered, errors, remaining, live });
        };
        let mut costs = CostObserver::new(CostSampler::new(endpoint.cost.clone()), &mut progress);
        let measurement = engine::trial(&load, stop, &mut costs)?;
        let dropped = conntrack::dropped().saturating_sub(dropped_before);
        let costs =
            costs.costs.unwrap_or_else(|| Costs::unknown("the window was over before the target's cost was read"));
        Ok(measurement.map(|measurement| measure::trial(&measurement, &costs, key.concurrency, dropped)))
    }
}

/// Samples the target's cost before the load and at both ends of the window, and reports progress.
struct CostObserver<'a> {
    sampler: CostSampler,
    idle: Snapshot,
    /// Known when the window has begun.
    begin: Option<WindowBegin>,
    /// Known when the window has ended.
    costs: Option<Costs>,
    reported: Duration,
    progress: &'a mut dyn FnMut(Duration, u64, u64, &LiveSnapshot),
}

/// The target's cost when the window began.
struct WindowBegin {
    at: Instant,
    cost: Snapshot,
    /// Complete answers since the load began.
    answered: u64,
}

impl<'a> CostObserver<'a> {
    /// Takes the sample before the load.
    fn new(
        mut sampler: CostSampler,
        progress: &'a mut dyn FnMut(Duration, u64, u64, &LiveSnapshot),
    ) -> CostObserver<'a> {
        let idle = sampler.snapshot();
        CostObserver { sampler, idle, begin: None, costs: None, reported: Duration::ZERO, progress }
    }
}

impl TrialObserver for CostObserver<'_> {
    fn window_begins(&mut self, answered: &dyn Fn() -> u64) {
        // Answers continue to arrive while the snapshot is taken, so use the middle of that time and of that count.
        let (began, before) = (Instant::now(), answered());
        let cost = self.sampler.snapshot();
        self.begin = Some(WindowBegin { at: began + began.elapsed() / 2, cost, answered: before.midpoint(answered()) });
    }

    fn tick(&mut self, elapsed: Duration, answered: u64, errors: u64, live: &dyn Fn() -> LiveSnapshot) {
        if elapsed >= self.reported + PROGRESS {
            self.reported = elapsed;
            (self.progress)(elapsed, answered, errors, &live());
        }
    }

    fn window_ended(&mut self, answered: u64) {
        let Some(begin) = self.begin.take() else { return };
        let seconds = begin.at.elapsed().as_secs_f64();
        let end = self.sampler.snapshot();
        self.costs = Some(Costs {
            idle: self.idle.clone(),
            begin: begin.cost,
            end,
            answered: answered - begin.answered,
            seconds,
            why_missing: self.sampler.missing(),
        });
    }
}
