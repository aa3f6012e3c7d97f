//! What the kernel tells of other processes, and sets for them.

use std::collections::HashSet;
use std::fs;
use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// The numbers of its open descriptors.
fn descriptors(pid: Pid) -> HashSet<u64> {
    let dir = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How many descriptors it has open.
pub fn open_files(pid: Pid) -> usize {
    descriptors(pid).len()
}

/// The number that its next descriptor will have.
pub fn next_descriptor(pid: Pid) -> u64 {
    let taken = descriptors(pid);
    (0..).find(|n| !taken.contains(n)).expect("a number")
}

/// How many threads it has, without those of io_uring itself: the kernel keeps one of them when there is no more work.
pub fn threads(pid: Pid) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| !name.starts_with("iou-wrk")).count()
}

/// Its children, zombies too: proc_tid_children(5). None if it is gone.
pub fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<_> = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| Pid::from_raw(pid.parse().expect("a pid"))).collect()
}

/// Has it no child but those that a pool keeps spare, which live?
pub fn has_only_spare_children(pid: Pid, model: &str) -> bool {
    let spare = if model == "process-pool" { 10 } else { 0 };
    let children = children(pid);
    let is_zombie = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    children.len() <= spare && !children.iter().any(is_zombie)
}

/// Its limit on that resource from now on, and the one that it had: prlimit(2).
pub fn limit(pid: Pid, resource: libc::__rlimit_resource_t, soft: u64) -> io::Result<u64> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given, and the old one goes to our own variable.
    Errno::result(unsafe { libc::prlimit(pid.as_raw(), resource, std::ptr::null(), &mut old) })?;
    let new = libc::rlimit { rlim_cur: soft, ..old };
    // SAFETY: the new limit is our own variable, and the old one is not asked for.
    Errno::result(unsafe { libc::prlimit(pid.as_raw(), resource, &new, std::ptr::null_mut()) })?;
    Ok(old.rlim_cur)
}
