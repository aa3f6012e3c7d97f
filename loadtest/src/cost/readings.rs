//! What was read of a target in a trial.

use super::kernel_memory::KernelGrowth;
use super::moment::Moment;
use super::snapshot::Snapshot;
use results::figures::Reason;
use std::time::Duration;

/// A figure's value, or why it could not be had.
pub(super) type Value = Result<f64, Reason>;

/// What was read of a target in a trial, or why nothing was.
#[derive(Debug)]
pub(crate) struct Costs(pub(super) Result<Readings, Reason>);

/// What was read of a target in a trial.
#[derive(Debug)]
pub(super) struct Readings {
    /// Before the load.
    pub(super) idle: Snapshot,
    /// In the warm-up.
    pub(super) warm: Snapshot,
    /// After the window, while the load was still on; there is at least one.
    pub(super) loaded: Vec<Snapshot>,
    /// At the window's begin.
    pub(super) begin: Moment,
    /// At its end.
    pub(super) end: Moment,
    /// For how long this process was throttled in the window.
    pub(super) throttled: Option<Duration>,
    /// For how long a thread of this machine waited for a CPU in the window.
    pub(super) cpu_pressure: Option<Duration>,
    /// How much the kernel's memory grew.
    pub(super) kernel: Result<KernelGrowth, Reason>,
    /// CPUs that the target may use, if it does not say it itself.
    pub(super) cpus_allowed: Option<usize>,
    /// The CPUs of the load generator.
    pub(super) generator_cpus: Vec<usize>,
    /// Why a figure is missing from the snapshots.
    pub(super) why_missing: String,
}

impl Costs {
    /// No figure is known; why.
    #[cfg(test)]
    pub fn unknown(why: &str) -> Costs {
        Costs(Err(why.into()))
    }

    /// Why the target's CPU time is only a lower bound, if it is.
    pub fn undercounted(&self) -> Option<String> {
        let readings = self.0.as_ref().ok()?;
        let lacks = |moment: &Moment| moment.spent.as_ref().is_ok_and(|spent| spent.lacks_ended_children);
        (lacks(&readings.begin) || lacks(&readings.end)).then(|| {
            "its supervisor could not make a control group, so children of the guest that end while it lives are not charged to it"
                .into()
        })
    }

    /// How many CPUs the target may use: by its affinity, and by what is said of it otherwise, if that is less (a service
    /// counts its CPU quota in). `None` if neither is known.
    pub fn server_cpus(&self) -> Option<usize> {
        let readings = self.0.as_ref().ok()?;
        let affinity = readings.end.spent.as_ref().map_or(0, |spent| spent.cpus.len());
        [(affinity > 0).then_some(affinity), readings.cpus_allowed].into_iter().flatten().min()
    }
}
