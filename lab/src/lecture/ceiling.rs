//! The most connections that a server with a process for each may hold here, without harm to the machine's other programs.
//!
//! Local ports do not limit them: the generator opens connections from further loopback addresses.

use loadtest::limits;
use nix::sys::resource::{Resource, getrlimit};
use process_tree::{max_processes, own_cgroup, running_processes};
use results::Load;

/// The most that the experiment asks for, even if the limits allow more: twice what the lecture says.
const ASKED: u64 = 20_000;
/// Bytes that a connection takes: 184 KiB its process, in the process and in the kernel (measured beside 1000 idle connections:
/// README), and the client's end of it.
const CONNECTION: u64 = 184 * 1024 + limits::CONNECTION;
/// Processes that are kept at least for the other programs of the machine.
const PROCESSES_KEPT: u64 = 1000;
/// Bytes of memory that are kept at least, if that is not more than a quarter of what is free.
const MEMORY_KEPT: u64 = 1 << 30;
/// Open files that are kept at least: the generator and an event loop need some besides the connections.
const FILES_KEPT: u64 = 4 * limits::SPARE;

/// How many connections there may be, and why not more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Connections.
    pub connections: usize,
    /// The limit that decides, as part of a sentence: `20000 open files (ulimit -Hn)`.
    pub limit: String,
    /// How much of this limit is kept free, as part of a sentence; empty if the experiment asks for no more.
    pub reserve: String,
}

/// Something that connections take.
struct Limit {
    /// Its name and, if it has no unit, what an administrator calls it.
    what: String,
    /// How much of it is there.
    all: u64,
    /// How much is in use.
    used: u64,
    /// How much is kept free at least: besides, a tenth of all is.
    kept: u64,
    /// How much a connection takes.
    each: u64,
}

impl Limit {
    fn reserve(&self) -> u64 {
        (self.all / 10).max(self.kept)
    }

    fn connections(&self) -> u64 {
        self.connections_beside(self.reserve())
    }

    fn connections_beside(&self, kept: u64) -> u64 {
        self.all.saturating_sub(self.used).saturating_sub(kept) / self.each
    }
}

/// The ceiling of this machine now. Of each limit, a tenth stays free, or more where little is there.
pub fn of_this_machine() -> Ceiling {
    lowest(&limits_of_this_machine())
}

/// Whether a load still leaves half of each reserve: what other programs use has changed since the ceiling was looked for.
///
/// # Errors
/// Which limit does not allow it.
pub fn still_allows(load: &Load) -> Result<(), String> {
    keep_half(&limits_of_this_machine(), load.connections() as u64)
}

fn keep_half(limits: &[Limit], connections: u64) -> Result<(), String> {
    match limits.iter().find(|limit| limit.connections_beside(limit.reserve() / 2) < connections) {
        Some(limit) => Err(format!(
            "{connections} connections no longer leave room for other programs, by {}: end what else runs, and try again",
            limit.what
        )),
        None => Ok(()),
    }
}

fn lowest(limits: &[Limit]) -> Ceiling {
    match limits.iter().min_by_key(|limit| limit.connections()) {
        Some(limit) if limit.connections() < ASKED => Ceiling {
            connections: limit.connections() as usize,
            limit: limit.what.clone(),
            reserve: format!("{} of them stay free", limit.reserve()),
        },
        _ => Ceiling {
            connections: ASKED as usize,
            limit: format!("{ASKED} connections, the most that this experiment asks for"),
            reserve: String::new(),
        },
    }
}

fn limits_of_this_machine() -> Vec<Limit> {
    let mut limits = Vec::new();
    // The service inherits this limit: one for both.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let what = format!("{hard} open files (ulimit -Hn)");
        limits.push(Limit { what, all: hard, used: 0, kept: FILES_KEPT, each: 1 });
    }
    if let Some(most) = max_processes() {
        let what = format!("{} processes ({})", most.limit, most.what);
        let used = running_processes(&most);
        limits.push(Limit { what, all: most.limit, used, kept: PROCESSES_KEPT, each: 1 });
    }
    if let Some(free) = loadtest::available_memory() {
        limits.push(memory(free, "free memory"));
    }
    let group = own_cgroup().and_then(|group| Some(group.memory_max()?.saturating_sub(group.memory_current()?)));
    if let Some(free) = group {
        limits.push(memory(free, "free memory under the limit of the cgroup"));
    }
    limits
}

fn memory(free: u64, what: &str) -> Limit {
    Limit {
        what: format!("{free} bytes of {what}"),
        all: free,
        used: 0,
        kept: MEMORY_KEPT.min(free / 4),
        each: CONNECTION,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: u64) -> Limit {
        Limit { what: format!("{all} open files (ulimit -Hn)"), all, used: 0, kept: FILES_KEPT, each: 1 }
    }

    fn processes(all: u64, used: u64) -> Limit {
        Limit { what: format!("{all} processes (kernel.pid_max)"), all, used, kept: PROCESSES_KEPT, each: 1 }
    }

    #[test]
    fn the_lowest_limit_decides_and_a_tenth_of_it_stays_free() {
        let ceiling = lowest(&[files(20_000), processes(32_768, 100), memory(24 << 30, "free memory")]);
        let limit = "20000 open files (ulimit -Hn)".to_owned();
        assert_eq!(ceiling, Ceiling { connections: 18_000, limit, reserve: "2000 of them stay free".into() });
        assert_eq!(lowest(&[files(1 << 20), processes(15_000, 500)]).connections, 13_000);
    }

    #[test]
    fn where_little_is_there_more_than_a_tenth_stays_free() {
        assert_eq!(lowest(&[processes(3000, 500)]).connections, 1500);
        assert_eq!(lowest(&[processes(1200, 500)]).connections, 0);
        assert_eq!(lowest(&[files(1024)]).connections, 768);
        let of_memory = lowest(&[memory(2 << 30, "free memory")]);
        assert_eq!(of_memory.connections as u64, (3 << 29) / CONNECTION);
        assert!(of_memory.limit.contains("free memory"));
    }

    #[test]
    fn a_load_that_would_take_more_than_half_of_a_reserve_is_refused() {
        let left = |used| keep_half(&[files(20_000), processes(32_768, used)], 18_000);
        assert_eq!(left(13_130), Ok(()));
        assert!(left(13_131).unwrap_err().contains("by 32768 processes (kernel.pid_max)"));
    }

    #[test]
    fn without_a_limit_the_experiment_asks_for_twice_what_the_lecture_says() {
        assert_eq!(lowest(&[files(1 << 20), processes(1 << 22, 500)]).connections, 20_000);
    }

    #[test]
    fn what_this_machine_allows_leaves_the_reserve_of_each_limit() {
        for limit in limits_of_this_machine() {
            let taken = limit.used + limit.connections() * limit.each;
            assert!(limit.connections() == 0 || taken + limit.reserve() <= limit.all, "{}", limit.what);
        }
    }
}
