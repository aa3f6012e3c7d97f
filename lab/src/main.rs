//! The whole lab in one command: starts models and servers of others on this machine, and measures them with the load generator.

mod addresses;
mod check;
mod cli;
mod disk;
mod division;
mod doctor;
mod first_answer;
mod fleet;
mod guest_log;
mod guests;
mod launch;
mod lecture;
mod limit;
mod loads;
mod nod;
mod pages;
mod relay;
mod serve;
mod servers;
mod service;
mod set;
mod settle;
mod warm_up;

use std::ffi::CString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use lab::MODELS;
use loadtest::aa::{self, AaFleet};
use loadtest::front::{self, Exit, Failure, say};
use loadtest::{end_on_signals, stop_on_signals};
use results::noise;

use cli::{Command, RunArgs};
use division::Division;
use fleet::LocalFleet;
use launch::Requested;
use pages::Pages;

fn main() -> ExitCode {
    // This comes first, because the process of a service must have one thread, and nothing of the lab in it.
    match launch::requested(MODELS, std::env::args_os()) {
        Some(Requested::Model(model, args)) => {
            call_this_process(model.name);
            return supervisor::main_from(model, args);
        }
        Some(Requested::Guest(args)) => {
            call_this_process("guest");
            return guest::main_from(args);
        }
        Some(Requested::BuiltIn(args)) => {
            if let Some(code) = guest::built_in(args) {
                return code;
            }
        }
        None => {}
    }
    end_on_signals();
    front::exit_code(
        "lab",
        match cli::parse(MODELS) {
            Command::Run(args) => run(*args),
            Command::Files(command) => command.run(Path::new("results")),
            Command::Serve(args) => serve::serve(&args),
            Command::Lecture(flags) => lecture::lecture(&flags),
            Command::Disk(args) => disk::disk(*args),
            Command::Pages(flags) => pages::pages(flags),
            Command::Doctor => doctor::doctor(),
        },
    )
}

/// Otherwise ps(1) would call it as the file is called that was executed: `exe`, from /proc/self/exe.
fn call_this_process(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Measures every server under every load, prints the table, and saves the results.
fn run(args: RunArgs) -> Result<Exit, Failure> {
    let names = args.servers.all().map(|server| server.name().to_owned()).collect();
    let mut plan = args.run.plan(names).map_err(Failure::usage)?;
    plan.set = args.servers.set.clone();
    let left_out = args.servers.left_out.clone();
    let targets = plan.targets.clone();
    if args.is_aa {
        plan = aa::plan(plan).map_err(Failure::usage)?;
    } else if args.has_default_loads {
        plan.twice = loads::measured_twice(&plan);
    }
    nod::fill_in(&mut plan);
    let prepared = front::prepare(&args.run, &plan)?;
    if let Some(folder) = args.files.as_ref().filter(|folder| !folder.is_dir()) {
        let why = format!("--files {}: there is no such directory: create it, or name another", folder.display());
        return Err(Failure::usage(why));
    }
    let stop = stop_on_signals();
    let unreachable = |why: &str| Failure(Exit::Unreachable, why.into());
    let division = Division::of_this_machine().map_err(unreachable)?;
    let mut fleet = LocalFleet::new(division, args.servers, args.files, stop);
    plan.cpus = fleet.division().load.cpus().to_vec();
    plan.threads = plan.threads.min(plan.cpus.len());
    if !args.run.quiet {
        left_out.iter().for_each(|line| say(line));
        say(&fleet.division().describe());
        plan.set.iter().for_each(|(model, flags)| say(&set::describe(model, flags)));
    }
    match fleet.check(&plan) {
        Err(_) if stop.load(Relaxed) => {} // the signal may have interrupted a system call of the check
        checked => checked?,
    }
    let mut fleet = AaFleet::new(&mut fleet, &targets);
    let pages = args.page.start(&args.run);
    let run = front::run(&args.run, &prepared, &plan, &mut fleet, &mut (), stop)?;
    pages.iter().for_each(Pages::farewell);
    if args.is_aa {
        front::print(|out| noise::print(&run.results, true, out)).map_err(Failure::usage)?;
    }
    front::conclude(&args.run, run)
}
