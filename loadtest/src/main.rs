//! The program `loadtest`: reads the command line, checks the targets, runs the plan and writes the results.

mod cli;

use cli::Cli;
use humantime::format_duration;
use loadtest::aa::{self, AaFleet};
use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady, Supported, supported};
use loadtest::front::{self, Exit, Failure, files, say};
use loadtest::probe::check;
use loadtest::remote_write::RemoteWrite;
use loadtest::{end_on_signals, stop_on_signals, unless_stopped};
use results::{Plan, noise};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const METRICS_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a target that does not answer yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// What a line ends with that says why the load test does not begin.
const IS_IT_RUNNING: &str = "; is it running?";

fn main() -> ExitCode {
    end_on_signals();
    front::exit_code("loadtest", run(std::env::args_os().collect()))
}

fn run(mut arguments: Vec<OsString>) -> Result<Exit, Failure> {
    let command = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if files::COMMANDS.contains(&command.as_str()) {
        return cli::run_on_files(arguments);
    }
    let aa = command == "aa";
    if aa {
        arguments.remove(1);
    }
    let cli = Cli::from_args(arguments);
    // This comes before the plan, which has no more threads than there are CPUs to use, if no flag says otherwise.
    let restricted = cli.cpus.restrict().map_err(|error| Failure::usage(format!("--cpus {}: {error}", cli.cpus)))?;
    if let Some(line) = restricted {
        say(&format!("loadtest: --cpus: {line}"));
    }
    let (single, endpoints) = cli.plan().map_err(Failure::usage)?;
    let plan = if aa { aa::plan(single.clone()).map_err(Failure::usage)? } else { single.clone() };
    front::become_owner(cli.run.results.as_deref(), cli.owner.as_deref())?;
    let prepared = front::prepare(&cli.run, &plan)?;
    let stop = end_on_signals();
    let mut targets = RunningTargets { endpoints, stop };
    // Of a budget, half is left for the load.
    let wait = cli.wait.map(|wait| single.budget.map_or(wait, |budget| wait.min(budget / 2)));
    targets.check_all(&single, wait)?;
    let mut fleet = AaFleet::new(&mut targets, &single.targets);
    let remote = cli.remote_write.map(RemoteWrite::start).transpose();
    let mut remote = remote.map_err(|error| Failure(Exit::Failed, format!("--remote-write: {error}")))?;
    stop_on_signals();
    let run = front::run(&cli.run, &prepared, &plan, &mut fleet, &mut remote, stop)?;
    end_on_signals();
    if stop.load(Relaxed) && !run.results.interrupted {
        front::conclude(&cli.run, run)?;
        return Ok(Exit::Interrupted); // the signal came while the results were written
    }
    // This comes after the files are written because it may have to wait for a slow Prometheus.
    if let Some(report) = remote.map(RemoteWrite::finish)
        && !(cli.run.quiet && report.is_complete())
    {
        say(&format!("loadtest: {report}"));
    }
    if let Some(dashboard) = cli.dashboard.filter(|_| !cli.run.quiet) {
        say(&format!("Run {}: {dashboard}", run.results.run_id));
    }
    if aa {
        front::print(|out| noise::print(&run.results, false, out)).map_err(Failure::usage)?;
    }
    front::conclude(&cli.run, run)
}

/// Targets that run already: this program neither starts nor stops them.
struct RunningTargets {
    endpoints: Vec<(String, Endpoint)>,
    stop: &'static AtomicBool,
}

impl RunningTargets {
    /// Sends one request of each workload to each target, before any load. With `wait`, a target that does not answer
    /// is asked again for so long; if some answer by then, the others get a line here and the reason in their cells.
    fn check_all(&mut self, plan: &Plan, wait: Option<Duration>) -> Result<(), Failure> {
        let until = Instant::now() + wait.unwrap_or_default();
        let mut to_check = plan.targets.clone();
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
                if silent.len() == plan.targets.len() {
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
        let exists = |workload: &&String| answers.iter().any(|(_, path, status)| path == *workload && *status != 404);
        if let (Some(workload), false) = (plan.workloads().into_iter().find(|path| !exists(path)), answers.is_empty()) {
            let known = std::env::var("LOADTEST_WORKLOAD").map(|known| format!("; LOADTEST_WORKLOAD has {known}"));
            let known = known.unwrap_or_default();
            let why = format!("no target has the workload {workload}: each answers 404; is the path right?{known}");
            return Err(Failure::usage(why));
        }
        for (name, workload, status) in answers.iter().filter(|(.., status)| !(200..400).contains(status)) {
            say(&format!("loadtest: {name} answers {workload} with status {status}, which counts as an error"));
        }
        Ok(())
    }

    /// Sends one request of each workload to a target, and returns the target, the workload and the status of each
    /// answer; none for a target that this machine does not permit.
    fn check(&mut self, name: &str, plan: &Plan) -> Result<Vec<(String, String, u16)>, String> {
        let endpoint = match self.answering(name) {
            Ok(endpoint) => endpoint,
            Err(NotReady::Unsupported(_)) => return Ok(Vec::new()),
            Err(NotReady::Unreachable(why)) => return Err(format!("{name}: {why}")),
        };
        let mut answers = Vec::new();
        for workload in plan.workloads() {
            let status = check(&endpoint.url, workload, plan.content_of(workload), plan.timeout).map_err(|error| {
                format!("{name} does not answer {workload} at {}: {error}{IS_IT_RUNNING}", endpoint.url)
            })?;
            answers.push((name.to_owned(), workload.clone(), status));
        }
        Ok(answers)
    }

    /// The endpoint of a target, if that answers and works on its machine.
    fn answering(&self, target: &str) -> Result<Endpoint, NotReady> {
        let found = self.endpoints.iter().find(|(name, _)| name == target);
        let (_, endpoint) = found.ok_or_else(|| NotReady::Unreachable("no such target".into()))?;
        let Supported { cpus, says } = match &endpoint.cost {
            CostSource::Metrics(url) => {
                let unreachable = |error: io::Error| NotReady::Unreachable(error.to_string());
                let at = url.clone();
                let asked = unless_stopped(self.stop, Duration::ZERO, move || supported(&at, METRICS_TIMEOUT));
                asked.and_then(|asked| asked.ok_or(io::ErrorKind::Interrupted.into())).map_err(unreachable)??
            }
            _ => Supported::default(),
        };
        Ok(Endpoint { cpus: cpus.or(endpoint.cpus), says, ..endpoint.clone() })
    }
}

impl Fleet for RunningTargets {
    fn ready(&mut self, target: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
        self.answering(target)
    }
}
