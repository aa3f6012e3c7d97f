//! The CPUs of this machine: which ones there are, and which ones a thread runs on.

use cpu_list::CpuList;
use nix::libc;
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

/// The shortest time slice that the kernel gives: 100 µs.
const SHORT_SLICE: u64 = 100_000;

/// Asks the kernel for short time slices, by which the calling thread interrupts one with longer slices that uses its CPU, instead
/// of waiting for the end of a slice of that: sched_setattr(2), Documentation/scheduler/sched-eevdf.rst. Its share of the CPU stays
/// the same. Before Linux 6.12, nothing happens.
pub(crate) fn ask_for_short_slices() {
    // SAFETY: all of its fields are integers, for which 0 is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let (this_thread, size): (libc::pid_t, usize) = (0, size_of_val(&attributes));
    // SAFETY: the kernel writes as many bytes of the attributes as they have.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, this_thread, &raw mut attributes, size, 0) };
    if read == 0 && attributes.sched_policy == libc::SCHED_OTHER as u32 {
        attributes.sched_runtime = SHORT_SLICE;
        // SAFETY: the kernel reads the attributes, as many bytes as their field `size` says, which it has just written.
        let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attributes, 0) };
    }
}

/// Lets the calling thread, and those that it starts, run only when no other thread wants their CPU: `SCHED_IDLE`, sched(7). Where
/// that is not permitted, nothing changes.
pub fn yield_to_all() {
    // SAFETY: a sched_param has one number, for which zero is a value.
    let none: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel reads the structure during the call; 0 stands for the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) };
}
