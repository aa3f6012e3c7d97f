//! Pins a client thread to CPUs.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The CPUs that the calling thread may run on, ascending.
pub fn allowed_cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect()
}

/// Pins the calling thread to these CPUs. If that is not permitted the thread stays unpinned, which only costs
/// precision.
pub fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    if cpus.iter().try_for_each(|&cpu| set.set(cpu)).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
