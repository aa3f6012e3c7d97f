//! The program `loadtest`: reads the command line, checks the targets, runs the plan and writes the results.

mod cli;

use cli::Cli;
use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady, supported};
use loadtest::front::{self, Exit, Failure, files, say};
use loadtest::probe::check;
use loadtest::remote_write::RemoteWrite;
use loadtest::stop_on_signals;
use results::noise::{self, aa_name};
use results::{Plan, statistics};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

const METRICS_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    front::exit_code("loadtest", run(std::env::args_os().collect()))
}

fn run(mut arguments: Vec<OsString>) -> Result<Exit, Failure> {
    let command = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if files::COMMANDS.contains(&command.as_str()) {
        return files::run(arguments).map(|()| Exit::Done);
    }
    let aa = command == "aa";
    if aa {
        arguments.remove(1);
    }
    let cli = Cli::from_args(arguments);
    let (mut plan, mut endpoints) = cli.plan().map_err(Failure::usage)?;
    if aa {
        plan.trials = plan.trials.max(statistics::MIN_TRIALS);
        endpoints =
            endpoints.into_iter().flat_map(|(name, at)| [(name.clone(), at.clone()), (aa_name(&name), at)]).collect();
        plan.targets = endpoints.iter().map(|(name, _)| name.clone()).collect();
    }
    front::become_owner(cli.run.results.as_deref(), cli.owner.as_deref())?;
    let outputs = front::prepare(&cli.run, &plan)?;
    let stop = stop_on_signals();
    let mut targets = RunningTargets(endpoints);
    targets.check_all(&plan)?;
    let remote = cli.remote_write.map(RemoteWrite::start).transpose();
    let mut remote = remote.map_err(|error| Failure(Exit::Failed, format!("--remote-write: {error}")))?;
    let run = front::run(&cli.run, &outputs, &plan, &mut targets, &mut remote, stop)?;
    // This comes after the files are written because it may have to wait for a slow Prometheus.
    if let Some(report) = remote.map(RemoteWrite::finish)
        && !(cli.run.quiet && report.is_complete())
    {
        say(&format!("loadtest: {report}"));
    }
    if let Some(dashboard) = cli.dashboard.filter(|_| !cli.run.quiet) {
        let _ = front::print(|out| writeln!(out, "\nRun {}: {dashboard}", run.results.run_id));
    }
    if aa {
        front::print(|out| noise::print(&run.results, out)).map_err(Failure::usage)?;
    }
    front::conclude(&cli.run, run)
}

/// Targets that run already: this program neither starts nor stops them.
struct RunningTargets(Vec<(String, Endpoint)>);

impl RunningTargets {
    /// Sends one request of each workload to each target, before any load.
    fn check_all(&mut self, plan: &Plan) -> Result<(), Failure> {
        let mut remarks = Vec::new();
        let mut missing = plan.workloads.clone();
        for name in &plan.targets {
            let endpoint = match self.ready(name) {
                Ok(endpoint) => endpoint,
                Err(NotReady::Unsupported(_)) => continue,
                Err(NotReady::Unreachable(why)) => return Err(Failure(Exit::Unreachable, format!("{name}: {why}"))),
            };
            for workload in &plan.workloads {
                let status =
                    check(&endpoint.url, workload, plan.content_of(workload), plan.timeout).map_err(|error| {
                        let why =
                            format!("{name} does not answer {workload} at {}: {error}; is it running?", endpoint.url);
                        Failure(Exit::Unreachable, why)
                    })?;
                if status != 404 {
                    missing.retain(|path| path != workload);
                }
                if !(200..400).contains(&status) {
                    remarks.push(format!("{name} answers {workload} with status {status}, which counts as an error"));
                }
            }
        }
        if let (Some(workload), false) = (missing.first(), remarks.is_empty()) {
            let known = std::env::var("LOADTEST_WORKLOAD").map(|known| format!("; LOADTEST_WORKLOAD has {known}"));
            let known = known.unwrap_or_default();
            let why = format!("no target has the workload {workload}: each answers 404; is the path right?{known}");
            return Err(Failure::usage(why));
        }
        remarks.iter().for_each(|remark| say(&format!("loadtest: {remark}")));
        Ok(())
    }
}

impl Fleet for RunningTargets {
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady> {
        let found = self.0.iter().find(|(name, _)| name == target);
        let (_, endpoint) = found.ok_or_else(|| NotReady::Unreachable("no such target".into()))?;
        let cpus = match &endpoint.cost {
            CostSource::Metrics(url) => supported(url, METRICS_TIMEOUT)?,
            _ => None,
        };
        Ok(Endpoint { cpus: cpus.or(endpoint.cpus), ..endpoint.clone() })
    }
}
