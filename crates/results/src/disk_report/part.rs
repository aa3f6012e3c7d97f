//! What a run measured, apart by the files and by the state of the cache.

use crate::cache::Cache;
use crate::disk::{Disk, FileSet};
use crate::load::Load;
use crate::schedule::Schedule;
use crate::schema::{Cell, Results};

/// The figure of a bystander.
pub(super) const BYSTANDER: &str = "latency_us.p99";

/// What a run measured of one set of files in one state of the cache.
pub(super) struct Part<'r> {
    pub(super) set: &'r FileSet,
    pub(super) cache: Cache,
    /// The cells of the targets that only had to serve the files, in the order of the plan.
    pub(super) fetches: Vec<&'r Cell>,
    /// Those of the targets that had to answer `/` meanwhile.
    pub(super) bystanders: Vec<&'r Cell>,
}

impl<'r> Part<'r> {
    pub(super) fn fetches_of(&self, target: &str) -> Option<&'r Cell> {
        self.fetches.iter().find(|cell| cell.key.target == target).copied()
    }

    pub(super) fn bystander_of(&self, target: &str) -> Option<&'r Cell> {
        self.bystanders.iter().find(|cell| cell.key.target == target).copied()
    }
}

/// The parts of a run, in the order of its sets of files.
pub(super) fn parts<'r>(results: &'r Results, disk: &'r Disk) -> Vec<Part<'r>> {
    let is_fetch = |load: &Load, set: &FileSet| load.workload == set.workload && load.schedule == Schedule::Closed;
    let is_bystander = |load: &Load, set: &FileSet| load.background.busy_workload.as_ref() == Some(&set.workload);
    let mut parts = Vec::new();
    for set in &disk.sets {
        for cache in Cache::ALL {
            let cells = |which: &dyn Fn(&Load) -> bool| -> Vec<&'r Cell> {
                let of_cache = results.cells.iter().filter(|cell| cell.key.load.cache == Some(cache));
                of_cache.filter(|cell| which(&cell.key.load)).collect()
            };
            let fetches = cells(&|load| is_fetch(load, set));
            let bystanders = cells(&|load| is_bystander(load, set));
            if !fetches.is_empty() {
                parts.push(Part { set, cache, fetches, bystanders });
            }
        }
    }
    parts
}
