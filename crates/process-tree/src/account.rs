//! What a service has served and what that has cost, both read at the same moment: [`Account`].

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// CPU time and replies of a service, read back to back. The admin endpoint of a service has it as `/account`, in JSON.
///
/// All counters go on over restarts and never go backwards, so the difference of two accounts is what happened between
/// them. Replies are counted before and after the CPU time is read: if the two counts differ by much, the figures do not
/// belong to the same moment, and the account has to be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// When it was read: CLOCK_MONOTONIC in nanoseconds, the same clock for all processes of a machine. clock_gettime(2)
    pub monotonic_ns: u64,
    /// CPU time of the processes of the model, or of the guest, live and dead, user and system, in nanoseconds.
    ///
    /// The kernel adds up the time of a running thread at each clock tick and when the thread stops, so of each CPU up to a
    /// tick may be missing (4 ms at 250 Hz). The difference of two accounts is as often too high by that as too low.
    pub cpu_ns: u64,
    /// CPU time of the supervisor, in nanoseconds. It is not part of `cpu_ns`.
    pub supervisor_cpu_ns: u64,
    /// What it has served meanwhile; absent for a guest, which counts for itself.
    #[serde(flatten)]
    pub served: Option<Served>,
    /// For how long a CPU quota kept the service's control group from the CPUs, in nanoseconds; null if that is not known.
    pub throttled_ns: Option<u64>,
    /// How the CPU time was read: `cgroup`, or `clocks+wait4` where the service may not make a control group, or `clocks` of a guest
    /// none of whose processes ends while it serves. The
    /// clocks lack about 2 µs for each thread that ends (measured on Linux 6.18), and children of a guest that have ended while
    /// the guest lives.
    pub cpu_source: String,
    /// The CPUs that the model, or the guest, may use, by its affinity.
    pub cpus: Vec<usize>,
    /// What the kernel drew at random when it was booted: two programs that read the same one run on the same machine.
    /// random(4)
    pub boot_id: Option<String>,
}

/// What a service of ours has served and counted itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Replies sent, before the CPU time was read.
    pub replies_before: u64,
    /// Replies sent, after it was read.
    pub replies_after: u64,
    /// System calls that the service's own code has made.
    pub syscalls: u64,
}

/// What the kernel of this machine drew at random when it was booted; `None` if it cannot be read. random(4)
pub fn boot_id() -> Option<&'static str> {
    static BOOT_ID: LazyLock<Option<String>> = LazyLock::new(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned()).filter(|id| !id.is_empty())
    });
    BOOT_ID.as_deref()
}
