//! The commands that work on finished results: show, merge, compare.

use super::exit::Failure;
use super::outputs;
use super::terminal::print;
use clap::{Parser, Subcommand};
use results::{Results, compare, merge, table};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
pub fn run(arguments: Vec<OsString>) -> Result<(), Failure> {
    let print_table = |results: &Results| print(|out| table::print(results, out));
    let done = match Files::parse_from(arguments).command {
        Command::Show { file } => print_table(&load(&file)?),
        Command::Merge { first, second, output } => {
            let merged = merge::merge(load(&first)?, load(&second)?).map_err(Failure::usage)?;
            match output {
                Some(path) => outputs::write_file("--output", &path, &|file| merged.write(file)),
                None => print_table(&merged),
            }
        }
        Command::Compare { first, second } => {
            let (first, second) = (load(&first)?, load(&second)?);
            print(|out| compare::print(&first, &second, out))
        }
    };
    done.map_err(Failure::usage)
}

fn load(file: &Path) -> Result<Results, Failure> {
    Results::load(file).map_err(Failure::usage)
}
