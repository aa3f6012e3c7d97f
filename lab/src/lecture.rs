//! `lab lecture`: sentences of the lecture, each judged by an experiment against a margin that was fixed before it.

mod ceiling;
mod claims;
mod experiment;
mod flags;
mod make;
mod sentence;
mod watched;

pub use flags::LectureFlags;

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use loadtest::front::{self, Exit, Failure, say};
use loadtest::{run, stop_on_signals};
use results::Plan;
use results::claims::{Claim, Ruling};

use crate::division::Division;
use make::{Made, Maker, Unmade};
use sentence::Sentence;

/// Judges the claims that the flags name, or all of them, and prints the board.
///
/// # Errors
/// The flags are wrong, or an experiment could not be made.
pub fn lecture(flags: &LectureFlags) -> Result<Exit, Failure> {
    let sentences = flags.sentences().map_err(Failure::usage)?;
    let stop = stop_on_signals();
    let division = Division::of_this_machine().map_err(|why| Failure(Exit::Failed, why.into()))?;
    let mut board = run::begin(&Plan { loads: Vec::new(), ..Plan::default() });
    let folder = flags.results.join(&board.run_id);
    let mut failed = Vec::new();
    for sentence in sentences {
        if stop.load(Relaxed) {
            break;
        }
        say(&format!("{}: {}", sentence.id, sentence.says));
        let mut maker = Maker { division: &division, seed: flags.seed, stop };
        let claim = match maker.make(sentence) {
            Ok(Made { results, judged, took }) => {
                front::write_folder("--results", &folder.join(sentence.id), &results).map_err(Failure::usage)?;
                Claim {
                    ruling: results::claims::together(&judged.parts),
                    parts: judged.parts,
                    notes: judged.notes,
                    seconds: Some(took.as_secs_f64()),
                    experiment: Some(format!("{}/results.json", sentence.id)),
                    ..unjudged(sentence, None)
                }
            }
            Err(Unmade::Interrupted) => break,
            Err(Unmade::NotHere(why)) => unjudged(sentence, Some(why)),
            Err(Unmade::Failed(why)) => {
                failed.push(format!("{}: {why}", sentence.id));
                unjudged(sentence, Some(why))
            }
        };
        say(&format!("  {}", claim.ruling));
        board.claims.push(claim);
    }
    board.interrupted = stop.load(Relaxed);
    save(&folder, &board).map_err(Failure::usage)?;
    match () {
        () if !failed.is_empty() => Err(Failure(Exit::Failed, failed.join("\n"))),
        () if board.interrupted => Ok(Exit::Interrupted),
        () => Ok(Exit::Done),
    }
}

fn save(folder: &Path, board: &results::Results) -> Result<(), String> {
    front::write_folder("--results", folder, board)
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
