//! The database file of the nods, from the start of the service to its end.

use std::io;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::temporary::TemporaryDir;

/// The prepared database file. Without `--store` it is in a temporary directory, which is removed with this value.
pub(crate) struct StoreFile {
    pub path: PathBuf,
    pub temporary_dir: Option<TemporaryDir>,
}

impl StoreFile {
    /// Creates the database, or opens the given one and checks that it is a database of nods.
    pub fn prepare(given: Option<&Path>) -> Result<StoreFile, Failure> {
        match given {
            Some(file) => {
                app::prepare_store(file).map_err(|error| {
                    let what_to_do = "name a file that you may write to: a new one, or one that --store has made";
                    Failure::CannotStart(format!("--store {}: {error}; {what_to_do}", file.display()))
                })?;
                Ok(StoreFile { path: file.to_owned(), temporary_dir: None })
            }
            None => StoreFile::temporary().map_err(|error| {
                Failure::CannotStart(format!("cannot make a file for the nods: {error}; name one with --store"))
            }),
        }
    }

    fn temporary() -> io::Result<StoreFile> {
        let dir = TemporaryDir::make("io-models-store")?;
        let store = StoreFile { path: dir.path().join("nods.db"), temporary_dir: Some(dir) };
        app::prepare_store(&store.path)?;
        Ok(store)
    }
}
