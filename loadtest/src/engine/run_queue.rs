//! Reads how long a thread has waited for a CPU.

use std::fs;
use std::time::Duration;

/// The total time for which the calling thread was ready to run without a CPU: the second figure of its schedstat, see
/// the kernel's Documentation/scheduler/sched-stats.rst. `None` if the kernel does not record it.
pub fn waited() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}
