//! How long a thread was kept waiting for a CPU.

use std::fs;
use std::time::Duration;

/// Time that the calling thread was ready to run and did not, so far: the second figure of its schedstat, see the kernel's
/// Documentation/scheduler/sched-stats.rst. Nothing where the kernel does not keep it.
pub fn waited() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_ascii_whitespace()
        .nth(1)
        .and_then(|nanos| nanos.parse().ok())
        .map_or(Duration::ZERO, Duration::from_nanos)
}
