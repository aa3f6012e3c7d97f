//! The commands that work on finished results: show, merge, compare.

use super::exit::Failure;
use super::outputs;
use super::report;
use super::terminal::{print, say};
use clap::{Parser, Subcommand};
use results::differences::{circumstances, common_runs, differences};
use results::{Results, compare, merge};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The names of these commands.
pub const COMMANDS: [&str; 3] = ["show", "merge", "compare"];

#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Files {
    #[command(subcommand)]
    command: Command,
    /// As for a run: with --owner, whose identity the program takes if it runs as root
    #[arg(long, value_name = "DIR", global = true, hide = true, env = "LOADTEST_RESULTS")]
    results: Option<PathBuf>,
    /// As for a run
    #[arg(long, value_name = "FILE", global = true, hide = true, env = "LOADTEST_OWNER")]
    owner: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the answers and tables of a run again
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
        /// File for the joined results; without it, they are printed
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Print what changed from one run to another beyond noise; needs five trials in each. Whether a change is one for
    /// better or worse is told only of merged results, which have several runs each
    Compare {
        /// results.json of the first run
        first: PathBuf,
        /// results.json of the second run
        second: PathBuf,
        /// Compare also runs of different experiments (another machine, window, background load...), or with trials in
        /// common
        #[arg(long)]
        anyway: bool,
    },
}

/// Runs the command that the arguments name.
///
/// # Errors
/// What is wrong with a file, or why the runs are not compared.
pub fn run(arguments: Vec<OsString>) -> Result<(), Failure> {
    let files = Files::parse_from(arguments);
    super::become_owner(files.results.as_deref(), files.owner.as_deref())?;
    let done = match files.command {
        Command::Show { file } => report::print(&load(&file)?),
        Command::Merge { first, second, output } => {
            let (first, second) = (load(&first)?, load(&second)?);
            let unlike = circumstances(&first, &second);
            let merged = merge::merge(first, second).map_err(Failure::usage)?;
            if !unlike.is_empty() {
                say(&format!("warning: the runs were not made under the same circumstances: {}", unlike.join("; ")));
            }
            match output {
                Some(path) => outputs::write_file("--output", &path, &|file| merged.write(file)),
                None => report::print(&merged),
            }
        }
        Command::Compare { first, second, anyway } => compare_files(&load(&first)?, &load(&second)?, anyway),
    };
    done.map_err(Failure::usage)
}

/// Prints what changed, below the circumstances that differ, and what makes the comparison unfair; without `anyway`, there
/// must be none of that.
fn compare_files(first: &Results, second: &Results, anyway: bool) -> Result<(), String> {
    let common = common_runs(first, second).into_iter().map(|run| format!("both have the trials of run {run}"));
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let doubts = match lines(common.chain(differences(first, second)).collect()) {
        none if none.is_empty() => none,
        lines if anyway => format!("no fair comparison, so a change may have another cause:\n{lines}\n"),
        lines => {
            let what = "this is no fair comparison, so a change may have another cause";
            return Err(format!("{what}; --anyway makes it\n{}", lines.trim_end()));
        }
    };
    let unlike = match lines(circumstances(first, second)) {
        none if none.is_empty() => none,
        lines => format!("the circumstances differ, which may be the cause of a change:\n{lines}\n"),
    };
    print(|out| {
        out.write_all((doubts + &unlike).as_bytes())?;
        compare::print(first, second, out)
    })
}

fn load(file: &Path) -> Result<Results, Failure> {
    Results::load(file).map_err(Failure::usage)
}
