//! Decides how many connections may be open, from `--max-connections` and the limits of the machine.

use process_tree::ProcessLimit;

use crate::{Failure, Resource};

/// The most connections without `--max-connections`, even if the limits allow more. Each connection costs memory, and a
/// process costs more than a descriptor.
const DEFAULT_FOR_DESCRIPTORS: u64 = 20_000;
const DEFAULT_FOR_PROCESSES: u64 = 4_096;

/// The number of connections, and the flag or limit that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub connections: usize,
    pub set_by: &'static str,
}

impl Capacity {
    /// As a part of a sentence.
    pub fn described(&self) -> String {
        format!("{} (by {})", self.connections, self.set_by)
    }
}

/// The limits of the machine, and what is in use before the first connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineLimits {
    /// The hard limit on open files.
    pub open_files: u64,
    pub processes: Option<ProcessLimit>,
    /// The threads that one process may have: each takes two mappings, its stack and the page below it (vm.max_map_count).
    pub threads_of_process: u64,
    /// Processes and threads that already exist and count against that limit.
    pub running: u64,
    /// The number of event loops of the model.
    pub threads: u64,
}

impl MachineLimits {
    /// Reads the limits on processes and RLIMIT_NOFILE, and raises its soft limit to the hard one.
    pub fn of_this_machine(threads: usize) -> Result<MachineLimits, Failure> {
        let processes = process_tree::max_processes();
        Ok(MachineLimits {
            open_files: process_tree::raise_open_file_limit()?,
            processes,
            threads_of_process: threads_of_process(),
            running: processes.as_ref().map_or(0, process_tree::running_processes),
            threads: threads as u64,
        })
    }

    /// How many processes may be started, and the limit that says so.
    fn processes_left(&self) -> (u64, &'static str) {
        self.processes.map_or((u64::MAX, "default"), |limit| {
            (limit.limit.saturating_sub(self.running.saturating_add(16)), limit.what)
        })
    }

    /// How many threads one process may start, and the limit that says so.
    fn threads_left(&self) -> (u64, &'static str) {
        self.processes_left().min((self.threads_of_process, "vm.max_map_count"))
    }

    /// Refuses a flag that asks for more threads than the machine allows.
    pub fn check_threads(&self, flag: &str, threads: usize) -> Result<(), Failure> {
        let (allowed, what) = self.threads_left();
        let files = (self.open_files.saturating_sub(64) / 16, "RLIMIT_NOFILE (ulimit -n)");
        let (allowed, what) = if flag == "threads" { files.min((allowed, what)) } else { (allowed, what) };
        if threads as u64 <= allowed {
            return Ok(());
        }
        Err(Failure::CannotStart(format!(
            "--{flag} {threads} is more than {what} allows here: raise that limit, or ask for at most {allowed}"
        )))
    }

    /// Returns the `requested` number of connections if the limits allow it, and without a request what they allow, up
    /// to the default. `resource` is what each connection takes.
    pub fn capacity(&self, resource: Resource, requested: Option<usize>) -> Result<Capacity, Failure> {
        // Listener, rings, wake-ups, logs, the store's files.
        let reserved = self.threads.saturating_mul(16).saturating_add(64);
        let files = self.open_files.saturating_sub(reserved);
        // While a file is sent, its connection takes a second descriptor.
        let by_files = (files, files - files / 16, "RLIMIT_NOFILE (ulimit -n)");
        let (processes, what) = self.processes_left();
        let processes = processes.saturating_sub(self.threads);
        let by_processes = (processes, processes, what);
        let (threads, what) = self.threads_left();
        let threads = threads.saturating_sub(self.threads);
        let by_threads = (threads, threads, what);
        let (allowed, unrequested, what) = match resource {
            Resource::Descriptor => by_files,
            Resource::Process => by_processes,
            Resource::Thread => by_files.min(by_threads),
        };
        // The event loops need processes, too, whatever a connection takes.
        if let Some((_, _, what)) = [by_files, by_processes].into_iter().find(|&(allowed, ..)| allowed == 0)
            && self.threads > 1
        {
            let threads = self.threads;
            let why = format!("{threads} event loops leave no room for a connection under {what}");
            return Err(Failure::CannotStart(format!("{why}: raise that limit, or ask for fewer with --threads")));
        }
        let default = match resource {
            Resource::Descriptor => DEFAULT_FOR_DESCRIPTORS,
            Resource::Process | Resource::Thread => DEFAULT_FOR_PROCESSES,
        };
        match requested {
            Some(n) if n as u64 <= allowed => Ok(Capacity { connections: n, set_by: "--max-connections" }),
            Some(n) => Err(Failure::CannotStart(format!(
                "--max-connections {n} is more than {what} allows here: raise that limit, or ask for at most {allowed}"
            ))),
            None if unrequested == 0 => {
                Err(Failure::CannotStart(format!("{what} is too low for a single connection: raise that limit")))
            }
            None if unrequested <= default => Ok(Capacity { connections: unrequested as usize, set_by: what }),
            None => Ok(Capacity { connections: default as usize, set_by: "default" }),
        }
    }
}

/// The threads that a process may have by vm.max_map_count, less those mappings that every process has.
fn threads_of_process() -> u64 {
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|n| n.trim().parse().ok());
    mappings.map_or(u64::MAX, |mappings: u64| mappings.saturating_sub(1024) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: MachineLimits = MachineLimits {
        open_files: 1024,
        processes: Some(ProcessLimit { limit: 200, what: "cgroup pids.max" }),
        threads_of_process: 32_000,
        running: 50,
        threads: 4,
    };

    #[test]
    fn without_a_requested_number_the_limits_decide() {
        let files = SMALL.capacity(Resource::Descriptor, None).unwrap();
        assert_eq!((files.connections, files.set_by), (840, "RLIMIT_NOFILE (ulimit -n)"));
        let few_files = MachineLimits { open_files: 164, ..SMALL };
        assert_eq!(few_files.capacity(Resource::Thread, None).unwrap().set_by, "RLIMIT_NOFILE (ulimit -n)");
        assert_eq!(SMALL.capacity(Resource::Thread, None).unwrap().set_by, "cgroup pids.max");
        let processes = SMALL.capacity(Resource::Process, None).unwrap();
        assert_eq!((processes.connections, processes.set_by), (130, "cgroup pids.max"));
    }

    #[test]
    fn without_a_requested_number_a_large_machine_is_not_filled() {
        let large = MachineLimits { open_files: 1 << 20, processes: None, ..SMALL };
        assert_eq!(large.capacity(Resource::Descriptor, None).unwrap().connections, 20_000);
        assert_eq!(large.capacity(Resource::Process, None).unwrap().connections, 4_096);
        assert_eq!(large.capacity(Resource::Process, Some(30_000)).unwrap().connections, 30_000);
    }

    #[test]
    fn more_threads_than_the_limits_allow_are_refused() {
        assert!(SMALL.check_threads("workers", 134).is_ok());
        let Err(Failure::CannotStart(line)) = SMALL.check_threads("workers", 135) else { panic!() };
        assert!(line.starts_with("--workers 135 is more than cgroup pids.max allows here"), "{line}");
        let Err(Failure::CannotStart(line)) = SMALL.check_threads("threads", 61) else { panic!() };
        assert!(line.contains("RLIMIT_NOFILE") && line.contains("at most 60"), "{line}");
        let large = MachineLimits { processes: None, ..SMALL };
        let Err(Failure::CannotStart(line)) = large.check_threads("workers", 32_001) else { panic!() };
        assert!(line.contains("vm.max_map_count"), "{line}");
    }

    #[test]
    fn more_event_loops_than_the_limits_allow_are_refused() {
        for threads in [60, u64::MAX] {
            for resource in [Resource::Descriptor, Resource::Process, Resource::Thread] {
                for requested in [None, Some(1)] {
                    let refused = MachineLimits { threads, ..SMALL }.capacity(resource, requested);
                    let Err(Failure::CannotStart(line)) = refused else { panic!("{threads} event loops") };
                    assert!(line.contains("RLIMIT_NOFILE") && line.contains("--threads"), "{line}");
                }
            }
        }
        let many_files = MachineLimits { open_files: 1 << 20, threads: 200, ..SMALL };
        let Err(Failure::CannotStart(line)) = many_files.capacity(Resource::Descriptor, None) else { panic!() };
        assert!(line.contains("cgroup pids.max") && line.contains("--threads"), "{line}");
    }

    #[test]
    fn a_number_above_the_limit_is_refused_and_the_highest_possible_one_named() {
        let Err(Failure::CannotStart(line)) = SMALL.capacity(Resource::Descriptor, Some(5000)) else { panic!() };
        assert!(line.contains("RLIMIT_NOFILE") && line.contains("at most 896"), "{line}");
        assert!(SMALL.capacity(Resource::Descriptor, Some(896)).is_ok());
        let Err(Failure::CannotStart(line)) = SMALL.capacity(Resource::Process, Some(131)) else { panic!() };
        assert!(line.contains("pids.max"), "{line}");
    }
}
