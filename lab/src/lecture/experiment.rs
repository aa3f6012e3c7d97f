//! An experiment: some servers under some loads, in blocks.

use std::time::Duration;

use super::watched::{Check, Reading};

/// The workload of files that are not in memory, and the bytes of each: as in the lecture, 7.44 MB/s at 72.70 fetches/s.
pub const COLD_FILES: &str = "@100k";
pub const COLD_FILE: &str = "100k";
/// How many there are. A server that reads through the page cache must not come to the end of them in a trial: what it requests
/// again is not cold.
pub const COLD_FILES_NUMBER: usize = 20_000;

/// An experiment. Its blocks are those of a run: a block measures all targets once under one load.
pub struct Experiment {
    /// The targets.
    pub targets: Vec<Target>,
    /// The loads, in the words of `--load`.
    pub loads: Vec<String>,
    /// Blocks of each load.
    pub blocks: usize,
    /// The window of each trial.
    pub window: Duration,
    /// Whether the loads request files of [`COLD_FILE`] bytes that are not in memory, as the workload [`COLD_FILES`].
    pub has_cold_files: bool,
    /// Whether the servers may use all CPUs. The load then shares them.
    pub on_all_cpus: bool,
    /// Whether this machine still allows a load, which is asked before each trial. Without a check, it does.
    pub check: Option<Check>,
    /// Whether trials that other programs disturb are made again.
    pub repeats: bool,
    /// What is read from the service after each trial, while it still runs.
    pub reading: Option<Reading>,
    /// What is to be known besides, a sentence each.
    pub notes: Vec<String>,
}

impl Default for Experiment {
    /// Seven blocks with windows of 0.4 s. What varies is the machine from second to second, so several short blocks make a
    /// narrower interval than few long ones.
    fn default() -> Experiment {
        Experiment {
            targets: Vec::new(),
            loads: Vec::new(),
            blocks: 7,
            window: Duration::from_millis(400),
            has_cold_files: false,
            on_all_cpus: false,
            repeats: true,
            check: None,
            reading: None,
            notes: Vec::new(),
        }
    }
}

impl Experiment {
    /// These servers, models or guests, under these loads.
    pub fn of<const T: usize, const L: usize>(targets: [&str; T], loads: [&str; L]) -> Experiment {
        Experiment {
            targets: targets.map(Target::of).into(),
            loads: loads.map(str::to_owned).into(),
            ..Experiment::default()
        }
    }
}

/// A target of an experiment.
#[derive(Clone)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The model or guest that it is.
    pub server: String,
    /// The flags that the model gets, with their values; the value of a flag that takes none is `true`.
    pub flags: Vec<(&'static str, String)>,
}

impl Target {
    /// A server as it is.
    pub fn of(server: &str) -> Target {
        Target { name: server.into(), server: server.into(), flags: Vec::new() }
    }

    /// The same server with one flag more.
    pub fn with(mut self, flag: &'static str, value: impl ToString) -> Target {
        self.flags.push((flag, value.to_string()));
        self
    }

    /// The same server under another name, for an experiment that has it several times.
    pub fn named(self, name: &str) -> Target {
        Target { name: name.into(), ..self }
    }
}
