//! The figures of a tree at one moment: [`Sample`].

use std::time::Duration;

/// The figures of a process tree. Each is a total over the tree; `None` means that it could not be read.
///
/// CPU, switches and faults are counters, which never go backwards: the difference between two samples of the same
/// [`Tree`](crate::Tree) is what happened between them. The others are gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// CPU time of all members and of all children that they have reaped, user and system together.
    ///
    /// That of the members is exact to the nanosecond. That of reaped children is in clock ticks, rounded down twice
    /// for each live member (user and system), so it is up to 20 ms too low for each member that has reaped children.
    /// It lacks the children that their parent does not wait for (because it ignores SIGCHLD), unless `cpu_source` is
    /// `"cgroup"`.
    pub cpu: Duration,
    /// CPU time of the live members, to the nanosecond, without that of the children that they have reaped; no counter.
    ///
    /// This is for callers that know the CPU time of the reaped children exactly, from wait4(2). Read that before the
    /// sample: a child that is reaped between the two is then missed once, and not counted twice.
    pub live_cpu: Duration,
    /// The part of the live members' CPU time in user mode, in clock ticks of 10 ms.
    ///
    /// The kernel checks only at each tick which mode it interrupts, so the split is wrong for processes that live for
    /// only a few ticks. It is therefore given only while the members live on: until one of them exits or reaps a
    /// child, or until there are too many to examine all of them. From then on it is `None`.
    pub user: Option<Duration>,
    /// The part of the live members' CPU time in the kernel; as `user`.
    pub system: Option<Duration>,
    /// Memory in bytes, by the proportional set size: a page that N processes share counts 1/N in each.
    pub memory_bytes: Option<u64>,
    /// The most memory that the tree has used, in bytes; `peak_memory_source` says how it was found.
    pub peak_memory_bytes: Option<u64>,
    /// Processes, including those that have exited and wait to be reaped.
    pub processes: u64,
    /// Threads in these processes.
    pub threads: u64,
    /// Open descriptors; one that two processes share counts twice.
    pub open_fds: Option<u64>,
    /// How often a thread gave up the CPU to wait.
    ///
    /// A thread's switches count up to the last sample in which it was alive. Those between that sample and its end are
    /// lost, and so are all switches of threads that lived only between two samples.
    pub voluntary_switches: Option<u64>,
    /// How often the kernel took the CPU away from a thread; as `voluntary_switches`.
    pub involuntary_switches: Option<u64>,
    /// Page faults served without I/O, including those of reaped children.
    pub minor_faults: Option<u64>,
    /// Page faults that waited for I/O, including those of reaped children.
    pub major_faults: Option<u64>,
    /// The source of `cpu`: `"processes"`, or `"cgroup"` where a control group contains the tree and nothing else.
    pub cpu_source: &'static str,
    /// The source of `memory_bytes`: `"pss"`; `"pss-sampled"` if the budget sufficed for only some of the processes,
    /// which then stand for the others in descriptors and switches, too; `"cgroup"` if this process may not read the
    /// figures of the processes but those of their control group, which add the page cache and kernel memory; or
    /// `"none"`.
    pub memory_source: &'static str,
    /// The source of `peak_memory_bytes`: `"cgroup"`, the peak of the group, page cache and kernel memory included;
    /// `"rss"`, the peak of a tree that has only ever been one process, shared libraries included; `"samples"`, the
    /// highest `memory_bytes` of all samples; or `"none"`.
    pub peak_memory_source: &'static str,
}
