//! Limits that a run may meet.

use super::files::{Fact, Files};
use nix::sys::resource::{Resource, getrlimit};
use process_tree::max_processes;

pub fn facts(root: &Files) -> Vec<Fact> {
    // Each program raises the soft limit to the hard one.
    let open_files = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(_, hard)| hard.to_string());
    let range = root.text("proc/sys/net/ipv4/ip_local_port_range");
    vec![
        ("open_files", open_files),
        ("processes", max_processes().map(|most| format!("{} ({})", most.limit, most.what))),
        ("somaxconn", root.text("proc/sys/net/core/somaxconn")),
        ("port_range", range.map(|range| range.split_whitespace().collect::<Vec<_>>().join("-"))),
        ("tracked_connections", root.text("proc/sys/net/netfilter/nf_conntrack_max")),
        ("swap_bytes", swap(root)),
    ]
}

fn swap(root: &Files) -> Option<String> {
    let meminfo = root.text("proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("SwapTotal:"))?;
    Some((total.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::files::MadeFiles;
    use super::*;

    #[test]
    fn limits_are_read() {
        let made = MadeFiles::new(
            "limits",
            &[
                ("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
                ("proc/meminfo", "MemTotal: 9 kB\nSwapTotal:       2 kB\n"),
            ],
        );
        let facts = facts(&made.files());
        let fact = |name: &str| facts.iter().find(|(known, _)| *known == name).unwrap().1.as_deref();
        assert_eq!(fact("port_range"), Some("32768-60999"));
        assert_eq!(fact("swap_bytes"), Some("2048"));
        assert_eq!(fact("tracked_connections"), None);
    }
}
