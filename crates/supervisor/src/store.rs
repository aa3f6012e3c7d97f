//! The file of the nods, from the start of the service to its end.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use crate::Failure;

/// The prepared store. One that nobody asked for is in a private directory, which goes when this does.
pub(crate) struct Store {
    pub file: PathBuf,
    temporary: Option<PathBuf>,
}

impl Store {
    /// Makes the store, or opens the given one and sees that it is one.
    pub fn prepare(given: Option<&Path>) -> Result<Store, Failure> {
        match given {
            Some(file) => {
                app::prepare_store(file).map_err(|error| {
                    let what_to_do = "name a file that you may write to: a new one, or one that --store has made";
                    Failure::Refused(format!("--store {}: {error}; {what_to_do}", file.display()))
                })?;
                Ok(Store { file: file.to_owned(), temporary: None })
            }
            None => Store::temporary().map_err(|error| {
                Failure::Refused(format!("cannot make a file for the nods: {error}; name one with --store"))
            }),
        }
    }

    fn temporary() -> io::Result<Store> {
        let template = std::env::temp_dir().join("io-models-store-XXXXXX");
        // Closed to all others: mkdtemp(3).
        let dir = mkdtemp(&template).map_err(|errno| io::Error::other(format!("{}: {errno}", template.display())))?;
        let store = Store { file: dir.join("nods.db"), temporary: Some(dir) };
        app::prepare_store(&store.file)?;
        Ok(store)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(dir) = &self.temporary {
            let _ = std::fs::remove_dir_all(dir); // somebody else may have done so
        }
    }
}
