//! What is told of a tree.

use std::time::Duration;

/// The figures of a process tree. Every one is a total over the tree; `None` means that it could not be had.
///
/// CPU, switches and faults are counters: meant to be subtracted from those of a later sample of the same
/// [`Tree`](crate::Tree), and never going backwards. The others are levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// CPU of all members and of all that they have waited for, user and system together.
    ///
    /// The members' own is exact to the nanosecond. That of reaped children comes in clock ticks, two roundings per
    /// live member, so it is up to 20 ms too low for each member that has children; it is missing for children that
    /// nobody waits for (SIGCHLD ignored), unless `cpu_source` is `"cgroup"`.
    pub cpu: Duration,
    /// CPU of the members that live now, to the nanosecond, without what they have reaped; not a counter.
    ///
    /// For callers that know the reaped children's CPU exactly, from wait4(2). Read that before the sample: a child
    /// that is reaped between the two is then missed once, and not counted twice.
    pub live_cpu: Duration,
    /// The part of the live members' CPU in user mode, in clock ticks of 10 ms.
    ///
    /// The kernel looks only at each tick which mode it interrupts, and so is wrong for processes that live for less
    /// than some ticks. The split is therefore given while the members are long-lived: until one of them exits or
    /// reaps a child, or they become too many to look at all of them. From then on it is `None`.
    pub user: Option<Duration>,
    /// The part of the live members' CPU in the kernel; as `user`.
    pub system: Option<Duration>,
    /// Memory in bytes, by the proportional set size: a page that N processes share counts 1/N in each.
    pub memory_bytes: Option<u64>,
    /// The most memory that the tree has used, in bytes; `peak_memory_source` says by what reckoning.
    pub peak_memory_bytes: Option<u64>,
    /// Processes, with those that have exited and wait to be reaped.
    pub processes: u64,
    /// Threads in these processes.
    pub threads: u64,
    /// Open descriptors; one that two processes hold counts twice.
    pub open_fds: Option<u64>,
    /// Times that a thread gave up the CPU to wait.
    ///
    /// A thread counts up to its last sight: what it did between that and its end, and threads that lived wholly
    /// between two samples, are lost.
    pub voluntary_switches: Option<u64>,
    /// Times that a thread was made to give up the CPU; as `voluntary_switches`.
    pub involuntary_switches: Option<u64>,
    /// Page faults served without I/O, with those of reaped children.
    pub minor_faults: Option<u64>,
    /// Page faults that waited for I/O, with those of reaped children.
    pub major_faults: Option<u64>,
    /// Where `cpu` is from: `"processes"`, or `"cgroup"` where the tree has a control group for itself.
    pub cpu_source: &'static str,
    /// Where `memory_bytes` is from: `"pss"`; `"pss-sampled"` if the budget allowed only some of the processes, which
    /// then stand for the others in descriptors and switches, too; `"cgroup"` if the processes may not be read but
    /// their control group may, which adds page cache and the kernel's memory; or `"none"`.
    pub memory_source: &'static str,
    /// Where `peak_memory_bytes` is from: `"cgroup"`, the group's own peak, page cache and the kernel's memory
    /// included; `"rss"`, the peak of a tree that has only ever been one process, shared libraries included; `"samples"`,
    /// the highest `memory_bytes` of all samples; or `"none"`.
    pub peak_memory_source: &'static str,
}
