//! How many connections the machine's limits allow.

use process_tree::ProcessLimit;

use crate::{Failure, Resource};

/// Nobody is given more than that unasked: each costs memory, and a process more than a descriptor.
const DESCRIPTORS_UNASKED: u64 = 20_000;
const PROCESSES_UNASKED: u64 = 4_096;

/// The number of connections, and what set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub connections: usize,
    pub set_by: &'static str,
}

/// What the machine has, and what is used of it before the first connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The hard limit on open files.
    pub open_files: u64,
    pub processes: Option<ProcessLimit>,
    /// Processes and threads that run already and count against that limit.
    pub running: u64,
    /// Event loops of the model.
    pub threads: u64,
}

impl Machine {
    /// What this one has: RLIMIT_NOFILE, whose soft limit is raised to the hard one, and the limits on processes.
    pub fn this(threads: usize) -> Result<Machine, Failure> {
        let processes = process_tree::max_processes();
        let of_cgroup = process_tree::own_cgroup().and_then(|group| group.pids_current());
        let running = match processes {
            Some(ProcessLimit { what, .. }) if what.starts_with("cgroup") => of_cgroup,
            _ => tasks_of_the_machine(),
        };
        Ok(Machine {
            open_files: process_tree::raise_open_file_limit()?,
            processes,
            running: running.unwrap_or(0),
            threads: threads as u64,
        })
    }

    /// The connections that `asked` for, or else as many as go.
    pub fn capacity(&self, takes: Resource, asked: Option<usize>) -> Result<Capacity, Failure> {
        let loops = 64 + 16 * self.threads; // listener, rings, wake-ups, logs, the store's files
        let files = self.open_files.saturating_sub(loops);
        // A connection that is sent a file takes a second one for as long.
        let by_files = (files, files - files / 16, "RLIMIT_NOFILE (ulimit -n)");
        let by_processes = self.processes.map_or((u64::MAX, u64::MAX, "default"), |limit| {
            let allowed = limit.limit.saturating_sub(self.running + self.threads + 16);
            (allowed, allowed, limit.what)
        });
        let (allowed, unasked, what) = match takes {
            Resource::Descriptor => by_files,
            Resource::Process => by_processes,
            Resource::Thread => by_files.min(by_processes),
        };
        let cap = match takes {
            Resource::Descriptor => DESCRIPTORS_UNASKED,
            Resource::Process | Resource::Thread => PROCESSES_UNASKED,
        };
        match asked {
            Some(asked) if asked as u64 <= allowed => Ok(Capacity { connections: asked, set_by: "--max-connections" }),
            Some(asked) => Err(Failure::Refused(format!(
                "--max-connections {asked} is more than {what} allows here: raise that limit, or ask for at most {allowed}"
            ))),
            None if unasked == 0 => {
                Err(Failure::Refused(format!("{what} is too low to serve anybody: raise that limit")))
            }
            None if unasked <= cap => Ok(Capacity { connections: unasked as usize, set_by: what }),
            None => Ok(Capacity { connections: cap as usize, set_by: "default" }),
        }
    }
}

/// Processes and threads of the whole machine: /proc/loadavg's fourth field, `running/all`. proc_loadavg(5)
fn tasks_of_the_machine() -> Option<u64> {
    let loadavg = std::fs::read_to_string("/proc/loadavg").ok()?;
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Machine = Machine {
        open_files: 1024,
        processes: Some(ProcessLimit { limit: 200, what: "cgroup pids.max" }),
        running: 50,
        threads: 4,
    };

    #[test]
    fn without_a_wish_the_limits_decide() {
        let files = SMALL.capacity(Resource::Descriptor, None).unwrap();
        assert_eq!((files.connections, files.set_by), (840, "RLIMIT_NOFILE (ulimit -n)"));
        let few_files = Machine { open_files: 164, ..SMALL };
        assert_eq!(few_files.capacity(Resource::Thread, None).unwrap().set_by, "RLIMIT_NOFILE (ulimit -n)");
        assert_eq!(SMALL.capacity(Resource::Thread, None).unwrap().set_by, "cgroup pids.max");
        let processes = SMALL.capacity(Resource::Process, None).unwrap();
        assert_eq!((processes.connections, processes.set_by), (130, "cgroup pids.max"));
    }

    #[test]
    fn a_large_machine_is_not_filled_unasked() {
        let large = Machine { open_files: 1 << 20, processes: None, ..SMALL };
        assert_eq!(large.capacity(Resource::Descriptor, None).unwrap().connections, 20_000);
        assert_eq!(large.capacity(Resource::Process, None).unwrap().connections, 4_096);
        assert_eq!(large.capacity(Resource::Process, Some(30_000)).unwrap().connections, 30_000);
    }

    #[test]
    fn a_wish_above_the_limit_is_refused_with_what_would_do() {
        let Err(Failure::Refused(line)) = SMALL.capacity(Resource::Descriptor, Some(5000)) else { panic!() };
        assert!(line.contains("RLIMIT_NOFILE") && line.contains("at most 896"), "{line}");
        assert!(SMALL.capacity(Resource::Descriptor, Some(896)).is_ok());
        let Err(Failure::Refused(line)) = SMALL.capacity(Resource::Process, Some(131)) else { panic!() };
        assert!(line.contains("pids.max"), "{line}");
    }
}
