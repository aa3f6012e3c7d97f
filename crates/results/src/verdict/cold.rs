//! Whether files that should not be in memory were read from a disk.

use super::objection::Objection;
use super::scope::Scope;
use crate::cache::Cache;
use crate::schema::{Trial, Verdict};

/// The least share of what was served that a disk has to have read in a cold trial. A few answers are of what was read before
/// the window.
const LEAST_SHARE: f64 = 0.95;

/// A trial with cold files in which the disks of the machine read less than the target served: some files were in memory.
pub(super) fn not_cold(trial: &Trial, cache: Option<Cache>) -> Option<Objection> {
    if cache != Some(Cache::Cold) {
        return None;
    }
    let why = match (share_from_disk(trial), trial.missing.get("machine.disk_bytes_per_second")) {
        (Some(share), _) if share >= LEAST_SHARE => return None,
        (Some(share), _) => {
            format!("the disks read only {:.0} % of what was served: some files were in memory", share * 100.0)
        }
        (None, Some(why)) => format!("nothing proves that the files were not in memory: {why}"),
        (None, None) => "nothing proves that the files were not in memory".into(),
    };
    Some(Objection::new(Verdict::NotCold, Scope::All, why))
}

/// What the disks of the machine read in the window as a share of what the target served, to background clients, too. Above 1,
/// more was read than served: ahead, or for another program.
pub fn share_from_disk(trial: &Trial) -> Option<f64> {
    let read = trial.figures.machine.disk_bytes_per_second?;
    let served = trial.figures.bytes_per_second? + trial.background.bytes as f64 / trial.seconds;
    (served > 0.0).then(|| read / served)
}
