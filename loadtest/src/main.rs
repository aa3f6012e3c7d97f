//! The program `loadtest`: reads the command line, checks the targets, runs the plan and writes the results.

mod cli;
mod lookup;
mod running;

use cli::Cli;
use loadtest::aa::{self, AaFleet};
use loadtest::front::{self, Exit, Failure, files, say};
use loadtest::remote_write::RemoteWrite;
use loadtest::{end_on_signals, stop_on_signals};
use results::{Plan, noise};
use running::RunningTargets;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

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
    let (mut single, endpoints, guests) = cli.plan().map_err(Failure::usage)?;
    let planned = |single: &Plan| match aa {
        true => aa::plan(single.clone()).map_err(Failure::usage),
        false => Ok(single.clone()),
    };
    front::become_owner(cli.run.results.as_deref(), cli.owner.as_deref())?;
    let prepared = front::prepare(&cli.run, &planned(&single)?)?;
    let stop = end_on_signals();
    let mut targets = RunningTargets::new(endpoints, stop);
    // Of a budget, half is left for the load.
    let wait = cli.wait.map(|wait| single.budget.map_or(wait, |budget| wait.min(budget / 2)));
    targets.check_all(&single, guests, wait)?;
    single.targets = targets.names(); // without the guests that are not there
    let plan = planned(&single)?;
    let mut fleet = AaFleet::new(&mut targets, &single.targets);
    let remote = cli.remote_write.map(RemoteWrite::start).transpose();
    let mut remote = remote.map_err(|error| Failure(Exit::Failed, format!("--remote-write: {error}")))?;
    stop_on_signals();
    if let Some(pages) = cli.pages.filter(|_| !cli.run.quiet) {
        say(&format!("page: {pages}/newest"));
    }
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
