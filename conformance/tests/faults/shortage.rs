//! No descriptor, process, thread or signal is left for a connection.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc;
use nix::unistd::{Pid, getpid};

use crate::client::{Client, get, last_request};
use crate::proc::{children, limit, next_descriptor};
use crate::service::{Service, start, wait_for};

const CLIENTS: usize = 30;

pub fn of_descriptors(model: &'static str) {
    let Some(service) = start(model, &["--threads", "1", "--max-connections", "5"]) else { return };
    let pid = service.model_pid().expect("a model");
    // All processes that may accept: the model's process, and its workers.
    let tree = || std::iter::once(pid).chain(children(pid));
    // A connection is counted as closed a moment before its descriptor is free.
    let settled = |pid| {
        let looks = (0..10).map(|_| {
            sleep(Duration::from_millis(5));
            next_descriptor(pid)
        });
        looks.min().expect("ten looks")
    };
    let next: Vec<_> = tree().map(|pid| (pid, settled(pid))).collect();
    // io_uring reads the limit when an accept is submitted, not when it completes. So the model must submit a new one.
    let full: Vec<_> = (0..6).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    wait_for("all permits to be taken", || service.active() == 5.0 && paused(&service) > 0.0);
    let before: Vec<_> =
        next.into_iter().map(|(pid, next)| (pid, limit(pid, libc::RLIMIT_NOFILE, next).expect("it lives"))).collect();
    drop(full);
    shortage(&service, pid, || {
        for (pid, before) in before {
            limit(pid, libc::RLIMIT_NOFILE, before).expect("it lives");
        }
    });
    service.stopped();
}

pub fn of_processes(model: &'static str) {
    let Some((group, service, pid)) = without_processes(model) else { return };
    shortage(&service, pid, || group.set("pids.max", "max").expect("no limit"));
    service.stopped();
}

/// No helper thread can be started: the loop makes the blocking calls itself.
pub fn of_helpers(model: &'static str) {
    let Some((group, service, pid)) = without_processes(model) else { return };
    let answer = get(service.listen, "/files/1m").expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));
    for _ in 0..2 {
        assert_eq!(get(service.listen, "/nods").expect("an answer").status, 200);
    }
    group.set("pids.max", "max").expect("no limit");
    assert_eq!(get(service.listen, "/files/64k").expect("an answer").body.len(), 64 << 10);
    service.is_well(pid);
    service.stopped();
}

/// A service whose model can start no process and no thread.
fn without_processes(model: &'static str) -> Option<(Group, Service, Pid)> {
    let group = match Group::new(model) {
        Ok(group) => group,
        Err(error) => {
            println!("skipped: no control group can be made for {model}: {error}");
            return None;
        }
    };
    let service = start(model, &[])?;
    let pid = service.model_pid().expect("a model");
    group.set("pids.max", "1").expect("a limit");
    group.set("cgroup.procs", &pid.to_string()).expect("it lives");
    Some((group, service, pid))
}

/// No signal can be queued, so none announces that a read is complete.
pub fn of_signals(model: &'static str) {
    const FILE: &str = "/files/1m";
    let Some(service) = start(model, &[]) else { return };
    let pid = service.model_pid().expect("a model");
    let file = get(service.listen, FILE).expect("an answer").body;
    let before = limit(pid, libc::RLIMIT_SIGPENDING, 0).expect("it lives");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    let begun = Instant::now();
    clients.iter_mut().for_each(|client| client.send(&last_request(FILE)).expect("it is open"));
    clients.iter_mut().for_each(|client| assert!(client.answer().expect("an answer").body == file));
    println!("{model}: {CLIENTS} files in {:?} without signals", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_millis(100), "the limit had no effect");

    limit(pid, libc::RLIMIT_SIGPENDING, before).expect("it lives");
    assert!(get(service.listen, FILE).expect("an answer").body == file);
    drop(clients);
    service.is_well(pid);
    service.stopped();
}

/// No connection is served until the shortage ends, and then all of them.
fn shortage(service: &Service, pid: Pid, end: impl FnOnce()) {
    let model = service.model;
    wait_for("all connections to be closed", || service.active() == 0.0);
    let so_far = paused(service);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    clients.iter_mut().for_each(|client| client.send(&last_request("/")).expect("it is open"));
    wait_for("a pause", || paused(service) >= so_far + 3.0);
    let cpu = service.cpu_of_waiting(Duration::from_millis(500));
    println!("{model}: {cpu:?} of CPU in half a second of shortage");
    assert!(cpu < Duration::from_millis(150), "it spins: {cpu:?} in 500 ms");
    assert!(!clients.iter().any(Client::is_readable), "a connection was served during the shortage");

    end();
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().expect("an answer").status, 200));
    drop(clients);
    service.is_well(pid);
    let cpu = service.cpu_of_waiting(Duration::from_millis(300));
    assert!(cpu < Duration::from_millis(100), "it spins after the shortage: {cpu:?} in 300 ms");
}

fn paused(service: &Service) -> f64 {
    service.metric("http_server_accept_paused_total")
}

/// A control group. (RLIMIT_NPROC does not bind root.)
struct Group(PathBuf);

impl Group {
    /// Makes a group that can limit the number of processes.
    fn new(model: &str) -> io::Result<Group> {
        let v1 = Path::new("/sys/fs/cgroup/pids");
        let all = if v1.exists() { v1 } else { Path::new("/sys/fs/cgroup") };
        let folder = all.join(format!("faults-{model}-{}", getpid()));
        fs::create_dir(&folder)?;
        let group = Group(folder);
        group.set("pids.max", "max")?;
        Ok(group)
    }

    fn set(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(name), value)
    }
}

impl Drop for Group {
    /// Its processes have ended by then.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
