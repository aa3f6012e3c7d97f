//! The flags of `lab lecture`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use loadtest::remote_write;
use loadtest::target::Url;

use super::claims::SENTENCES;
use super::sentence::Sentence;

/// What `lab lecture` is asked for.
#[derive(Debug, Args)]
pub struct LectureFlags {
    /// The claims to judge [default: all]
    #[arg(value_name = "CLAIM", value_parser = known_claims())]
    claims: Vec<String>,
    /// Seed that decides the order of the trials [default: different each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder in which this run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "results", env = "LECTURE_RESULTS")]
    pub results: PathBuf,
    /// Directory on a disk, for the files of the claims about files that are not in memory; they are removed at the end
    #[arg(long, value_name = "DIR", default_value = "disk-files", env = "LECTURE_DIR")]
    pub dir: PathBuf,
    /// Blocks of each experiment, instead of as many as it has. With fewer, the intervals are wider; the margins stay
    #[arg(long, value_name = "N")]
    pub blocks: Option<NonZeroUsize>,
    /// Also write the board as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write the board as CSV to this file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Prometheus to which each claim is written when it is judged; does not affect the exit code
    #[arg(long, value_name = "URL", value_parser = remote_write::endpoint, env = "LECTURE_REMOTE_WRITE")]
    pub remote_write: Option<Url>,
    /// If the program runs as root, it takes the identity of the owner of the --results folder, or of this file's owner if
    /// root owns the folder
    #[arg(long, value_name = "FILE", hide = true, env = "LECTURE_OWNER")]
    pub owner: Option<PathBuf>,
    /// Print neither progress nor the board
    #[arg(short, long)]
    pub quiet: bool,
}

/// The claims, as clap knows them: so they are in the help, each with its sentence.
fn known_claims() -> PossibleValuesParser {
    SENTENCES.iter().map(|sentence| PossibleValue::new(sentence.id).help(sentence.says)).collect::<Vec<_>>().into()
}

/// Says in one line that there is no such claim, if this is what is wrong, and which there are.
pub fn of_unknown_claim(error: clap::Error) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let is_a_claim = text(ContextKind::InvalidArg).is_some_and(|arg| arg.contains("CLAIM"));
    let Some(unknown) = text(ContextKind::InvalidValue).filter(|_| is_a_claim) else { return error };
    let nearest = text(ContextKind::SuggestedValue).map_or(String::new(), |near| format!(" (did you mean {near}?)"));
    let there_are: Vec<&str> = SENTENCES.iter().map(|sentence| sentence.id).collect();
    let line = format!("there is no claim '{unknown}'{nearest}; there are {}\n", there_are.join(", "));
    clap::Error::raw(ErrorKind::InvalidValue, line)
}

impl LectureFlags {
    /// The sentences that are to be judged, in the order of the board, each once.
    pub fn sentences(&self) -> impl Iterator<Item = &'static Sentence> {
        let is_asked = |sentence: &&Sentence| self.claims.is_empty() || self.claims.iter().any(|id| id == sentence.id);
        SENTENCES.iter().copied().filter(is_asked)
    }
}
