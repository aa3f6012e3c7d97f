//! The commands that work on finished results: show, report, merge, compare. `loadtest` and the lab have the same.

use super::exit::{Exit, Failure};
use super::outputs;
use super::report;
use super::terminal::{print, say};
use clap::Subcommand;
use results::differences::{circumstances, doubts};
use results::goals::{self, Goal};
use results::{Results, claims, compare, merge, ndjson};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The names of these commands.
pub const COMMANDS: [&str; 4] = ["show", "report", "merge", "compare"];

/// A command that works on finished results.
#[derive(Debug, Subcommand)]
pub enum FileCommand {
    /// Print the answers and tables of a run again
    Show {
        /// The results.json of the run [default: that of the newest run]
        file: Option<PathBuf>,
        /// A goal, as --at-most of a run; the last lines say whether it is reached
        #[arg(long, value_name = "GOAL", value_delimiter = ',')]
        at_most: Vec<Goal>,
    },
    /// Write the page on a run: one HTML file with charts, which a browser shows without a network
    Report {
        /// The results.json of the run [default: that of the newest run]
        file: Option<PathBuf>,
        /// The file to write [default: report.html beside the results.json]
        #[arg(short, long)]
        output: Option<PathBuf>,
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
    /// Print what changed from one run to another beyond noise; needs four trials in each. Whether a change is one for
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

impl FileCommand {
    /// Runs the command, and returns how the program ends. `runs` is the folder in which runs leave their results.
    ///
    /// # Errors
    /// What is wrong with a file, or why the runs are not compared.
    pub fn run(self, runs: &Path) -> Result<Exit, Failure> {
        let done = match self {
            FileCommand::Show { file: Some(file), at_most } => return show(&load(&file)?, &at_most),
            FileCommand::Show { file: None, at_most } => {
                let newest = newest_in(runs).map_err(Failure::usage)?;
                say(&newest.display().to_string());
                return show(&load(&newest)?, &at_most);
            }
            FileCommand::Report { file, output } => {
                let file = file.map_or_else(|| newest_in(runs), Ok).map_err(Failure::usage)?;
                write_report(&file, &output.unwrap_or_else(|| file.with_file_name("report.html")))
            }
            FileCommand::Merge { first, second, output } => {
                let (first, second) = (load(&first)?, load(&second)?);
                if first.is_board() || second.is_board() {
                    let why =
                        "the claims of two runs are not joined: each is judged by its own blocks; 'compare' shows both";
                    return Err(Failure::usage(why));
                }
                let unlike = circumstances(&first, &second);
                let merged = merge::merge(first, second).map_err(Failure::usage)?;
                if !unlike.is_empty() {
                    let unlike = unlike.join("; ");
                    say(&format!("warning: the runs were not made under the same circumstances: {unlike}"));
                }
                match output {
                    Some(path) => outputs::write_file("--output", &path, &|file| merged.write(file)),
                    None => report::print(&merged),
                }
            }
            FileCommand::Compare { first, second, anyway } => compare_files(&load(&first)?, &load(&second)?, anyway),
        };
        done.map(|()| Exit::Done).map_err(Failure::usage)
    }
}

/// Prints the report on a run, and whether it reaches the goals.
fn show(results: &Results, goals: &[Goal]) -> Result<Exit, Failure> {
    if results.is_board() && !goals.is_empty() {
        return Err(Failure::usage("--at-most: this file has claims; goals are for the results.json of a run"));
    }
    goals::check(goals, &results.settings).map_err(Failure::usage)?;
    report::print(results).map_err(Failure::usage)?;
    let judged = goals::judge(goals, results);
    if !judged.is_empty() {
        report::print_goals(&judged).map_err(Failure::usage)?;
    }
    Ok(if judged.iter().all(|goal| goal.is_reached) { Exit::Done } else { Exit::Missed })
}

/// Writes the page on a run, with its slices if they lie beside it, and says where it is.
fn write_report(file: &Path, output: &Path) -> Result<(), String> {
    let mut results = Results::load(file)?;
    let slices = file.with_file_name("slices.ndjson");
    if let Ok(lines) = File::open(&slices)
        && let Err(why) = ndjson::read_into(&mut results, BufReader::new(lines))
    {
        say(&format!("the page has no charts over time: {}: {why}", slices.display()));
    }
    outputs::write_file("--output", output, &|out| out.write_all(pages::report(&results).as_bytes()))?;
    say(&format!("report: {}", output.display()));
    Ok(())
}

/// The results.json that was written last, of those that lie in the folders of this folder.
fn newest_in(runs: &Path) -> Result<PathBuf, String> {
    let files = fs::read_dir(runs).into_iter().flatten().flatten().map(|run| run.path().join("results.json"));
    let newest = files.filter_map(|file| Some((fs::metadata(&file).ok()?.modified().ok()?, file))).max();
    let none = || format!("there is no run in {}: name its results.json", runs.display());
    newest.map(|(_, file)| file).ok_or_else(none)
}

/// Prints what changed, below the circumstances that differ, and what makes the comparison unfair; without `anyway`, there
/// must be none of that.
fn compare_files(first: &Results, second: &Results, anyway: bool) -> Result<(), String> {
    match (first.is_board(), second.is_board()) {
        (true, true) => return print(|out| claims::print_comparison(&first.claims, &second.claims, out)),
        (false, false) => {}
        _ => return Err("one of the files has claims, and the other one has cells: compare two of the same".into()),
    }
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    let doubts = match lines(doubts(first, second)) {
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
