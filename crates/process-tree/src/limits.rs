//! The limits on open files and on processes, which a server reaches before others.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cgroup::own_cgroup;

/// How many processes and threads there may be, and which limit says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimit {
    /// Processes and threads together, including those that already exist.
    pub limit: u64,
    /// The name of the limit as an administrator knows it.
    pub what: &'static str,
}

/// Raises the soft limit on open files to the hard one and returns it.
///
/// # Errors
///
/// Those of getrlimit(2) and setrlimit(2).
pub fn raise_open_file_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// The lowest of the limits on processes that apply to this process; `None` if none can be read.
///
/// `RLIMIT_NPROC` counts the processes of the user (and does not apply to root: getrlimit(2)), `pids.max` those of the
/// control group, and the other two those of the machine. All of them count threads, too.
pub fn max_processes() -> Option<ProcessLimit> {
    let of_user = match getrlimit(Resource::RLIMIT_NPROC) {
        Ok((soft, _)) if !nix::unistd::getuid().is_root() && soft != libc::RLIM_INFINITY => Some(soft),
        _ => None,
    };
    [
        (of_user, "RLIMIT_NPROC (ulimit -u)"),
        (own_cgroup().and_then(|cgroup| cgroup.pids_max()), "cgroup pids.max"),
        (sysctl("pid_max"), "kernel.pid_max"),
        (sysctl("threads-max"), "kernel.threads-max"),
    ]
    .into_iter()
    .filter_map(|(limit, what)| Some(ProcessLimit { limit: limit?, what }))
    .min_by_key(|limit| limit.limit)
}

/// Processes and threads that already exist and count against this limit, as far as that is known. Against the limit of a user, all
/// those of the machine are counted: rather too many than too few.
pub fn running_processes(limit: &ProcessLimit) -> u64 {
    let running = match limit.what.starts_with("cgroup") {
        true => own_cgroup().and_then(|group| group.pids_current()),
        false => tasks_of_machine(),
    };
    running.unwrap_or(0)
}

/// The number of processes and threads on the machine, from the fourth field of /proc/loadavg, `running/all`:
/// proc_loadavg(5).
fn tasks_of_machine() -> Option<u64> {
    let loadavg = std::fs::read_to_string("/proc/loadavg").ok()?;
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn sysctl(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_open_file_limit().unwrap();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (raised, raised));
    }

    #[test]
    fn the_lowest_limit_is_named() {
        let lowest = max_processes().unwrap();
        assert!(lowest.limit > 0);
        assert!(lowest.limit <= sysctl("pid_max").unwrap());
        assert!(!lowest.what.is_empty());
        assert!(running_processes(&lowest) > 0);
    }
}
