//! Counters in shared memory, which outlive the processes that count in them.
//!
//! A service maps one [`Scoreboard`] before its first fork, and each of its processes and threads counts in it. The
//! counters are sharded, so that workers on different CPUs do not contend for one cache line. The counters of a shard
//! are never reset: what a dead worker counted stays in the totals, and no counter goes backwards. Apache's
//! `scoreboard.c` works like this.

mod counters;
mod facts;
mod mapping;

pub use counters::{BUCKETS, Counters, Open, ROUTES, Route, STATUSES, Syscall, Totals};
pub use mapping::{Scoreboard, map_numbers};
