//! Watches the kernel's table of tracked connections, which can fill up and make a good server look broken.
//!
//! A machine with Docker has this table, also for loopback. The table keeps a connection for two minutes after its end
//! (`nf_conntrack_tcp_timeout_time_wait`). When it is full, the kernel drops new connections without any error, so that
//! a good server seems to hang.

use crate::stop::Stop;
use results::{Load, Schedule};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// What is said while a trial waits for room in the table.
pub const FULL: &str = "the kernel's table of tracked connections is full (nf_conntrack_max)";

/// The assumed limit of connections that a trial opens in a second.
const OPENED_A_SECOND: f64 = 20_000.0;
/// The same for one busy client, which opens one after the other.
const OPENED_BY_CLIENT: f64 = 10_000.0;
/// The longest wait: after this time, all old entries have expired.
const LONGEST: Duration = Duration::from_secs(150);
const TICK: Duration = Duration::from_millis(100);
/// How often it is said that a trial waits.
const SAID_EVERY: Duration = Duration::from_secs(1);

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

/// The number of entries that a trial needs that loads a target for so long under this schedule: its connections, and if
/// these are closed within it, all that it opens. In an open loop, a request opens at most one.
pub fn entries_needed(load: &Load, schedule: Schedule, time: Duration) -> u64 {
    let rate = match schedule {
        Schedule::Rate(rate) => rate,
        Schedule::Ramp { from, to } => from.max(to),
        _ => OPENED_A_SECOND,
    };
    let measured = load.requests_per_connection.0.map_or(0.0, |requests| rate / f64::from(requests.get()));
    let busy = load.background.busy as f64 * OPENED_BY_CLIENT;
    let opened = (measured + busy).min(OPENED_A_SECOND) * time.as_secs_f64();
    load.connections() as u64 + opened as u64
}

/// Waits until the table has room for this number of connections, or until `stop`. While it waits, it calls `waits` once a
/// second with the time that it waits at most. Returns how long it has waited.
pub fn wait_for_room(connections: u64, stop: Stop<'_>, waits: &mut dyn FnMut(Duration)) -> Duration {
    let is_full = || Table::now().is_some_and(|table| !table.has_room_for(connections));
    let began = Instant::now();
    let mut said: Option<Instant> = None;
    while is_full() && began.elapsed() < LONGEST && !stop.is_set() {
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            said = Some(Instant::now());
            let at_most = LONGEST.saturating_sub(began.elapsed());
            waits(stop.left().map_or(at_most, |left| left.min(at_most)));
        }
        thread::sleep(TICK);
    }
    if said.is_some() { began.elapsed() } else { Duration::ZERO }
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
        let second = Duration::from_secs(1);
        let needed = |change: fn(&mut Load), schedule| {
            let mut load = Load::default();
            change(&mut load);
            entries_needed(&load, schedule, second)
        };
        let once = |load: &mut Load| load.requests_per_connection = "1".parse().unwrap();
        assert_eq!(needed(|_| {}, Schedule::Closed), 64);
        assert_eq!(needed(|load| load.background.idle = 1_000, Schedule::Rate(500.0)), 1_064);
        assert_eq!(needed(once, Schedule::Closed), 20_064);
        assert_eq!(needed(once, Schedule::Rate(500.0)), 564);
        assert_eq!(needed(|load| load.background.busy = 1, Schedule::Rate(200.0)), 10_065);
        assert_eq!(needed(|load| load.background.busy = 9, Schedule::Rate(200.0)), 20_073);
    }
}
