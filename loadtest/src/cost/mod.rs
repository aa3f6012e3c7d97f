//! What a trial costs the target, and who else used the machine meanwhile.
//!
//! The [`observer`] reads, in this order:
//! - before the load: a [`Snapshot`] of the idle target, and the kernel's memory;
//! - in the warm-up: a [`Snapshot`], with which those counters begin that are told in no other way;
//! - at the window's begin and at its end: a [`Moment`], which is cheap;
//! - after that, while the load is still on: three [`Snapshot`]s, and the kernel's memory.
//!
//! A snapshot takes up to 20 ms of a CPU. On a machine with two CPUs the load generator would miss them, so none is taken
//! in the window.

mod kernel_memory;
mod machine;
mod moment;
mod observer;
mod own_ends;
mod sampler;
mod server;
mod snapshot;
mod spent;

pub(crate) use machine::machine_use;
pub(crate) use observer::{CostObserver, Observed};
pub(crate) use server::{Connections, server_cost, sources};

use crate::target::Url;
use kernel_memory::KernelGrowth;
use moment::Moment;
use results::figures::Reason;
use snapshot::Snapshot;
use std::time::Duration;

/// A figure's value, or why it could not be had.
type Value = Result<f64, Reason>;

/// The source of the cost figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Prometheus text at this URL, with the `process_tree_*` metrics of the lab's services. Beside it, at `/account`, a
    /// service has the CPU time and the replies of one moment.
    Metrics(Url),
    /// This process on this machine, with all its descendants.
    ProcessTree(i32),
    /// No source; all figures will be missing.
    None,
}

/// What was read of a target in a trial, or why nothing was.
#[derive(Debug)]
pub(crate) struct Costs(Result<Readings, Reason>);

/// What was read of a target in a trial.
#[derive(Debug)]
struct Readings {
    /// Before the load.
    idle: Snapshot,
    /// In the warm-up.
    warm: Snapshot,
    /// After the window, while the load was still on; there is at least one.
    loaded: Vec<Snapshot>,
    /// At the window's begin.
    begin: Moment,
    /// At its end.
    end: Moment,
    /// For how long this process was throttled in the window.
    throttled: Option<Duration>,
    /// For how long a thread of this machine waited for a CPU in the window.
    cpu_pressure: Option<Duration>,
    /// How much the kernel's memory grew.
    kernel: Result<KernelGrowth, Reason>,
    /// CPUs that the target may use, if it does not say it itself.
    cpus_allowed: Option<usize>,
    /// The CPUs of the load generator.
    generator_cpus: Vec<usize>,
    /// Why a figure is missing from the snapshots.
    why_missing: String,
}

impl Costs {
    /// No figure is known; why.
    #[cfg(test)]
    pub fn unknown(why: &str) -> Costs {
        Costs(Err(why.into()))
    }

    /// How many CPUs the target may use: by its affinity, and by what is said of it otherwise, if that is less (a service
    /// counts its CPU quota in). `None` if neither is known.
    pub fn server_cpus(&self) -> Option<usize> {
        let readings = self.0.as_ref().ok()?;
        let affinity = readings.end.spent.as_ref().map_or(0, |spent| spent.cpus.len());
        [(affinity > 0).then_some(affinity), readings.cpus_allowed].into_iter().flatten().min()
    }
}
