//! The fleet of an experiment, which reads something from each service after its trial, while it still runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::Load;

use crate::fleet::LocalFleet;

/// Says whether this machine allows a load.
///
/// # Errors
/// Why it does not.
pub type Check = fn(&Load) -> Result<(), String>;

/// Reads something after a trial from the service with this address.
///
/// # Errors
/// A line: it could not be read.
pub type Reading = fn(SocketAddr) -> Result<Read, String>;

/// What was read after one trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    /// How often something has happened...
    pub count: u64,
    /// ...of so many times.
    pub of: u64,
}

/// What was read after each trial of each target.
#[derive(Debug, Default)]
pub struct Readings(BTreeMap<String, Vec<Result<Read, String>>>);

impl Readings {
    /// What was read after the trials of a target; the first failure if there is one.
    pub fn of(&self, target: &str) -> Result<Vec<Read>, String> {
        let readings = self.0.get(target).ok_or_else(|| format!("{target} was not measured"))?;
        readings.iter().cloned().collect()
    }

    /// Adds what was read after a trial of a target.
    pub fn add(&mut self, target: &str, read: Result<Read, String>) {
        self.0.entry(target.into()).or_default().push(read);
    }
}

/// The fleet of an experiment.
pub struct Watched<'a> {
    pub fleet: &'a mut LocalFleet,
    pub check: Option<Check>,
    pub reading: Option<Reading>,
    pub readings: Readings,
}

impl Fleet for Watched<'_> {
    fn ready(&mut self, target: &str, load: &Load) -> Result<Endpoint, NotReady> {
        self.check.map_or(Ok(()), |check| check(load)).map_err(NotReady::Unsupported)?;
        self.fleet.ready(target, load)
    }

    fn is_guest(&self, target: &str) -> bool {
        self.fleet.is_guest(target)
    }

    fn finished(&mut self, target: &str) {
        if let Some((reading, service)) = self.reading.zip(self.fleet.running()) {
            let read = reading(service.listen);
            self.readings.add(target, read);
        }
        self.fleet.finished(target);
    }
}
