//! The kernel's table of tracked connections.
//!
//! A machine with Docker has one, for loopback too. It remembers a connection for two minutes after its end
//! (`nf_conntrack_tcp_timeout_time_wait`), and when it is full, new connections are dropped: without a word to anybody,
//! so that a good server looks as if it hung.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// No trial opens more connections a second than this.
const OPENED_A_SECOND: f64 = 20_000.0;
/// After so long, what was in the table is gone.
const LONGEST: Duration = Duration::from_secs(150);
const TICK: Duration = Duration::from_millis(100);

/// How full the table is: entries, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Table {
    entries: u64,
    most: u64,
}

impl Table {
    /// `None` where connections are not tracked.
    fn now() -> Option<Table> {
        let number = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
            text.ok()?.trim().parse().ok()
        };
        Some(Table { entries: number("count")?, most: number("max")? })
    }

    /// Is there room for `connections`, as far as there can be? What is not ours may fill half of it for good.
    fn has_room_for(self, connections: u64) -> bool {
        self.entries + connections.min(self.most / 2) <= self.most
    }
}

/// Connections that a trial puts into the table: all that it opens, if they are closed again within it.
pub fn opened(concurrent: usize, are_kept: bool, time: Duration) -> u64 {
    let again = if are_kept { 0.0 } else { time.as_secs_f64() * OPENED_A_SECOND };
    concurrent as u64 + again as u64
}

/// Waits until the table has room for so many connections, or `stop`; calls `waits` once if it has to.
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

/// Packets that the kernel has dropped so far since the table was full. (What is new in the table may push out what is
/// old, which harms nobody and is counted elsewhere.)
pub fn dropped() -> u64 {
    fs::read_to_string("/proc/net/stat/nf_conntrack").map_or(0, |text| sum(&text, "drop"))
}

/// A column's sum over all CPUs, which have a line each, in hexadecimal.
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
    fn room_is_needed_for_what_a_trial_opens() {
        let table = Table { entries: 900, most: 1000 };
        assert!(table.has_room_for(100) && !table.has_room_for(101));
        assert!(Table { entries: 500, most: 1000 }.has_room_for(u64::MAX), "more than half is never waited for");
        assert_eq!(opened(64, true, Duration::from_secs(9)), 64);
        assert_eq!(opened(64, false, Duration::from_millis(500)), 10_064);
    }
}
