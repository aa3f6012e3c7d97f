//! Counters in shared memory, which survive the processes that count.
//!
//! A [`Scoreboard`] is mapped once, before the first fork, and every process and thread of a service counts
//! in it. It is sharded, so that workers do not pass one cache line around; a shard is never reset, so a dead
//! worker's totals stay and no counter goes backwards (Apache's `scoreboard.c` had the idea).

mod counters;
mod facts;
mod mapping;

pub use counters::{BUCKETS, Counters, Open, ROUTES, Route, STATUSES, Syscall, Totals};
pub use mapping::{Scoreboard, map_numbers};
