//! `lab lecture`: sentences of the lecture, each judged by an experiment against a margin that was fixed before it.

mod ceiling;
mod claims;
mod experiment;
mod flags;
mod make;
mod progress;
mod sentence;
#[cfg(test)]
mod tests;
mod watched;

pub use flags::{LectureFlags, of_unknown_claim};

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use loadtest::front::{self, Exit, Failure, Outputs, say};
use loadtest::remote_write::RemoteWrite;
use loadtest::{run, stop_on_signals};
use results::claims::{Claim, Ruling, together};
use results::{Plan, Results};

use crate::division::Division;
use experiment::Experiment;
use make::{Maker, Unmade};
use progress::Progress;
use sentence::Sentence;

/// Judges the claims that the flags name, or all of them, and prints the board.
///
/// The board is written after each claim, so that what was judged stays, whatever comes then.
///
/// # Errors
/// An experiment could not be made, or a file not be written.
pub fn lecture(flags: &LectureFlags) -> Result<Exit, Failure> {
    front::become_owner(Some(&flags.results), flags.owner.as_deref())?;
    let outputs = Outputs::check_files(&flags.results, flags.json.as_deref(), flags.csv.as_deref());
    let outputs = outputs.map_err(Failure::usage)?;
    let stop = stop_on_signals();
    let division = Division::of_this_machine().map_err(|why| Failure(Exit::Failed, why.into()))?;
    let asked: Vec<_> = flags.sentences().map(|sentence| (sentence, experiment(sentence, flags))).collect();
    let mut progress = Progress::new(flags.quiet, asked.len(), asked.iter().map(takes).sum());
    progress.start(&division.describe());
    let maker = Maker { division: &division, seed: flags.seed, stop, dir: &flags.dir, on_disk: OnceCell::new() };
    let mut board = run::begin(&Plan { loads: Vec::new(), ..Plan::default() });
    let folder = flags.results.join(&board.run_id);
    let remote = flags.remote_write.clone().map(RemoteWrite::start).transpose();
    let mut remote = remote.map_err(|error| Failure(Exit::Failed, format!("--remote-write: {error}")))?;
    remote.iter_mut().for_each(|remote| remote.begin_board(&board.run_id));
    let mut failures = Vec::new();
    board.interrupted = true; // until the last claim is judged
    let claims = asked.len();
    for asked in asked {
        if stop.load(Relaxed) {
            break;
        }
        progress.begin(asked.0, takes(&asked));
        let (sentence, experiment) = asked;
        let made = experiment.map_err(Unmade::NotHere);
        let made = made.and_then(|experiment| maker.make(experiment, sentence.seconds, &mut progress));
        let claim = match made {
            Ok(made) => {
                front::write_folder("--results", &folder.join(sentence.id), &made.results).map_err(Failure::usage)?;
                let judged = made.judge(sentence);
                failures.extend(judged.as_ref().err().map(|why| format!("{}: {why}", sentence.id)));
                let why = judged.as_ref().err().cloned();
                let judged = judged.unwrap_or_default();
                let ruling = together(&judged.parts);
                let too_few = made.why_too_few_blocks(sentence).filter(|_| ruling == Ruling::CannotBeShown);
                Claim {
                    ruling,
                    parts: judged.parts,
                    notes: judged.notes,
                    seconds: Some(made.took.as_secs_f64()),
                    experiment: Some(format!("{}/results.json", sentence.id)),
                    ..unjudged(sentence, why.or(too_few))
                }
            }
            Err(Unmade::Interrupted) => break,
            Err(Unmade::NotHere(why)) => unjudged(sentence, Some(why)),
            Err(Unmade::Failed(why)) => {
                failures.push(format!("{}: {why}", sentence.id));
                unjudged(sentence, Some(why))
            }
        };
        progress.judged(&claim);
        remote.iter_mut().for_each(|remote| remote.claim(&claim));
        board.claims.push(claim);
        board.interrupted = board.claims.len() < claims;
        save(&folder, &board).map_err(Failure::usage)?;
    }
    front::clear_progress();
    if board.claims.is_empty() {
        return Ok(Exit::Interrupted);
    }
    conclude(flags, &outputs, &folder, &board).map_err(Failure::usage)?;
    // This comes after the files are written because it may have to wait for a slow Prometheus.
    if let Some(report) = remote.map(RemoteWrite::finish)
        && !(flags.quiet && report.is_complete())
    {
        say(&format!("lab: {report}"));
    }
    match () {
        () if board.interrupted => Ok(Exit::Interrupted),
        () if !failures.is_empty() => Err(Failure(Exit::Failed, failures.join("\n"))),
        () => Ok(Exit::Done),
    }
}

/// The experiment of a sentence, as the flags change it.
fn experiment(sentence: &Sentence, flags: &LectureFlags) -> Result<Experiment, String> {
    let experiment = (sentence.experiment)()?;
    Ok(Experiment { blocks: flags.blocks.map_or(experiment.blocks, Into::into), ..experiment })
}

/// How long an experiment takes at most: one that cannot be made here, no time.
fn takes((sentence, experiment): &(&Sentence, Result<Experiment, String>)) -> Duration {
    if experiment.is_ok() { Duration::from_secs(sentence.seconds) } else { Duration::ZERO }
}

/// Writes the board into the folder of the lecture. Where an older one is, it is replaced whole.
fn save(folder: &Path, board: &Results) -> Result<(), String> {
    let file = folder.join("results.json");
    fs::create_dir_all(folder).map_err(|error| format!("--results {}: {error}", folder.display()))?;
    front::write_file("--results", &file, &|file| board.write(file))
}

/// Prints the board, writes the other files, and says where the results are. None of these depends on another one.
fn conclude(flags: &LectureFlags, outputs: &Outputs, folder: &Path, board: &Results) -> Result<(), String> {
    let mut failures = Vec::new();
    if !flags.quiet {
        failures.extend(front::print_report(board).err());
    }
    let (written, not_written) = outputs.write(board);
    failures.extend(not_written);
    let report = folder.join("report.html");
    let page = pages::report(board);
    failures.extend(front::write_file("--results", &report, &|file| file.write_all(page.as_bytes())).err());
    if !flags.quiet {
        say(&front::names(&folder.join("results.json")));
        say(&front::names(&report));
        written.iter().for_each(|file| say(&front::names(file)));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// A claim whose experiment was not made.
fn unjudged(sentence: &Sentence, why: Option<String>) -> Claim {
    Claim {
        id: sentence.id.into(),
        says: sentence.says.into(),
        does: sentence.does.into(),
        ruling: Ruling::CannotBeShown,
        why,
        parts: Vec::new(),
        notes: Vec::new(),
        command: sentence.command(),
        seconds: None,
        experiment: None,
    }
}
