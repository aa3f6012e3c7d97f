//! The runs in short. A run's results are read once: what is said of them is kept while the file stays as it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use pages::list::{Listed, Listing, Summary};
use results::Results;

use super::folder::{RESULTS, Runs};

/// So many runs are listed, the newest.
const MOST: usize = 200;

/// When a file was written, its length, and what is said of it.
type Known = (SystemTime, u64, Result<Summary, String>);

/// Whether a run goes on, when it has last written something, and its name. One that goes on is greater than all others.
type Found = (bool, SystemTime, String);

fn found_at(runs: &Runs, name: String) -> Option<Found> {
    let goes_on = runs.goes_on(&name);
    let written = goes_on.or_else(|| Some(runs.written(&[&name], RESULTS)?.0))?;
    Some((goes_on.is_some(), written, name))
}

/// What is known of results.
#[derive(Default)]
pub struct Summaries(Mutex<HashMap<String, Known>>);

impl Summaries {
    /// The runs, the newest first: one that goes on before all others.
    pub fn list(&self, runs: &Runs) -> Vec<Listed> {
        let mut found: Vec<Found> = Vec::new();
        for name in runs.names().unwrap_or_default() {
            found.extend(found_at(runs, name));
        }
        found.sort_by(|a, b| b.cmp(a));
        found.truncate(MOST);
        let listed = |(goes_on, _, name): Found| {
            let state = if goes_on { Listing::GoesOn } else { self.of(runs, &name) };
            Listed { name, state }
        };
        found.into_iter().map(listed).collect()
    }

    /// The name of the run that goes on, or else of the newest one.
    pub fn newest(runs: &Runs) -> Option<String> {
        let names = runs.names().ok()?.into_iter();
        names.filter_map(|name| found_at(runs, name)).max().map(|(.., name)| name)
    }

    fn of(&self, runs: &Runs, name: &str) -> Listing {
        let Some((written, length)) = runs.written(&[name], RESULTS) else {
            return Listing::Unreadable("it has gone".into());
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |known: &&Known| known.0 == written && known.1 == length;
        let summary = match all.get(name).filter(is_same) {
            Some((.., summary)) => summary.clone(),
            None => {
                let file = runs.file(&[name], RESULTS).map_err(|error| error.to_string());
                let summary = file.and_then(|file| Results::read(RESULTS, file)).map(|results| Summary::of(&results));
                all.insert(name.to_owned(), (written, length, summary.clone()));
                summary
            }
        };
        match summary {
            Ok(summary) => Listing::Done(summary),
            Err(why) => Listing::Unreadable(why),
        }
    }
}
