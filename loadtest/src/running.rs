//! Targets that run already: [`RunningTargets`].

use crate::lookup::have_addresses;
use humantime::format_duration;
use loadtest::cost::CostSource;
use loadtest::every_path::answers_every_path;
use loadtest::fleet::{Endpoint, Fleet, Lacks, NotReady, Supported, lacks, supported};
use loadtest::front::{Exit, Failure, say};
use loadtest::probe::check;
use loadtest::unless_stopped;
use results::Plan;
use results::lacks::Lack;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const METRICS_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a target that does not answer yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// What a line ends with that says why the load test does not begin.
const IS_IT_RUNNING: &str = "; is it running?";

/// The names of servers, and where they are.
pub type Endpoints = Vec<(String, Endpoint)>;

/// Targets that run already: this program neither starts nor stops them.
pub struct RunningTargets {
    endpoints: Endpoints,
    stop: &'static AtomicBool,
    /// What guests do not have.
    lacks: Lacks,
}

/// Servers of others that take part if their host's name is known.
pub struct Guests {
    /// All that were asked for.
    pub endpoints: Endpoints,
    /// Whether a line says which of them are not there.
    pub says_missing: bool,
}

/// How long the check waits for targets that do not answer.
#[derive(Clone, Copy)]
struct Patience {
    wait: Option<Duration>,
    until: Instant,
}

/// The status with which a target has answered a workload.
struct Answer {
    target: String,
    is_guest: bool,
    workload: String,
    status: u16,
    /// What it shows, if a guest does not have the workload.
    lack: Option<Lack>,
}

impl RunningTargets {
    /// The targets at these endpoints. `stop` ends a wait for one of them.
    pub fn new(endpoints: Endpoints, stop: &'static AtomicBool) -> RunningTargets {
        RunningTargets { endpoints, stop, lacks: Lacks::default() }
    }

    /// The names of the targets; after the check with those of the guests that are there.
    pub fn names(&self) -> Vec<String> {
        self.endpoints.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Sends one request of each workload to each target, before any load. With `wait`, a target that does not answer
    /// is asked again for so long; if some answer by then, the others get a line here and the reason in their cells.
    ///
    /// Guests that are started together with the targets have a name only a moment later, so they are looked up after the
    /// targets have answered.
    pub fn check_all(&mut self, plan: &Plan, guests: Guests, wait: Option<Duration>) -> Result<(), Failure> {
        let patience = Patience { wait, until: Instant::now() + wait.unwrap_or_default() };
        let mut answers = self.answers(self.names(), plan, patience, true)?;
        let is_alone = self.endpoints.is_empty();
        let there = self.add(guests)?;
        answers.extend(self.answers(there, plan, patience, is_alone)?);
        let exists =
            |workload: &&String| answers.iter().any(|answer| answer.workload == **workload && answer.status != 404);
        if let (Some(workload), false) = (plan.workloads().into_iter().find(|path| !exists(path)), answers.is_empty()) {
            let known = std::env::var("LOADTEST_WORKLOAD").map(|known| format!("; LOADTEST_WORKLOAD has {known}"));
            let known = known.unwrap_or_default();
            let why = format!("no target has the workload {workload}: each answers 404; is the path right?{known}");
            return Err(Failure::usage(why));
        }
        for (name, endpoint) in &mut self.endpoints {
            endpoint.says.is_guest |= answers.iter().any(|answer| answer.target == *name && answer.is_guest);
        }
        let is_failure = |answer: &&Answer| answer.lack.is_none() && !(200..400).contains(&answer.status);
        for Answer { target, workload, status, .. } in answers.iter().filter(is_failure) {
            say(&format!("loadtest: {target} answers {workload} with status {status}, which counts as an error"));
        }
        self.note_what_guests_lack(plan, &answers);
        Ok(())
    }

    /// Notes what guests do not have, and says it in a line for each workload.
    fn note_what_guests_lack(&mut self, plan: &Plan, answers: &[Answer]) {
        for workload in plan.requested() {
            let mut without = Vec::new();
            for Answer { target, lack, .. } in answers.iter().filter(|answer| answer.workload == *workload) {
                let Some(lack) = *lack else { continue };
                self.lacks.add(target, workload, lack);
                without.push(match lack {
                    Lack::Status(status) => format!("{target} (status {status})"),
                    Lack::EveryPath => format!("{target} (it answers every path alike)"),
                });
            }
            if !without.is_empty() {
                say(&format!("loadtest: loads with {workload} are not measured on {}", without.join(", ")));
            }
        }
    }

    /// Adds the guests that are there, and returns their names.
    fn add(&mut self, guests: Guests) -> Result<Vec<String>, Failure> {
        let has_address = have_addresses(guests.endpoints.iter().map(|(_, endpoint)| endpoint.url.clone()).collect());
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for ((name, endpoint), is_there) in guests.endpoints.into_iter().zip(has_address) {
            if is_there {
                there.push(name.clone());
                self.endpoints.push((name, endpoint));
            } else {
                missing.push(name);
            }
        }
        let missing = missing.join(", ");
        if self.endpoints.is_empty() {
            let why = format!("--guests: none of these hosts is known here: {missing}; is one of them running?");
            return Err(Failure(Exit::Unreachable, why));
        }
        if guests.says_missing && !missing.is_empty() {
            say(&format!("loadtest: --guests: not known here, and left out: {missing}"));
        }
        Ok(there)
    }

    /// The answers of these targets. If all of them are silent, that is an error where they are `alone`.
    fn answers(
        &self,
        names: Vec<String>,
        plan: &Plan,
        patience: Patience,
        alone: bool,
    ) -> Result<Vec<Answer>, Failure> {
        let Patience { wait, until } = patience;
        let all = names.len();
        let mut to_check = names;
        let mut answers = Vec::new();
        let mut says_that_it_waits = false;
        while !to_check.is_empty() {
            let mut silent = Vec::new();
            for name in to_check {
                match self.check(&name, plan) {
                    Ok(of_target) => answers.extend(of_target),
                    Err(why) if wait.is_none() => return Err(Failure(Exit::Unreachable, why)),
                    Err(why) => silent.push((name, why)),
                }
            }
            if Instant::now() >= until {
                if alone && silent.len() == all {
                    return Err(Failure(Exit::Unreachable, silent.swap_remove(0).1));
                }
                for (_, why) in &silent {
                    say(&format!("loadtest: {}; the others are measured", why.trim_end_matches(IS_IT_RUNNING)));
                }
                break;
            }
            to_check = silent.into_iter().map(|(name, _)| name).collect();
            if !to_check.is_empty() {
                if !std::mem::replace(&mut says_that_it_waits, true) {
                    let time = format_duration(wait.unwrap_or_default());
                    say(&format!("loadtest: waiting up to {time} for {}", to_check.join(", ")));
                }
                std::thread::sleep(ASK_AGAIN);
            }
        }
        Ok(answers)
    }

    /// Sends one request of each workload to a target; none to one that this machine does not permit. A guest is asked for
    /// those of the background connections, too, since it may lack what each of the lab's services has.
    fn check(&self, name: &str, plan: &Plan) -> Result<Vec<Answer>, String> {
        let endpoint = match self.answering(name) {
            Ok(endpoint) => endpoint,
            Err(NotReady::Unsupported(_)) => return Ok(Vec::new()),
            Err(NotReady::Unreachable(why)) => return Err(format!("{name}: {why}")),
        };
        let is_guest = endpoint.says.is_guest;
        let workloads = if is_guest { plan.requested() } else { plan.workloads() };
        let mut answers = Vec::new();
        for workload in workloads {
            let (url, content, limit) = (&endpoint.url, plan.content_of(workload), plan.timeout);
            let status = check(url, workload, content, limit)
                .map_err(|error| format!("{name} does not answer {workload} at {url}: {error}{IS_IT_RUNNING}"))?;
            let lack = match status {
                _ if !is_guest => None,
                200..400 => answers_every_path(url, workload, content, limit, self.stop).then_some(Lack::EveryPath),
                status => lacks(status),
            };
            answers.push(Answer { target: name.to_owned(), is_guest, workload: workload.clone(), status, lack });
        }
        Ok(answers)
    }

    /// The endpoint of a target, if that answers and works on its machine.
    fn answering(&self, target: &str) -> Result<Endpoint, NotReady> {
        let found = self.endpoints.iter().find(|(name, _)| name == target);
        let (_, endpoint) = found.ok_or_else(|| NotReady::Unreachable("no such target".into()))?;
        let CostSource::Metrics(url) = &endpoint.cost else { return Ok(endpoint.clone()) };
        let unreachable = |error: io::Error| NotReady::Unreachable(error.to_string());
        let at = url.clone();
        let asked = unless_stopped(self.stop, Duration::ZERO, move || supported(&at, METRICS_TIMEOUT));
        let Supported { cpus, mut says } =
            asked.and_then(|asked| asked.ok_or(io::ErrorKind::Interrupted.into())).map_err(unreachable)??;
        says.is_guest |= endpoint.says.is_guest;
        Ok(Endpoint { cpus: cpus.or(endpoint.cpus), says, ..endpoint.clone() })
    }
}

impl Fleet for RunningTargets {
    fn ready(&mut self, target: &str, load: &results::Load) -> Result<Endpoint, NotReady> {
        match self.lacks.why_not(target, load) {
            Some(why) => Err(why),
            None => self.answering(target),
        }
    }

    fn is_guest(&self, target: &str) -> bool {
        self.endpoints.iter().any(|(name, endpoint)| name == target && endpoint.says.is_guest)
    }
}
