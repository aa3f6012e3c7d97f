//! Finds the other load tests on this machine: two at once disturb each other.
//!
//! A load test binds an abstract Unix socket that has its process id in its name, and `/proc/net/unix` lists the sockets
//! of all. The kernel removes the name when the process ends, however that happens. unix(7)
//!
//! The list is that of a network namespace, so load tests in different containers do not find each other.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const PREFIX: &str = "io-models-lab-loadtest-";

/// Makes this load test known to others for as long as it lives.
pub(crate) struct Presence {
    /// `None` if this process has another run at the same time, or the kernel does not permit it: then nobody finds this
    /// run, which does no harm.
    _name: Option<UnixListener>,
}

impl Presence {
    /// Makes this load test known.
    pub fn announce() -> Presence {
        let name = SocketAddr::from_abstract_name(format!("{PREFIX}{}", std::process::id()));
        Presence { _name: name.and_then(|name| UnixListener::bind_addr(&name)).ok() }
    }

    /// The process ids of the other load tests that run now, ascending.
    pub fn others(&self) -> Vec<u32> {
        let mut others = listed(&fs::read_to_string("/proc/net/unix").unwrap_or_default());
        others.retain(|&pid| pid != std::process::id());
        others
    }
}

/// The load tests in the text of /proc/net/unix, where an abstract name begins with an @.
fn listed(text: &str) -> Vec<u32> {
    let name = |line: &str| line.rsplit_once(" @")?.1.strip_prefix(PREFIX)?.parse().ok();
    let mut pids: Vec<u32> = text.lines().filter_map(name).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Names other load tests: "another load test (pid 12)", "other load tests (pid 12, 34)".
pub(crate) fn named(pids: &[u32]) -> String {
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    let what = if pids.len() == 1 { "another load test" } else { "other load tests" };
    format!("{what} (pid {})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_test_is_listed_while_it_lives() {
        let me = || listed(&fs::read_to_string("/proc/net/unix").unwrap()).contains(&std::process::id());
        let presence = Presence::announce();
        assert!(me() && !presence.others().contains(&std::process::id()));
    }

    #[test]
    fn the_others_are_found_by_their_names() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0: 00000002 00000000 00010000 0001 01 12 @io-models-lab-loadtest-34\n\
            0: 00000002 00000000 00010000 0001 01 13 /tmp/@io-models-lab-loadtest-35\n\
            0: 00000002 00000000 00010000 0001 01 14 @io-models-lab-loadtest-x\n\
            0: 00000002 00000000 00010000 0001 01 15 @io-models-lab-loadtest-7\n\
            0: 00000003 00000000 00000000 0001 03 16\n";
        assert_eq!(listed(text), [7, 34]);
        assert_eq!(named(&[7]), "another load test (pid 7)");
        assert_eq!(named(&[7, 34]), "other load tests (pid 7, 34)");
    }
}
