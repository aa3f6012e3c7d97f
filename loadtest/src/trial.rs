//! One trial: makes the target ready, loads it, samples its cost at both ends of the window, and looks whether it still
//! answers.

use crate::budget;
use crate::conntrack;
use crate::cost::{CostObserver, Observed};
use crate::cpus::allowed_cpus;
use crate::engine::{self, Expected, LiveSnapshot, Load, Script};
use crate::events::{Event, Observer};
use crate::fleet::{Endpoint, Fleet, NotReady};
use crate::machine;
use crate::measure;
use crate::probe;
use crate::signals::unless_stopped;
use crate::stop::Stop;
use crate::target::Url;
use results::content::Content;
use results::paths::PathOrder;
use results::units::{duration, plural};
use results::{Key, OutcomeClass, Plan, Schedule, Trial};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long a target that has answered before may be gone, for example while its container is started again.
const LONGEST_ABSENCE: Duration = Duration::from_secs(10);
/// How often such a target is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A target whose last answer is older than this at the end of the load is asked whether it answers at all.
const LONGEST_SILENCE: Duration = Duration::from_millis(250);

/// A trial to be made.
pub struct Attempt<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The cell.
    pub key: &'a Key,
    /// When requests are sent, or why that is not known: the ceiling that it depends on was not measured.
    pub schedule: Result<Schedule, String>,
    /// Decides the times of Poisson arrivals, and the order of shuffled paths.
    pub seed: u64,
    /// The estimated time that the run takes after this window.
    pub rest_of_run: Duration,
    /// The part of it that comes after the last trial.
    pub reserve: Duration,
    /// Whether the trial waits for a target that does not answer: it has answered earlier in the run, and was not waited
    /// for in vain since.
    pub waits_before: bool,
    /// Whether the trial waits for a target that does not answer any more at its end: the run still needs it.
    pub waits_after: bool,
    /// Ends the trial early.
    pub stop: Stop<'a>,
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
        /// their time-out, so that no request had failed. A target that answered until the end is not asked.
        no_answer_at_end: Option<String>,
    },
    /// The target cannot be measured.
    NotReady(NotReady),
    /// There was no rate to load it with.
    NoRate(String),
    /// It was stopped before its window began.
    Stopped,
}

/// A way to ask a target: [`probe::find`] or [`probe::learn`].
type HowToAsk = fn(&Url, &str, &Content, Duration) -> io::Result<probe::Found>;

/// A target that answers.
struct Reached {
    endpoint: Endpoint,
    /// The address that answers.
    address: SocketAddr,
    /// What the answers have in common.
    expected: Expected,
}

/// What a load of the target has shown.
struct Loaded {
    trial: Trial,
    /// Whether the answers that were not the expected one differ from one another, too.
    answers_vary: bool,
    /// The time from the last answer to the end of the load.
    silence: Duration,
}

impl Attempt<'_> {
    /// Makes the trial.
    ///
    /// # Errors
    /// The kernel's error if this machine could not run the load at all.
    pub fn make(&self, fleet: &mut dyn Fleet, observer: &mut dyn Observer) -> io::Result<Ended> {
        let dropped_before = conntrack::dropped();
        let limit = self.plan.timeout.max(self.plan.connect_timeout);
        let (reached, absence) =
            self.retry(self.waits_before, limit, observer, |attempt, limit| attempt.reach(fleet, limit));
        let mut reached = match reached {
            _ if self.stop.is_set() => return Ok(Ended::Stopped),
            Err(why) => return Ok(Ended::NotReady(why)),
            Ok(reached) => reached,
        };
        let schedule = match &self.schedule {
            Ok(schedule) => *schedule,
            Err(why) => return Ok(Ended::NoRate(why.clone())),
        };
        let Some(mut loaded) = self.measure(&mut reached, schedule, dropped_before, observer)? else {
            return Ok(Ended::Stopped);
        };
        while loaded.answers_vary
            && let Some(remark) = self.loosen(&mut reached, &loaded.trial, limit)
        {
            let Some(again) = self.measure(&mut reached, schedule, dropped_before, observer)? else { break };
            loaded = again;
            loaded.trial.remarks.push(remark);
        }
        let Loaded { mut trial, silence, .. } = loaded;
        trial.gone = absence.map(|absence| format!("the target was gone before a trial: {absence}"));
        let mut no_answer_at_end = None;
        let refused = trial.outcomes[OutcomeClass::ConnectRefused] + trial.outcomes[OutcomeClass::ConnectTimeout];
        // Where requests failed on open connections, the target answers, but badly.
        let fell_silent = trial.outcomes.errors() == 0 && silence > LONGEST_SILENCE;
        if !self.stop.is_set() && (refused > 0 || fell_silent) {
            let (answered, absence) = self.retry(self.waits_after, limit, observer, |attempt, limit| {
                attempt.ask(&reached.endpoint, limit, probe::find).map(drop)
            });
            match answered {
                Err(NotReady::Unreachable(why)) if !self.stop.is_set() => no_answer_at_end = Some(why),
                Ok(()) if absence.is_some() || refused > 0 => {
                    let absence =
                        absence.unwrap_or_else(|| format!("{} failed", plural(refused as usize, "connection")));
                    trial.gone = Some(format!("the target was gone in a trial and came back: {absence}"));
                }
                _ => {}
            }
        }
        Ok(Ended::Measured { trial: Box::new(trial), cpus: reached.endpoint.cpus, no_answer_at_end })
    }

    /// Asks the target with `ask`, which may take `limit`, and where `waits` again and again until it answers. The
    /// second value says, for a target that has answered later, why it did not at first and after how long it did.
    fn retry<T>(
        &self,
        waits: bool,
        limit: Duration,
        observer: &mut dyn Observer,
        mut ask: impl FnMut(&Self, Duration) -> Result<T, NotReady>,
    ) -> (Result<T, NotReady>, Option<String>) {
        let first_why = match ask(self, limit) {
            Err(NotReady::Unreachable(why)) if waits && !self.stop.is_set() => why,
            result => return (result, None),
        };
        observer.on(Event::WaitsForTarget { target: &self.key.target });
        let began = Instant::now();
        while !self.stop.is_set() && began.elapsed() < LONGEST_ABSENCE {
            thread::sleep(ASK_AGAIN);
            match ask(self, limit.min(LONGEST_ABSENCE.saturating_sub(began.elapsed()))) {
                Err(NotReady::Unreachable(_)) => {}
                Ok(answer) => {
                    let after = duration(began.elapsed());
                    return (Ok(answer), Some(format!("{first_why}; it answered again after {after}")));
                }
                result => return (result, None),
            }
        }
        (Err(NotReady::Unreachable(first_why)), None)
    }

    /// Looks, after a trial in which answers differed from the expected one and from one another, whether the target answers
    /// the same request with something else by now: then its answers vary with time, as a counter does, and that says
    /// nothing against them. From then on only what has not changed is expected. Returns a remark about it; `None` if
    /// nothing has changed.
    ///
    /// Where all wrong answers are the same one, they are errors: a load may have spoilt the target for good. So answers
    /// that change just once in a trial are errors, too.
    fn loosen(&self, reached: &mut Reached, trial: &Trial, limit: Duration) -> Option<String> {
        if trial.outcomes[OutcomeClass::Content] == 0 || self.stop.is_set() {
            return None;
        }
        let (_, now) = self.ask(&reached.endpoint, limit, probe::learn).ok()?;
        let before = reached.expected.clone();
        reached.expected = before.clone().common(&now);
        (reached.expected != before).then(|| {
            let how = trial.remarks.first().map_or("", |how| how);
            format!(
                "the target's answers vary with time, so the trial was repeated without comparing what varies ({how})"
            )
        })
    }

    /// Makes the target ready, and looks whether it answers the workload.
    fn reach(&self, fleet: &mut dyn Fleet, limit: Duration) -> Result<Reached, NotReady> {
        let endpoint = fleet.ready(&self.key.target, &self.key.load)?;
        let (address, expected) = self.ask(&endpoint, limit, probe::learn)?;
        Ok(Reached { endpoint, address, expected })
    }

    /// Asks the target with `how`: whether it answers the workload, at which address, and what.
    fn ask(&self, endpoint: &Endpoint, limit: Duration, how: HowToAsk) -> Result<probe::Found, NotReady> {
        let (url, workload) = (endpoint.url.clone(), self.key.load.workload.clone());
        let content = self.plan.content_of(&workload).clone();
        let found = unless_stopped(self.stop, Duration::ZERO, move || how(&url, &workload, &content, limit));
        let found = found.and_then(|found| found.ok_or(io::ErrorKind::Interrupted)?);
        found.map_err(|error| NotReady::Unreachable(format!("{}: {error}", endpoint.url)))
    }

    /// Loads the target. `None` if the trial was stopped before its window began.
    fn measure(
        &self,
        reached: &mut Reached,
        schedule: Schedule,
        dropped_before: u64,
        observer: &mut dyn Observer,
    ) -> io::Result<Option<Loaded>> {
        let &Attempt { plan, key, seed, stop, .. } = self;
        let Reached { endpoint, address, expected } = reached;
        let authority = endpoint.url.authority();
        let script = |workload: &str, per_connection| {
            let content = plan.content_of(workload);
            let is_shuffled = content.paths.as_ref().is_some_and(|list| list.order == PathOrder::Shuffled);
            let script = Script::new(authority, workload, content, per_connection, plan.timeout, plan.connect_timeout);
            if is_shuffled { script.shuffled(seed) } else { script }
        };
        let measured = script(&key.load.workload, key.load.requests_per_connection.0);
        let measured = if schedule == Schedule::Closed { measured } else { measured.open_loop() };
        let measured = measured.expecting(expected.clone());
        let background = |workload: &Option<String>| script(workload.as_deref().unwrap_or("/"), None);
        let busy = background(&key.load.background.busy_workload);
        let slow_reader = background(&key.load.background.slow_reader_workload);
        let cpus = if plan.cpus.is_empty() { allowed_cpus() } else { plan.cpus.clone() };
        let load = Load {
            target: *address,
            script: &measured,
            schedule,
            arrivals: plan.arrivals,
            seed,
            concurrency: key.load.concurrency,
            background: key.load.background.clone(),
            authority,
            busy: &busy,
            slow_reader: &slow_reader,
            threads: plan.threads,
            cpus: &cpus,
            warmup: plan.warmup,
            duration: plan.duration,
            shortest_timeout: plan.timeout.min(plan.connect_timeout),
        };
        let planned = plan.warmup + plan.duration;
        let mut began_at = None;
        let mut progress = |elapsed, answered, errors, live: &LiveSnapshot| {
            began_at.get_or_insert_with(|| SystemTime::now() - elapsed);
            let rest = self.rest_of_run.saturating_add(planned.saturating_sub(elapsed));
            let remaining = budget::limited(rest, stop, self.reserve);
            observer.on(Event::Progress { cell: key, elapsed, planned, answered, errors, remaining, live });
        };
        let observed = Observed {
            cost: endpoint.cost.clone(),
            cpus_allowed: endpoint.cpus,
            generator_cpus: &cpus,
            connections: key.load.connections(),
            reconnects: key.load.reconnects(),
            warmup: plan.warmup,
            duration: plan.duration,
        };
        let mut costs = CostObserver::new(observed, stop, &mut progress);
        let measurement = engine::trial(&load, stop, &mut costs)?;
        let dropped = conntrack::dropped().saturating_sub(dropped_before);
        let costs = costs.costs();
        reached.endpoint.cpus = costs.server_cpus().or(reached.endpoint.cpus);
        Ok(measurement.map(|measurement| {
            let began_at = began_at.map(machine::rfc3339_millis);
            let answer = measured.is_get().then(|| expected.seen()).flatten(); // of other methods, only the status is known
            let trial = Trial { began_at, answer, ..measure::trial(&measurement, &costs, dropped) };
            Loaded { trial, answers_vary: measurement.mismatches_vary(), silence: measurement.silence }
        }))
    }
}
