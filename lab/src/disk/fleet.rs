//! The servers of the disk lab: before each trial, the files are where the load wants them to be.

use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::Load;
use results::cache::Cache;

use super::files::Files;
use crate::fleet::LocalFleet;

/// The servers, and the files that they serve.
pub struct DiskFleet<'a> {
    pub fleet: &'a mut LocalFleet,
    pub files: &'a [Files],
}

/// Puts the files that a load requests where it wants them. No server may run: it may have files open.
///
/// # Errors
/// They cannot be read.
pub fn prepare(files: &[Files], load: &Load) -> Result<(), NotReady> {
    for files in files.iter().filter(|files| load.requested().any(|workload| *workload == files.workload())) {
        let prepared = match load.cache {
            Some(Cache::Cold) => files.evict(),
            Some(Cache::Hot) => files.heat(),
            Some(Cache::Thrash) | None => Ok(()),
        };
        prepared.map_err(|error| NotReady::Unreachable(format!("the files of {}: {error}", files.workload())))?;
    }
    Ok(())
}

impl Fleet for DiskFleet<'_> {
    fn ready(&mut self, target: &str, load: &Load) -> Result<Endpoint, NotReady> {
        self.fleet.stop();
        prepare(self.files, load)?;
        self.fleet.ready(target, load)
    }

    fn is_guest(&self, target: &str) -> bool {
        self.fleet.is_guest(target)
    }

    fn finished(&mut self, target: &str) {
        self.fleet.finished(target);
    }
}
