//! The program `loadtest`: reads the command line, checks the targets, runs the plan and writes the results.

mod cli;
mod files;
mod privileges;

use cli::Cli;
use loadtest::compare::{self, aa_name};
use loadtest::cost::CostSource;
use loadtest::plan::Plan;
use loadtest::progress::Progress;
use loadtest::remote_write::RemoteWrite;
use loadtest::run::{Endpoint, Fleet, NotReady, check, supported};
use loadtest::{folder, limits, report, stats, stop_on_signals};
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const REQUESTS_FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const INTERRUPTED: u8 = 130;
const WORKLOADS: &str =
    "/, /files/64k (1k, 1m, 10m), /sleep/<ms>, /work/<iterations>, /counter, 'POST /counter', /nods and 'POST /nod'";
const METRICS_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends the program before its normal end: an exit code, and a line that says why.
struct EarlyExit(u8, String);

fn main() -> ExitCode {
    ExitCode::from(run().unwrap_or_else(|EarlyExit(code, why)| {
        eprintln!("loadtest: {why}");
        code
    }))
}

fn run() -> Result<u8, EarlyExit> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let command = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    if files::COMMANDS.contains(&command.as_str()) {
        return files::run(arguments).map_err(|why| EarlyExit(USAGE, why)).map(|()| 0);
    }
    let aa = command == "aa";
    if aa {
        arguments.remove(1);
    }
    let cli = Cli::from_args(arguments);
    let (mut plan, mut endpoints) = cli.plan().map_err(|why| EarlyExit(USAGE, why))?;
    if aa {
        plan.trials = plan.trials.max(stats::MIN_TRIALS);
        endpoints =
            endpoints.into_iter().flat_map(|(name, at)| [(name.clone(), at.clone()), (aa_name(&name), at)]).collect();
        plan.targets = endpoints.iter().map(|(name, _)| name.clone()).collect();
    }
    limits::make_room(plan.connections()).map_err(|why| EarlyExit(USAGE, why))?;
    if let Some(folder) = &cli.results {
        prepare_results_folder(folder, cli.owner.as_deref())?;
    }
    let mut files = cli.run.output_files().map_err(|why| EarlyExit(USAGE, why))?;
    let stop = stop_on_signals();
    let mut targets = RunningTargets(endpoints);
    targets.check_all(&plan)?;
    let remote = cli.remote_write.map(RemoteWrite::start).transpose();
    let remote = remote.map_err(|error| EarlyExit(REQUESTS_FAILED, format!("--remote-write: {error}")))?;
    let mut observers = (Progress::new(cli.run.quiet), remote);
    let results = loadtest::run(&plan, &mut targets, &mut observers, stop)
        .map_err(|error| EarlyExit(REQUESTS_FAILED, format!("the load could not be run: {error}")))?;
    let (progress, remote) = observers;
    progress.clear();
    if !cli.run.quiet {
        let mut out = io::stdout().lock();
        // It is not a failure when the reader of standard output has gone away (`| head`).
        let _ = report::print(&results, &mut out, io::stdout().is_terminal()).and_then(|()| out.flush());
    }
    if let Some(folder) = &cli.results {
        let folder = folder.join(&results.run_id);
        fs::create_dir_all(&folder).map_err(|error| not_writable(&folder, error))?;
        files.push(folder.join("results.json"));
    }
    for file in files {
        results.save(&file).map_err(|error| EarlyExit(USAGE, format!("{}: {error}", file.display())))?;
    }
    // This comes last because it may have to wait for a slow Prometheus.
    if let Some(report) = remote.map(RemoteWrite::finish)
        && !(cli.run.quiet && report.is_complete())
    {
        eprintln!("loadtest: {report}");
    }
    if let Some(dashboard) = cli.dashboard.filter(|_| !cli.run.quiet) {
        println!("\nRun {}: {dashboard}", results.run_id);
    }
    if aa {
        let _ = compare::print_noise(&results, &mut io::stdout().lock());
    }
    let failed = cli.run.conclude(&results).map_err(|why| EarlyExit(USAGE, why))?;
    Ok(match results.interrupted {
        true => INTERRUPTED,
        false if failed => REQUESTS_FAILED,
        false => 0,
    })
}

/// Takes the identity of the folder's owner if `--owner` asks for it, and checks that the folder is writable.
fn prepare_results_folder(folder: &Path, like: Option<&Path>) -> Result<(), EarlyExit> {
    let prepared = like.map_or(Ok(()), |like| privileges::drop_privileges_to_owner(folder, like));
    prepared.and_then(|()| folder::make_writable(folder)).map_err(|error| not_writable(folder, error))
}

fn not_writable(folder: &Path, error: io::Error) -> EarlyExit {
    let folder = folder.display();
    EarlyExit(USAGE, format!("--results {folder}: {error}; make it a folder that you may write to, or name another"))
}

/// Targets that run already: this program neither starts nor stops them.
struct RunningTargets(Vec<(String, Endpoint)>);

impl RunningTargets {
    /// Sends one request of each workload to each target, before any load.
    fn check_all(&mut self, plan: &Plan) -> Result<(), EarlyExit> {
        let mut remarks = Vec::new();
        let mut missing = plan.workloads.clone();
        for name in &plan.targets {
            let endpoint = match self.ready(name) {
                Ok(endpoint) => endpoint,
                Err(NotReady::Unsupported(_)) => continue,
                Err(NotReady::Unreachable(why)) => return Err(EarlyExit(UNREACHABLE, format!("{name}: {why}"))),
            };
            for workload in &plan.workloads {
                let status = check(&endpoint.url, workload, plan.timeout).map_err(|error| {
                    let why = format!("{name} does not answer {workload} at {}: {error}; is it running?", endpoint.url);
                    EarlyExit(UNREACHABLE, why)
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
            let why = format!("no target has the workload {workload}; the lab's services have {WORKLOADS}");
            return Err(EarlyExit(USAGE, why));
        }
        remarks.iter().for_each(|remark| eprintln!("loadtest: {remark}"));
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
