//! A directory for files, and the files that this program has made there, which it removes at its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use loadtest::front::say;
use results::units::{count, plural};

use super::files::{Files, Unmade};
use super::place::Place;

/// A directory on a disk. When it is dropped, what was made in it is removed.
pub struct Made {
    dir: PathBuf,
    /// Where it is.
    pub place: Place,
    sets: Vec<Files>,
    /// The directory was not there before.
    is_new: bool,
    keep: bool,
}

impl Made {
    /// Makes the directory, if it is not there, and looks where it is. With `keep`, nothing is removed at the end.
    ///
    /// # Errors
    /// A line: it cannot be made, or is on no disk.
    pub fn in_dir(dir: &Path, keep: bool) -> Result<Made, String> {
        if dir.to_string_lossy().contains(char::is_whitespace) {
            return Err(format!("--dir {}: name a directory without spaces in its path", dir.display()));
        }
        let is_new = !dir.exists();
        fs::create_dir_all(dir).map_err(|error| format!("--dir {}: {error}; name another directory", dir.display()))?;
        let place = Place::of(dir).inspect_err(|_| {
            if is_new {
                let _ = fs::remove_dir(dir);
            }
        })?;
        Ok(Made { dir: dir.into(), place, sets: Vec::new(), is_new, keep })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes files, unless this run has made the same ones, or an earlier one has kept them.
    ///
    /// # Errors
    /// Why they could not be made.
    pub fn make(&mut self, files: &Files, seed: u64, quiet: bool, stop: &AtomicBool) -> Result<(), Unmade> {
        if files.are_there() {
            return Ok(());
        }
        if !quiet {
            let what = format!("{} of {} bytes", plural(files.number, "file"), count(files.bytes as f64));
            let megabytes = files.bytes * files.number as u64 / 1_000_000;
            say(&format!("making {what} ({megabytes} MB) in {}", files.folder().display()));
        }
        files.make(seed, stop)?;
        self.sets.push(files.clone());
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for files in &self.sets {
            if let Err(error) = files.remove() {
                say(&format!("lab: {}: {error}; remove it by hand", files.folder().display()));
            }
        }
        if self.is_new {
            let _ = fs::remove_dir(&self.dir); // not if others have put something there
        }
    }
}
