//! What the programs that make a run have in common, `loadtest` and the lab: their flags, the progress that they show,
//! the report and the files at the end, and their exit codes.

mod content_flags;
mod exit;
pub mod files;
mod flags;
mod hgrm;
mod hint;
mod live_log;
mod load_flags;
mod load_text;
mod outputs;
mod path_file;
mod progress;
mod report;
mod save;
mod sparkline;
mod terminal;

pub use exit::{Exit, Failure, exit_code};
pub use flags::RunFlags;
pub use hint::with_hint;
pub use load_flags::DESCRIBE_A_LOAD;
pub use load_text::loads_of;
pub use outputs::{Outputs, write_file, write_folder};
pub use progress::disturbed;
pub use report::{names, print as print_report};
pub use terminal::{clear_progress, has_progress_line, print, say, show_progress};

use crate::events::Observer;
use crate::fleet::Fleet;
use crate::{limits, privileges};
use live_log::LiveLog;
use progress::Progress;
use results::conditions::{self, Condition};
use results::goals;
use results::{Plan, Results};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// If the program runs as root, it takes the identity of the owner of the folder of `--results`, or of the owner of the
/// file `like` if root owns the folder: see [`privileges::drop_privileges_to_owner`]. Nothing happens without both.
///
/// # Errors
/// One of the two paths does not exist, or a capability is missing.
pub fn become_owner(results: Option<&Path>, like: Option<&Path>) -> Result<(), Failure> {
    let Some((folder, like)) = results.zip(like) else { return Ok(()) };
    privileges::drop_privileges_to_owner(folder, like)
        .map_err(|error| Failure::usage(format!("--results {}, --owner {}: {error}", folder.display(), like.display())))
}

/// What a run needs beside its plan.
#[derive(Debug)]
pub struct Prepared {
    outputs: Outputs,
    /// The plan's budget counts from here.
    began: Instant,
}

/// Checks, before the load, that this machine has room for the plan's connections and that the files can be written. The
/// time of the plan's budget begins.
///
/// # Errors
/// Wrong usage: one line that says what to change.
pub fn prepare(flags: &RunFlags, plan: &Plan) -> Result<Prepared, Failure> {
    let began = Instant::now();
    limits::make_room(plan.connections()).map_err(Failure::usage)?;
    let outputs = Outputs::check(flags).map_err(Failure::usage)?;
    Ok(Prepared { outputs, began })
}

/// A run that is over: its results, and what could not be written.
#[derive(Debug)]
pub struct Finished {
    /// The results, whether or not they could be written.
    pub results: Results,
    failures: Vec<String>,
}

/// Makes the run: shows its progress, prints the report and writes the files. None of these depends on another one;
/// [`conclude`] tells which failed.
///
/// # Errors
/// The load could not be run.
pub fn run(
    flags: &RunFlags,
    prepared: &Prepared,
    plan: &Plan,
    fleet: &mut dyn Fleet,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Finished, Failure> {
    let live = flags.results.as_deref().map(|folder| LiveLog::new(folder, plan));
    let mut observers = (Progress::new(flags.quiet), (live, observer));
    let results = crate::run(plan, prepared.began, fleet, &mut observers, stop)
        .map_err(|error| Failure(Exit::Failed, format!("the load could not be run: {error}")))?;
    clear_progress();
    let mut failures = Vec::new();
    if !flags.quiet {
        failures.extend(report::print(&results).err());
    }
    if results.cells.is_empty() {
        return Ok(Finished { results, failures }); // no file, and an older one stays
    }
    let (files, not_written) = prepared.outputs.write(&results);
    failures.extend(not_written);
    if !flags.quiet {
        files.iter().for_each(|file| say(&report::names(file)));
    }
    Ok(Finished { results, failures })
}

/// How the program ends after the run. Prints to standard error which conditions of `--fail-on` were not met, and to standard
/// output which goals of `--at-most` are reached; of a quiet run, to standard error those that are not.
///
/// A run fails if a cell does not meet a condition, or a target could not be measured. It also fails if a request
/// failed, unless a condition on errors allows some failures.
///
/// # Errors
/// The table or a file could not be written: a line for each.
pub fn conclude(flags: &RunFlags, run: Finished) -> Result<Exit, Failure> {
    let Finished { results, mut failures } = run;
    let crossed = conditions::crossed(&flags.fail_on, &results);
    crossed.iter().for_each(|line| say(line));
    let judged = if results.cells.is_empty() { Vec::new() } else { goals::judge(&flags.at_most, &results) };
    let are_reached = judged.iter().all(|goal| goal.is_reached);
    if flags.quiet {
        judged.iter().filter(|goal| !goal.is_reached).for_each(|goal| say(&format!("--at-most: {}", goal.line)));
    } else if !judged.is_empty() {
        failures.extend(report::print_goals(&judged).err());
    }
    if !failures.is_empty() {
        return Err(Failure::usage(failures.join("\n")));
    }
    if results.cells.is_empty() && !results.interrupted {
        return Err(Failure(
            Exit::Failed,
            "nothing was measured; give more --budget, or fewer loads or targets".into(),
        ));
    }
    let tolerant = flags.fail_on.iter().any(Condition::is_about_errors);
    Ok(match results.interrupted {
        true => Exit::Interrupted,
        false if !crossed.is_empty() || (results.has_failures() && !tolerant) => Exit::Failed,
        false if !are_reached => Exit::Missed,
        false => Exit::Done,
    })
}
