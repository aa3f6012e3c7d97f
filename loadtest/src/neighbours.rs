//! Finds the other load tests on this machine: two at once disturb each other.
//!
//! A load test binds an abstract Unix socket that has its process id in its name, and `/proc/net/unix` lists the sockets
//! of all. The kernel removes the name when the process ends, however that happens. A load test that begins also connects
//! to the sockets of the others, so that these know of it even if it ends soon. unix(7)
//!
//! The list is that of a network namespace, so load tests in different containers do not find each other.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const PREFIX: &str = "io-models-lab-loadtest-";

/// Makes this load test known to others for as long as it lives.
pub(crate) struct Presence {
    /// `None` if this process has another run at the same time, or the kernel does not permit it: then no other load test
    /// finds this run, which does no harm.
    listener: Option<UnixListener>,
}

impl Presence {
    /// Makes this load test known. Returns also the process ids of the other load tests that run now, ascending.
    pub fn announce() -> (Presence, Vec<u32>) {
        let listen = || {
            let name = SocketAddr::from_abstract_name(format!("{PREFIX}{}", std::process::id()))?;
            let listener = UnixListener::bind_addr(&name)?;
            listener.set_nonblocking(true).map(|()| listener)
        };
        let presence = Presence { listener: listen().ok() };
        let others = presence.others();
        for pid in &others {
            // If this fails, the other one has ended, or has not looked at its visitors for long.
            let _ = visit(*pid);
        }
        (presence, others)
    }

    /// The process ids of the other load tests that run now or have begun since this was called last, ascending.
    pub fn others(&self) -> Vec<u32> {
        let mut others = listed(&fs::read_to_string("/proc/net/unix").unwrap_or_default());
        while let Some(Ok((visitor, _))) = self.listener.as_ref().map(UnixListener::accept) {
            // The id is 0 if the visitor is in a process namespace that is not visible here. pid_namespaces(7)
            let pid = getsockopt(&visitor, sockopt::PeerCredentials).map_or(0, |peer| peer.pid());
            others.extend(u32::try_from(pid).ok().filter(|&pid| pid > 0));
        }
        others.retain(|&pid| pid != std::process::id());
        others.sort_unstable();
        others.dedup();
        others
    }
}

/// The process ids of the load tests that run now, without this process, ascending.
pub fn running() -> Vec<u32> {
    let mut pids = listed(&fs::read_to_string("/proc/net/unix").unwrap_or_default());
    pids.retain(|&pid| pid != std::process::id());
    pids.sort_unstable();
    pids
}

/// Connects to the socket of another load test, without waiting for it.
fn visit(pid: u32) -> nix::Result<()> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new_abstract(format!("{PREFIX}{pid}").as_bytes())?)
}

/// The load tests in the text of /proc/net/unix, where an abstract name begins with an @.
fn listed(text: &str) -> Vec<u32> {
    let name = |line: &str| line.rsplit_once(" @")?.1.strip_prefix(PREFIX)?.parse().ok();
    text.lines().filter_map(name).collect()
}

/// Names other load tests: "another load test (pid 12)", "other load tests (pid 12, 34)".
pub fn named(pids: &[u32]) -> String {
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
        let (presence, _) = Presence::announce();
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
        assert_eq!(listed(text), [34, 7]);
        assert_eq!(named(&[7]), "another load test (pid 7)");
        assert_eq!(named(&[7, 34]), "other load tests (pid 7, 34)");
    }
}
