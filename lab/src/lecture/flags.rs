//! The flags of `lab lecture`.

use std::path::PathBuf;

use clap::Args;

use super::claims::SENTENCES;
use super::sentence::Sentence;

/// What `lab lecture` is asked for.
#[derive(Debug, Args)]
pub struct LectureFlags {
    /// The claims to judge [default: all]
    #[arg(value_name = "CLAIM")]
    claims: Vec<String>,
    /// Seed that decides the order of the trials [default: different each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder in which this run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

impl LectureFlags {
    /// The sentences that are to be judged, in the order of the board, each once.
    ///
    /// # Errors
    /// A line: there is no such claim.
    pub fn sentences(&self) -> Result<Vec<&'static Sentence>, String> {
        if let Some(unknown) = self.claims.iter().find(|id| SENTENCES.iter().all(|sentence| sentence.id != **id)) {
            let there_are: Vec<&str> = SENTENCES.iter().map(|sentence| sentence.id).collect();
            return Err(format!("there is no claim '{unknown}'; there are {}", there_are.join(", ")));
        }
        let is_asked = |sentence: &&&Sentence| self.claims.is_empty() || self.claims.iter().any(|id| id == sentence.id);
        Ok(SENTENCES.iter().filter(is_asked).copied().collect())
    }
}
