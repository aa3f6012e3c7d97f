//! Rules for the whole repository: which crate and which file may use which, and in which places a model, a workload or a
//! figure must be named.
//!
//! A check collects everything that is missing before it fails, so one run names all of it. ARCHITECTURE.md draws which
//! crate uses which, as arrows; CONTRIBUTING.md lists the places in the order in which to add them.

#[macro_use]
#[path = "common/models.rs"]
mod list;

#[path = "house/arrows.rs"]
mod arrows;
#[path = "house/circles.rs"]
mod circles;
#[path = "house/figures.rs"]
mod figures;
#[path = "house/lecture.rs"]
mod lecture;
#[path = "house/links.rs"]
mod links;
#[path = "house/models.rs"]
mod models;
#[path = "house/workloads.rs"]
mod workloads;

use std::fs;
use std::path::{Path, PathBuf};

/// A path of this repository, given from its root.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The text of a file of this repository. Empty if the file does not exist: then a check names all that the file lacks.
fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_default()
}

/// The names of the folders in a folder of this repository, in order.
fn folders(name: &str) -> Vec<String> {
    let entries = fs::read_dir(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let folders = entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Every Rust source file below a folder of this repository: its path, and its text.
fn sources(name: &str) -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut left = vec![path(name)];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push((path.clone(), fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    sources
}

/// What is missing, a line for each: the place, and what to add there.
#[derive(Default)]
struct Missing(Vec<String>);

impl Missing {
    /// Adds a line unless the condition holds.
    fn unless(&mut self, holds: bool, place: &str, add: &str) {
        if !holds {
            self.0.push(format!("{place}: {add}"));
        }
    }

    /// Fails with all that is missing.
    #[track_caller]
    fn report(self) {
        assert!(self.0.is_empty(), "{} missing (CONTRIBUTING.md):\n  {}\n", self.0.len(), self.0.join("\n  "));
    }
}
