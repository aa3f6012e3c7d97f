//! Reads results.json files, of this version of the schema and of version 1.

use crate::schema::{Results, SCHEMA};
use crate::version1;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The name of version 1.
pub(crate) const VERSION_1: &str = "io-models-lab/results/1";

/// The largest file that is read, in bytes; a trial takes some kilobytes.
pub(crate) const LARGEST: u64 = 512 << 20;

/// What is read first, since the rest may have another form under another schema.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
}

impl Results {
    /// Reads a results.json file.
    ///
    /// # Errors
    /// One line: the file does not exist, is not JSON, has another schema, or has more than 512 MiB.
    pub fn load(path: &Path) -> Result<Results, String> {
        let name = path.display().to_string();
        Results::read(&name, File::open(path).map_err(|error| unreadable(&name, &error))?)
    }

    /// Reads the text of a results.json file, which messages call `name`.
    ///
    /// # Errors
    /// The same.
    pub fn read(name: &str, file: impl Read) -> Result<Results, String> {
        let say = |why: String| format!("{name}: {why}");
        let json = |error: serde_json::Error| match error.is_eof() {
            true => say(format!("it is no whole results.json: {error}")),
            false => say(format!("it is no results.json: {error}")),
        };
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| unreadable(name, &error))?;
        match text.len() as u64 {
            0 => return Err(say("it is no results.json: it is empty".into())),
            length if length > LARGEST => {
                let why = format!("it is no results.json, or a huge one: it has more than {} MiB", LARGEST >> 20);
                return Err(say(why));
            }
            _ => {}
        }
        let head: Head = serde_json::from_slice(&text).map_err(json)?;
        match head.schema.as_ref().map(|schema| schema.as_str()) {
            Some(Some(SCHEMA)) => {
                let mut results: Results = serde_json::from_slice(&text).map_err(json)?;
                say_background(&mut results);
                Ok(results)
            }
            Some(Some(VERSION_1)) => {
                let mut results: Results = serde_json::from_slice(&text).map_err(json)?;
                results.cells.iter_mut().for_each(version1::upgrade);
                say_background(&mut results);
                Ok(results)
            }
            other => {
                let schema = other.flatten().unwrap_or("not said");
                Err(say(format!("its schema is {schema}, and this program reads {SCHEMA}")))
            }
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => format!("{name}: it is a folder; name the results.json in it"),
        _ => format!("{name}: {error}"),
    }
}

/// Older programs said for the whole run what its loads were beside, and not in the cells.
fn say_background(results: &mut Results) {
    let Some((first, others)) = results.settings.loads.split_first() else { return };
    let is_same = others.iter().all(|load| load.background == first.background);
    if is_same && results.cells.iter().all(|cell| cell.key.load.background.is_none()) {
        results.cells.iter_mut().for_each(|cell| cell.key.load.background = first.background.clone());
    }
}
