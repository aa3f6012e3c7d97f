//! Reads how long a thread has waited for a CPU.

use std::fs;
use std::time::Duration;

/// The total time for which the calling thread was ready to run without a CPU: the second figure of its schedstat, see
/// the kernel's Documentation/scheduler/sched-stats.rst. Zero if the kernel does not record it.
pub fn waited() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_ascii_whitespace()
        .nth(1)
        .and_then(|nanos| nanos.parse().ok())
        .map_or(Duration::ZERO, Duration::from_nanos)
}
