//! A temporary directory of the service, from its start to its end.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

/// A new directory that only its owner can open. `drop` removes it.
#[derive(Debug)]
pub(crate) struct TemporaryDir(PathBuf);

impl TemporaryDir {
    /// Makes one whose name begins so, and whose path is absolute. mkdtemp(3)
    ///
    /// # Errors
    /// The kernel's error, with the name.
    pub fn make(name: &str) -> io::Result<TemporaryDir> {
        let template = app::temporary_dir()?.join(format!("{name}-XXXXXX"));
        let made = mkdtemp(&template);
        made.map(TemporaryDir).map_err(|errno| io::Error::other(format!("{}: {errno}", template.display())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // it may have been removed already, from outside
    }
}
