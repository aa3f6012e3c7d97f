//! The whole lab in one command: starts every model on this machine, and measures it with the load generator.

mod cli;
mod fleet;
mod nod;
mod service;

use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lab::MODELS;
use loadtest::front::{self, Exit, Failure, say};
use loadtest::stop_on_signals;

use cli::{Command, RunArgs, ServeArgs};
use fleet::LocalFleet;
use service::Service;

fn main() -> ExitCode {
    // This comes first, because the process of a service must have one thread, and nothing of the lab in it.
    if let Some((model, args)) = service::requested(MODELS, std::env::args_os()) {
        return supervisor::main_from(model, args);
    }
    front::exit_code(
        "lab",
        match cli::parse(MODELS) {
            Command::Run(args) => run(*args),
            Command::Serve(args) => serve(args),
        },
    )
}

/// Measures every model under every load, prints the table, and saves the results.
fn run(args: RunArgs) -> Result<Exit, Failure> {
    let names = args.models.iter().map(|model| model.name.to_owned()).collect();
    let mut plan = args.run.plan(names).map_err(Failure::usage)?;
    nod::fill_in(&mut plan);
    let outputs = front::prepare(&args.run, &plan)?;
    if let Some(folder) = args.files.as_ref().filter(|folder| !folder.is_dir()) {
        let why = format!("--files {}: there is no such directory: create it, or name another", folder.display());
        return Err(Failure::usage(why));
    }
    let stop = stop_on_signals();
    let unreachable = |why| Failure(Exit::Unreachable, why);
    let mut fleet = LocalFleet::new(args.models, args.files).map_err(unreachable)?;
    plan.cpus = fleet.generator_cpus();
    plan.threads = plan.threads.min(plan.cpus.len());
    if !args.run.quiet {
        say(&fleet.cpu_division());
    }
    fleet.check(&plan, stop)?;
    let run = front::run(&args.run, &outputs, &plan, &mut fleet, &mut (), stop)?;
    front::conclude(&args.run, run)
}

/// Only starts the models, so that other clients can use them, and waits for Ctrl-C.
fn serve(args: ServeArgs) -> Result<Exit, Failure> {
    let stop = stop_on_signals();
    let ports = |n| Some((nth_port(args.port, n)?, nth_port(args.admin_port, n)?));
    let ports: Option<Vec<_>> = (0..args.models.len() as u16).map(ports).collect();
    let ports = ports.ok_or_else(|| Failure::usage("--port or --admin-port is too high for so many models"))?;
    let mut services = Vec::new();
    for (model, ports) in args.models.iter().zip(ports) {
        // The error of a service names the flags of the service, which are called otherwise here.
        let with_own_flags = |why: String| why.replace("--admin", "--admin-port").replace("--listen", "--port");
        let service = Service::start(model, ports, args.files.as_deref(), &[])
            .map_err(|why| Failure::usage(with_own_flags(why)))?;
        println!("{:24} http://{}   metrics http://{}/metrics", model.name, service.listen, service.admin);
        services.push(service);
    }
    println!("Ctrl-C stops them.");
    while !stop.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        for service in &mut services {
            if let Some(why) = service.exit_message() {
                services.iter().for_each(Service::terminate);
                return Err(Failure(Exit::Failed, why));
            }
        }
    }
    services.iter().for_each(Service::terminate); // all at once; `drop` then waits for each
    Ok(Exit::Done)
}

/// The port of the n-th model. If the first port is 0, the kernel chooses each of them.
fn nth_port(first: u16, n: u16) -> Option<u16> {
    if first == 0 { Some(0) } else { first.checked_add(n) }
}
