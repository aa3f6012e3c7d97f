//! Reads what `/proc` says about other processes, and sets their limits.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::Client;
use crate::service::wait_for;

/// The open descriptors of a process.
fn descriptors(pid: Pid) -> HashSet<u64> {
    let dir = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How many descriptors a process has open.
pub fn open_files(pid: Pid) -> usize {
    descriptors(pid).len()
}

/// The number of the next descriptor that a process opens.
pub fn next_descriptor(pid: Pid) -> u64 {
    let taken = descriptors(pid);
    (0..).find(|n| !taken.contains(n)).expect("a number")
}

/// How many threads a process has, without the workers of io_uring: the kernel keeps one of them when no work is left.
pub fn threads(pid: Pid) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| !name.starts_with("iou-wrk")).count()
}

/// The children of a process, zombies included: proc_tid_children(5). Empty if the process is gone.
pub fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<_> = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| Pid::from_raw(pid.parse().expect("a pid"))).collect()
}

/// Has the process no children except the spare ones of a pool, and no zombie?
pub fn has_only_spare_children(pid: Pid, model: &str) -> bool {
    let spare = if model == "process-pool" { 10 } else { 0 };
    let children = children(pid);
    let is_zombie = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    children.len() <= spare && !children.iter().any(is_zombie)
}

/// Sets the soft limit of a process on a resource, and gives the limit that it had: prlimit(2).
pub fn limit(pid: Pid, resource: libc::__rlimit_resource_t, soft: u64) -> io::Result<u64> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call sets no limit, and writes the old one to our own variable.
    Errno::result(unsafe { libc::prlimit(pid.as_raw(), resource, std::ptr::null(), &mut old) })?;
    let new = libc::rlimit { rlim_cur: soft, ..old };
    // SAFETY: the call reads the new limit from our own variable, and writes nothing.
    Errno::result(unsafe { libc::prlimit(pid.as_raw(), resource, &new, std::ptr::null_mut()) })?;
    Ok(old.rlim_cur)
}

/// Has that signal been sent to a process that could not take it yet? (proc_pid_status(5), ShdPnd)
pub fn has_pending(pid: Pid, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).expect("Linux has this line");
    let pending = u64::from_str_radix(pending.trim(), 16).expect("a mask");
    pending & (1 << (signal as i32 - 1)) != 0
}

/// Stops processes (SIGSTOP), and waits until each of their threads has stopped. A thread that gets the signal stops the
/// others only when it has a CPU, and until then they run.
pub fn halt(processes: &[Pid]) {
    processes.iter().for_each(|&pid| kill(pid, Signal::SIGSTOP).expect("it lives"));
    wait_for("all threads to stop", || processes.iter().all(|&pid| has_stopped(pid)));
}

/// Are all threads of a process stopped? The workers of io_uring run nothing of the program.
fn has_stopped(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let state = |stat: String| stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('T'));
    stats.filter(|stat| !stat.contains("(iou-wrk")).filter_map(state).all(|stopped| stopped)
}

/// The bytes of that client that the server has not read; `None` without a socket.
pub fn unread_bytes(server: SocketAddr, client: &Client) -> Option<u64> {
    all_unread_bytes(server).get(&client.stream().local_addr().expect("an address").port()).copied()
}

/// The bytes that the server has not read, by the port of its client: rx_queue of its sockets, proc_pid_net(5). The table has the
/// sockets of all tests, and those in TIME_WAIT, so it takes long to read.
pub fn all_unread_bytes(server: SocketAddr) -> HashMap<u16, u64> {
    let table = fs::read_to_string("/proc/net/tcp").expect("a table of sockets");
    let of_socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port = |field: &str| u16::from_str_radix(field.split_once(':')?.1, 16).ok();
        let is_it = port(fields.get(1)?)? == server.port();
        let unread = u64::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?;
        is_it.then(|| Some((port(fields[2])?, unread))).flatten()
    };
    table.lines().filter_map(of_socket).collect()
}
