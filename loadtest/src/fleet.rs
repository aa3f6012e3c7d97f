//! The targets of a run: what makes them ready for a trial, and whether they are.

use crate::cost::CostSource;
use crate::target::Url;
use crate::{prometheus_text, scrape};
use results::Target;
use std::time::Duration;

/// The server that a trial loads, and the source of its cost.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the target listens; the path does not matter.
    pub url: Url,
    /// The source of its cost.
    pub cost: CostSource,
    /// CPUs that the target may run on; `None` means all CPUs of this machine. The verdict needs it to tell whether the
    /// target was saturated.
    pub cpus: Option<usize>,
    /// What the target says of itself.
    pub says: Target,
}

/// Why a target cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It cannot work on this machine; its cells read "unsupported".
    Unsupported(String),
    /// It does not answer, or it could not be started.
    Unreachable(String),
}

/// The targets of a run.
pub trait Fleet {
    /// Makes a target ready for a trial: starts it, or does nothing. Called before each trial of each of its cells.
    ///
    /// # Errors
    /// Why the target cannot be measured; the run continues with the next cell.
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady>;

    /// A trial of the target is over, whether or not it could be measured.
    fn finished(&mut self, _target: &str) {}
}

/// Asks one of the lab's services, by the URL of its metrics, whether its I/O model works on its machine. Returns the
/// number of CPUs that the service may run on, if its metrics have it.
///
/// # Errors
/// `Unsupported` with the reason that the service gives, or `Unreachable`.
pub fn supported(metrics: &Url, timeout: Duration) -> Result<Option<usize>, NotReady> {
    let unreachable = |error| NotReady::Unreachable(format!("its metrics at {metrics}: {error}"));
    let (_, text) = scrape::get(metrics, timeout).map_err(unreachable)?;
    let figure = |name| prometheus_text::total(&String::from_utf8_lossy(&text), name, "");
    let supported = figure("server_supported").ok_or_else(|| {
        let why =
            format!("{metrics} has no metrics of one of the lab's services; for another server, give --target-pid");
        NotReady::Unreachable(why)
    })?;
    if supported != 0.0 {
        return Ok(figure("server_cpus").map(|cpus| cpus as usize));
    }
    let info = scrape::get(&metrics.with_path("/info"), timeout).map(|(_, body)| body);
    let info: serde_json::Value = serde_json::from_slice(&info.unwrap_or_default()).unwrap_or_default();
    let reason = info["unsupported"].as_str().unwrap_or("it says so, without a reason");
    Err(NotReady::Unsupported(reason.into()))
}
