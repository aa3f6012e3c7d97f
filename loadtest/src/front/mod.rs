//! What the programs that make a run have in common, `loadtest` and the lab: their flags, the progress that they show,
//! the table and the files at the end, and their exit codes.

mod exit;
pub mod files;
mod flags;
mod hint;
mod outputs;
mod progress;
mod terminal;

pub use exit::{Exit, Failure, exit_code};
pub use flags::RunFlags;
pub use hint::with_hint;
pub use outputs::Outputs;
pub use terminal::say;

use crate::events::Observer;
use crate::fleet::Fleet;
use crate::limits;
use progress::Progress;
use results::conditions::Condition;
use results::{Plan, Results};
use std::sync::atomic::AtomicBool;

/// Checks, before the load, that this machine has room for the plan's connections and that the files can be written.
///
/// # Errors
/// Wrong usage: one line that says what to change.
pub fn prepare(flags: &RunFlags, plan: &Plan) -> Result<Outputs, Failure> {
    limits::make_room(plan.connections()).map_err(Failure::usage)?;
    Outputs::open(flags).map_err(Failure::usage)
}

/// Makes the run: shows its progress, prints the table and writes the files.
///
/// # Errors
/// The load could not be run, or a file could not be written.
pub fn run(
    flags: &RunFlags,
    outputs: &Outputs,
    plan: &Plan,
    fleet: &mut dyn Fleet,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Results, Failure> {
    let mut observers = (Progress::new(flags.quiet), observer);
    let results = crate::run(plan, fleet, &mut observers, stop)
        .map_err(|error| Failure(Exit::Failed, format!("the load could not be run: {error}")))?;
    observers.0.clear();
    if !flags.quiet {
        terminal::print_table(&results);
    }
    let files = outputs.write(&results).map_err(Failure::usage)?;
    if !flags.quiet {
        files.iter().for_each(|file| say(&format!("results: {}", file.display())));
    }
    Ok(results)
}

/// How the program ends after the run. Prints to standard error which conditions of `--fail-on` were not met.
///
/// A run fails if a cell does not meet a condition, or a target could not be measured. It also fails if a request
/// failed, unless a condition on errors allows some failures.
pub fn conclude(flags: &RunFlags, results: &Results) -> Exit {
    let crossed: Vec<String> = flags.fail_on.iter().flat_map(|condition| condition.crossed(results)).collect();
    crossed.iter().for_each(|line| say(line));
    let tolerant = flags.fail_on.iter().any(Condition::is_about_errors);
    match results.interrupted {
        true => Exit::Interrupted,
        false if !crossed.is_empty() || (results.has_failures() && !tolerant) => Exit::Failed,
        false => Exit::Done,
    }
}
