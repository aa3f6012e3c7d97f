//! Tests of what happens when the model's process dies: restart, orphans, and the accounting of CPU time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::running::{RunningService, exists, get, start, wait_for};

crate::tests![
    a_killed_model_is_restarted_within_a_second_and_no_connection_is_refused,
    orphans_of_a_dead_model_are_killed_and_reaped,
    a_model_that_keeps_failing_is_restarted_with_growing_delays,
    a_model_that_panics_is_restarted,
    a_new_model_process_has_no_descriptors_of_the_admin_endpoint,
    the_model_ends_when_its_supervisor_dies,
    cpu_of_exited_children_is_exact_and_never_counted_twice,
    cpu_of_orphans_is_counted,
];

/// Sets a flag when it is dropped, so that also a test that fails stops its load.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Sends requests as fast as it can until `stop` is set. Counts the responses, and returns the number of refused
/// connections.
fn load(address: SocketAddr, stop: Arc<AtomicBool>, responses: Arc<AtomicUsize>) -> usize {
    let mut refused = 0;
    while !stop.load(SeqCst) {
        match get(address, "/") {
            Ok(_) => drop(responses.fetch_add(1, SeqCst)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused += 1,
            Err(_) => {} // the model was killed while it served this connection
        }
    }
    refused
}

fn a_killed_model_is_restarted_within_a_second_and_no_connection_is_refused() {
    let service = start("plain", &[]);
    let (stop, responses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let stop_load = SetOnDrop(stop.clone());
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop, responses) = (service.listen, stop.clone(), responses.clone());
            thread::spawn(move || load(address, stop, responses))
        })
        .collect();
    let mut restart_times = Vec::new();
    for round in 1..=3 {
        let before = responses.load(SeqCst);
        wait_for("the service to be under load", || responses.load(SeqCst) > before + 100);
        restart_times.push(service.kill_model());
        let before = responses.load(SeqCst);
        wait_for("responses of the new process", || responses.load(SeqCst) > before + 100);
        assert_eq!(service.metric("server_restarts_total"), Some(f64::from(round)));
    }
    restart_times.sort();
    assert!(restart_times[0] < Duration::from_secs(1), "even the shortest of {restart_times:?} is too long");
    drop(stop_load);
    let refused: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!(refused, 0);
    wait_for("the gauge to be right again", || service.metric("http_server_active_connections") == Some(0.0));
}

fn orphans_of_a_dead_model_are_killed_and_reaped() {
    let service = start("plain", &[]);
    let pids: Vec<Pid> =
        (0..20).map(|_| Pid::from_raw(get(service.listen, "/orphan").unwrap().text.parse().unwrap())).collect();
    assert_eq!(service.metric("process_tree_processes"), Some(21.0));
    assert!(pids.iter().all(|&pid| exists(pid)));
    service.kill_model();
    assert!(!pids.iter().any(|&pid| exists(pid)), "the orphans are reaped, too, before the new process starts");
    assert_eq!(service.metric("process_tree_processes"), Some(1.0));
}

fn a_model_that_keeps_failing_is_restarted_with_growing_delays() {
    let service = start("failing", &[]);
    wait_for("four restarts", || service.metric("server_restarts_total") >= Some(4.0));
    wait_for("a delay before a restart", || get(service.admin, "/healthz").unwrap().text == "restarting\n");
    service.signal(Signal::SIGTERM);
    let (status, stderr) = service.wait_for_exit();
    assert_eq!(status.code(), Some(1), "connections in the backlog were not served");
    for text in ["the model failed: out of luck", "is restarted now", "in 100ms", "in 200ms", "in 400ms"] {
        assert!(stderr.contains(text), "no `{text}` in {stderr}");
    }
}

fn a_model_that_panics_is_restarted() {
    let service = start("panicking", &[]);
    wait_for("a restart", || service.metric("server_restarts_total") >= Some(1.0));
    service.signal(Signal::SIGTERM);
    let (_, stderr) = service.wait_for_exit();
    assert!(stderr.contains("by design") && stderr.contains("exited with code 101"), "{stderr}");
}

fn a_new_model_process_has_no_descriptors_of_the_admin_endpoint() {
    let service = start("plain", &[]);
    let fds = |service: &RunningService| {
        // When it has served a request, it has opened all the descriptors that it needs.
        assert_eq!(get(service.listen, "/").unwrap().status, 200);
        std::fs::read_dir(format!("/proc/{}/fd", service.model().unwrap())).unwrap().count()
    };
    let before = fds(&service);
    let _open: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(service.admin).unwrap()).collect();
    service.kill_model();
    // The connection of the request in `fds` may still be open for a moment.
    wait_for("a model with no more descriptors than the one before it", || fds(&service) <= before);
}

fn the_model_ends_when_its_supervisor_dies() {
    let service = start("plain", &[]);
    let model = service.model().unwrap();
    service.signal(Signal::SIGKILL);
    drop(service);
    wait_for("the model's end", || !exists(model) || is_zombie(model));
}

/// Whether the process has ended but is not reaped. The process that inherits it may never wait for it.
fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn cpu(service: &RunningService) -> f64 {
    service.metric("process_tree_cpu_seconds_total").unwrap()
}

fn cpu_of_exited_children_is_exact_and_never_counted_twice() {
    let service = start("plain", &[]);
    let begun = cpu(&service);
    let mut last = begun;
    for _ in 0..5 {
        get(service.listen, "/burn/200").unwrap();
        let now = cpu(&service);
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    let burnt = last - begun;
    assert!((1.0..1.19).contains(&burnt), "5 × 200 ms were burnt, {burnt} s are reported");

    service.kill_model();
    let after = cpu(&service);
    assert!((0.0..0.19).contains(&(after - last)), "{last} before the restart, {after} after it");
    get(service.listen, "/burn/200").unwrap();
    let burnt = cpu(&service) - after;
    assert!((0.2..0.39).contains(&burnt), "200 ms were burnt after the restart, {burnt} s are reported");
}

fn cpu_of_orphans_is_counted() {
    let service = start("plain", &[]);
    let before = cpu(&service);
    let parent = Pid::from_raw(get(service.listen, "/grandchild").unwrap().text.parse().unwrap());
    wait_for("the grandchild's CPU", || cpu(&service) - before >= 0.2);
    service.kill_model();
    assert!(!exists(parent));
    let all = cpu(&service) - before;
    assert!((0.2..0.39).contains(&all), "200 ms were burnt, {all} s are reported");
}
