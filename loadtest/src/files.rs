//! The commands that work on finished results: show, merge, compare.

use clap::{Parser, Subcommand};
use loadtest::results::Results;
use loadtest::{compare, report};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

/// The names of these commands.
pub const COMMANDS: [&str; 3] = ["show", "merge", "compare"];

#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Files {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the table of a run again
    Show {
        /// The results.json of the run
        file: PathBuf,
    },
    /// Join two runs with the same settings: the trials of both
    Merge {
        /// The results.json of the first run
        first: PathBuf,
        /// The results.json of the second run
        second: PathBuf,
        /// File for the joined results; without it, the table is printed
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Print what changed from one run to another beyond noise; needs five trials in each
    Compare {
        /// results.json of the first run
        first: PathBuf,
        /// results.json of the second run
        second: PathBuf,
    },
}

/// Runs the command that the arguments name.
///
/// # Errors
/// One line that says what is wrong with a file.
pub fn run(arguments: Vec<OsString>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let styled = io::stdout().is_terminal();
    let printed = match Files::parse_from(arguments).command {
        Command::Show { file } => report::print(&Results::load(&file)?, &mut out, styled),
        Command::Merge { first, second, output } => {
            let merged = compare::merge(Results::load(&first)?, Results::load(&second)?)?;
            match output {
                Some(path) => merged.save(&path).map_err(|error| format!("{}: {error}", path.display()))?,
                None => drop(report::print(&merged, &mut out, styled)),
            }
            Ok(())
        }
        Command::Compare { first, second } => {
            compare::print(&Results::load(&first)?, &Results::load(&second)?, &mut out)
        }
    };
    // It is not a failure when the reader of standard output has gone away (`| head`).
    drop(printed);
    Ok(())
}
