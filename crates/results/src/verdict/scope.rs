//! Which figures an objection falls on.

use crate::figures::Name;
use crate::schema::Bound;

/// Figures that an objection falls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every figure.
    All,
    /// Throughput and times: the true values may be larger or smaller.
    Speed,
    /// Throughput, of which the true value is at least what was measured, and times, of which it is at most that.
    SpeedBounds,
    /// Times alone, as upper bounds.
    TimesBounds,
    /// CPU time of the target, and the switches and page faults of its processes, of which the true value is at least what
    /// was counted.
    CountedBounds,
    /// What other programs on the same CPUs change: all but levels (memory, processes, threads, descriptors,
    /// connections), the counts of system calls and page faults, and the figures of the machine that show the
    /// disturbance.
    CpuTime,
}

impl Scope {
    /// Whether the objection falls on the figure, and what the figure's value still shows.
    pub(super) fn covers(self, name: &Name) -> Option<Option<Bound>> {
        let is_rate = name.group.is_empty();
        let is_time = ["latency_us", "service_time_us", "connect_us"].contains(&name.group);
        let if_in = |is_in: bool| is_in.then_some(None);
        match self {
            Scope::All => Some(None),
            Scope::Speed => if_in(is_rate || is_time),
            Scope::SpeedBounds if is_rate => Some(Some(Bound::Lower)),
            Scope::SpeedBounds | Scope::TimesBounds => is_time.then_some(Some(Bound::Upper)),
            Scope::CountedBounds => {
                let is_counted = name.group == "server"
                    && (name.field == "cpus_used"
                        || (name.field.ends_with("_per_request") && name.field != "syscalls_per_request"));
                is_counted.then_some(Some(Bound::Lower))
            }
            Scope::CpuTime => {
                let is_level = match name.group {
                    "server" => {
                        name.field.contains("memory")
                            || name.field.contains("faults")
                            || ["processes", "threads", "open_fds", "syscalls_per_request"].contains(&name.field)
                    }
                    "client" => name.field == "established",
                    group => group == "machine",
                };
                if_in(!is_level)
            }
        }
    }
}
