//! Helpers of several test binaries.
#![allow(dead_code, reason = "each test binary uses some of them")]

use std::path::{Path, PathBuf};

use app::{App, Settings};
use conformance::check::{Record, check};
use conformance::{Transcript, fixture};
use scoreboard::Scoreboard;

/// Makes the files that a test serves; deletes those of an earlier run.
pub fn files(test: &str) -> PathBuf {
    fixture::make(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)).expect("a place for files")
}

/// An application that serves these files.
pub fn app(files: &Path) -> App {
    let store = files.with_file_name("nods.db"); // deleted and made again with the files
    app::prepare_store(&store).expect("a store");
    let settings = Settings::with_files(files, store);
    App::new(settings, Scoreboard::map().expect("shared memory")).expect("an application")
}

/// Collects failures, so that a test fails with all of them.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn add(&mut self, transcript: &Transcript, how: &str, why: &str) {
        self.0.push(format!("{} ({}), {how}:\n    {why}", transcript.name, transcript.source));
    }

    pub fn check(&mut self, transcript: &Transcript, how: &str, record: Result<Record, String>, files: &Path) {
        if let Err(why) = record.and_then(|record| check(transcript, &record, files)) {
            self.add(transcript, how, &why);
        }
    }

    #[track_caller]
    pub fn report(self) {
        let shown: Vec<_> = self.0.iter().take(20).map(String::as_str).collect();
        assert!(self.0.is_empty(), "{} failed:\n{}\n", self.0.len(), shown.join("\n"));
    }
}
