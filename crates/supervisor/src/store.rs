//! The database file of the nods, from the start of the service to its end.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use crate::Failure;

/// The prepared database file. Without `--store` it is in a private temporary directory, which `drop` removes.
pub(crate) struct StoreFile {
    pub path: PathBuf,
    temporary_dir: Option<PathBuf>,
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
        let template = std::env::temp_dir().join("io-models-store-XXXXXX");
        // mkdtemp(3) makes a directory that only its owner can open.
        let dir = mkdtemp(&template).map_err(|errno| io::Error::other(format!("{}: {errno}", template.display())))?;
        let store = StoreFile { path: dir.join("nods.db"), temporary_dir: Some(dir) };
        app::prepare_store(&store.path)?;
        Ok(store)
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        if let Some(dir) = &self.temporary_dir {
            let _ = std::fs::remove_dir_all(dir); // it may have been removed already, from outside
        }
    }
}
