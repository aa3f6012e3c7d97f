//! Watches the kernel's table of tracked connections, which can fill up and make a good server look broken.
//!
//! A machine with Docker has this table, also for loopback. The table keeps a connection for two minutes after its end
//! (`nf_conntrack_tcp_timeout_time_wait`). When it is full, the kernel drops new connections without any error, so that
//! a good server seems to hang.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// The assumed limit of connections that a trial opens in a second.
const OPENED_A_SECOND: f64 = 20_000.0;
/// The longest wait: after this time, all old entries have expired.
const LONGEST: Duration = Duration::from_secs(150);
const TICK: Duration = Duration::from_millis(100);

/// The entries in the table, and its capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    entries: u64,
    most: u64,
}

impl Table {
    /// Reads the table; `None` if connections are not tracked.
    fn now() -> Option<Table> {
        let number = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
            text.ok()?.trim().parse().ok()
        };
        Some(Table { entries: number("count")?, most: number("max")? })
    }

    /// Whether the table has room for `connections`, or at least half of the table free for them: entries of other
    /// programs may fill the other half permanently.
    fn has_room_for(self, connections: u64) -> bool {
        self.entries + connections.min(self.most / 2) <= self.most
    }
}

/// The number of entries that a trial needs: its connections, and if these are closed within it, all connections that
/// it opens.
pub fn entries_needed(concurrent: usize, are_kept: bool, time: Duration) -> u64 {
    let again = if are_kept { 0.0 } else { time.as_secs_f64() * OPENED_A_SECOND };
    concurrent as u64 + again as u64
}

/// Waits until the table has room for this number of connections, or until `stop`. Calls `waits` once if it has to
/// wait.
pub fn wait_for_room(connections: u64, stop: &AtomicBool, waits: impl FnOnce()) {
    let is_full = || Table::now().is_some_and(|table| !table.has_room_for(connections));
    if !is_full() {
        return;
    }
    waits();
    let began = Instant::now();
    while is_full() && began.elapsed() < LONGEST && !stop.load(Relaxed) {
        thread::sleep(TICK);
    }
}

/// The number of packets that the kernel has dropped so far because the table was full. (When a new entry replaces an
/// old one, that does no harm and has another counter.)
pub fn dropped() -> u64 {
    fs::read_to_string("/proc/net/stat/nf_conntrack").map_or(0, |text| sum(&text, "drop"))
}

/// Sums a column over all CPUs. Each CPU has a line, with numbers in hexadecimal.
fn sum(text: &str, column: &str) -> u64 {
    let mut lines = text.lines().map(str::split_whitespace);
    let Some(at) = lines.next().and_then(|mut heads| heads.position(|head| head == column)) else { return 0 };
    lines.filter_map(|mut line| u64::from_str_radix(line.nth(at)?, 16).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_over_the_cpus() {
        let text =
            "entries  clashres drop early_drop\n0002c615  00000000 0000002a 00000001\n0002c615  00000000 0000063e 0\n";
        assert_eq!((sum(text, "drop"), sum(text, "early_drop"), sum(text, "chainlength")), (0x668, 1, 0));
        assert_eq!(sum("", "drop"), 0);
    }

    #[test]
    fn a_trial_needs_room_for_the_connections_that_it_opens() {
        let table = Table { entries: 900, most: 1000 };
        assert!(table.has_room_for(100) && !table.has_room_for(101));
        assert!(Table { entries: 500, most: 1000 }.has_room_for(u64::MAX), "more than half is never waited for");
        assert_eq!(entries_needed(64, true, Duration::from_secs(9)), 64);
        assert_eq!(entries_needed(64, false, Duration::from_millis(500)), 10_064);
    }
}
