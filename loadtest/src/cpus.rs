//! The CPUs of this machine: which ones there are, and which ones a thread runs on.

use cpu_list::CpuList;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The CPUs that the calling thread may run on, ascending; none if the kernel does not say it.
pub fn allowed_cpus() -> Vec<usize> {
    CpuList::allowed().unwrap_or_default().cpus().to_vec()
}

/// Number of CPUs that are online on this machine.
pub(crate) fn online_cpus() -> usize {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.map_or(1, |count| count.max(1) as usize)
}

/// Pins the calling thread to these CPUs. If that is not permitted the thread stays unpinned, which only costs
/// precision.
pub(crate) fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    if cpus.iter().try_for_each(|&cpu| set.set(cpu)).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
