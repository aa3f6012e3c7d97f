//! The whole lab in one command: starts every model on this machine, and measures it with the load generator.

mod cli;
mod fleet;
mod service;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lab::MODELS;
use loadtest::progress::Progress;
use loadtest::results::Results;
use loadtest::{folder, limits, report, stop_on_signals};

use cli::{Command, RunArgs, ServeArgs};
use fleet::LocalFleet;
use service::Service;

/// Why the program ends early: an exit code, and a line that says what went wrong and what to do.
struct Failure(u8, String);

const REQUESTS_FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    // This comes first, because the process of a service must have one thread, and nothing of the lab in it.
    if let Some((model, args)) = service::requested(MODELS, std::env::args_os()) {
        return supervisor::main_from(model, args);
    }
    let ended = match cli::parse(MODELS) {
        Command::Run(args) => run(*args),
        Command::Serve(args) => serve(args),
    };
    ExitCode::from(ended.unwrap_or_else(|Failure(code, why)| {
        eprintln!("lab: {why}");
        code
    }))
}

/// Measures every model under every load, prints the table, and saves the results.
fn run(args: RunArgs) -> Result<u8, Failure> {
    let names = args.models.iter().map(|model| model.name.to_owned()).collect();
    let mut plan = args.run.plan(names).map_err(|why| Failure(USAGE, why))?;
    limits::make_room(plan.connections()).map_err(|why| Failure(USAGE, why))?;
    let mut files = args.run.output_files().map_err(|why| Failure(USAGE, why))?;
    if args.run.out.is_none() {
        let results = Path::new("results");
        folder::make_writable(results).map_err(|error| cannot_write(results, &error))?;
    }
    if let Some(folder) = args.files.as_ref().filter(|folder| !folder.is_dir()) {
        let why = format!("--files {}: there is no such directory: create it, or name another", folder.display());
        return Err(Failure(USAGE, why));
    }
    let stop = stop_on_signals();
    let mut fleet = LocalFleet::new(args.models, args.files).map_err(|why| Failure(UNREACHABLE, why))?;
    plan.cpus = fleet.generator_cpus();
    plan.threads = plan.threads.min(plan.cpus.len());
    if !args.run.quiet {
        eprintln!("{}", fleet.cpu_division());
    }
    fleet.check(&plan.workloads, stop).map_err(|why| Failure(UNREACHABLE, why))?;

    let mut progress = Progress::new(args.run.quiet);
    let results = loadtest::run(&plan, &mut fleet, &mut progress, stop)
        .map_err(|error| Failure(REQUESTS_FAILED, format!("the load could not be run: {error}")))?;
    progress.clear();
    if !args.run.quiet {
        let mut out = io::stdout().lock();
        // It is no failure if the reading end of the pipe is closed, as by `| head`.
        let _ = report::print(&results, &mut out, io::stdout().is_terminal()).and_then(|()| out.flush());
    }
    if args.run.out.is_none() {
        let folder = Path::new("results").join(&results.run_id);
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, &error))?;
        files.push(folder.join("results.json"));
    }
    save(&results, &files)?;
    if !args.run.quiet {
        files.iter().for_each(|file| eprintln!("results: {}", file.display()));
    }
    let failed = args.run.conclude(&results).map_err(|why| Failure(USAGE, why))?;
    Ok(match results.interrupted {
        true => INTERRUPTED,
        false if failed => REQUESTS_FAILED,
        false => 0,
    })
}

/// Only starts the models, so that other clients can use them, and waits for Ctrl-C.
fn serve(args: ServeArgs) -> Result<u8, Failure> {
    let stop = stop_on_signals();
    let ports = |n| Some((nth_port(args.port, n)?, nth_port(args.admin_port, n)?));
    let ports: Option<Vec<_>> = (0..args.models.len() as u16).map(ports).collect();
    let ports = ports.ok_or_else(|| Failure(USAGE, "--port or --admin-port is too high for so many models".into()))?;
    let mut services = Vec::new();
    for (model, ports) in args.models.iter().zip(ports) {
        // The error of a service names the flags of the service, which are called otherwise here.
        let with_own_flags = |why: String| why.replace("--admin", "--admin-port").replace("--listen", "--port");
        let service = Service::start(model, ports, args.files.as_deref(), &[])
            .map_err(|why| Failure(USAGE, with_own_flags(why)))?;
        println!("{:24} http://{}   metrics http://{}/metrics", model.name, service.listen, service.admin);
        services.push(service);
    }
    println!("Ctrl-C stops them.");
    while !stop.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        for service in &mut services {
            if let Some(why) = service.exit_message() {
                services.iter().for_each(Service::terminate);
                return Err(Failure(REQUESTS_FAILED, why));
            }
        }
    }
    services.iter().for_each(Service::terminate); // all at once; `drop` then waits for each
    Ok(0)
}

/// The port of the n-th model. If the first port is 0, the kernel chooses each of them.
fn nth_port(first: u16, n: u16) -> Option<u16> {
    if first == 0 { Some(0) } else { first.checked_add(n) }
}

fn save(results: &Results, files: &[PathBuf]) -> Result<(), Failure> {
    files.iter().try_for_each(|file| results.save(file).map_err(|error| cannot_write(file, &error)))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure(USAGE, format!("{}: {error}; name another place with --out", path.display()))
}
