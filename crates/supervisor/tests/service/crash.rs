//! The model's process dies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::running::{Service, get, is_there, start, wait_for};

crate::tests![
    a_killed_model_is_back_within_a_second_and_nobody_was_refused,
    orphans_of_a_dead_model_are_killed,
    a_model_that_keeps_failing_is_restarted_later_and_later,
    a_panic_is_a_crash,
    a_new_model_holds_nothing_of_the_admin_endpoint,
    the_model_goes_with_its_supervisor,
    cpu_of_exited_children_is_exact_and_never_counted_twice,
    cpu_of_orphans_counts,
];

/// Asks as fast as it can until told to stop; counts the answers, and the refusals.
fn load(address: SocketAddr, over: Arc<AtomicBool>, answers: Arc<AtomicUsize>) -> usize {
    let mut refused = 0;
    while !over.load(SeqCst) {
        match get(address, "/") {
            Ok(_) => drop(answers.fetch_add(1, SeqCst)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused += 1,
            Err(_) => {} // the one that was being served went down with the model
        }
    }
    refused
}

fn a_killed_model_is_back_within_a_second_and_nobody_was_refused() {
    let service = start("plain", &[]);
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, over, answers) = (service.listen, over.clone(), answers.clone());
            thread::spawn(move || load(address, over, answers))
        })
        .collect();
    let mut took = Vec::new();
    for round in 1..=3 {
        let before = answers.load(SeqCst);
        wait_for("load", || answers.load(SeqCst) > before + 100);
        took.push(service.kill_model());
        let before = answers.load(SeqCst);
        wait_for("answers by the new one", || answers.load(SeqCst) > before + 100);
        assert_eq!(service.metric("server_restarts_total"), Some(f64::from(round)));
    }
    took.sort();
    assert!(took[0] < Duration::from_secs(1), "not even the best of {took:?}");
    over.store(true, SeqCst);
    let refused: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!(refused, 0);
    wait_for("a gauge that is right again", || service.metric("http_server_active_connections") == Some(0.0));
}

fn orphans_of_a_dead_model_are_killed() {
    let service = start("plain", &[]);
    let pids: Vec<Pid> =
        (0..20).map(|_| Pid::from_raw(get(service.listen, "/orphan").unwrap().text.parse().unwrap())).collect();
    assert_eq!(service.metric("process_tree_processes"), Some(21.0));
    assert!(pids.iter().all(|&pid| is_there(pid)));
    service.kill_model();
    assert!(!pids.iter().any(|&pid| is_there(pid)), "they are reaped, too, before the new one starts");
    assert_eq!(service.metric("process_tree_processes"), Some(1.0));
}

fn a_model_that_keeps_failing_is_restarted_later_and_later() {
    let service = start("failing", &[]);
    wait_for("four restarts", || service.metric("server_restarts_total") >= Some(4.0));
    wait_for("a pause", || get(service.admin, "/healthz").unwrap().text == "restarting\n");
    service.signal(Signal::SIGTERM);
    let (status, said) = service.ended();
    assert_eq!(status.code(), Some(1), "who waits in the queue was not served");
    for line in ["the model failed: out of luck", "is restarted now", "in 100ms", "in 200ms", "in 400ms"] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
}

fn a_panic_is_a_crash() {
    let service = start("panicking", &[]);
    wait_for("a restart", || service.metric("server_restarts_total") >= Some(1.0));
    service.signal(Signal::SIGTERM);
    let (_, said) = service.ended();
    assert!(said.contains("by design") && said.contains("exited with code 101"), "{said}");
}

fn a_new_model_holds_nothing_of_the_admin_endpoint() {
    let service = start("plain", &[]);
    let fds = |service: &Service| {
        // Once it has answered, it has opened what it needs.
        assert_eq!(get(service.listen, "/").unwrap().status, 200);
        std::fs::read_dir(format!("/proc/{}/fd", service.model().unwrap())).unwrap().count()
    };
    let before = fds(&service);
    let _open: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(service.admin).unwrap()).collect();
    service.kill_model();
    // Its connection to the one who asks may still be open for a moment.
    wait_for("a model with no more descriptors than the one before it", || fds(&service) <= before);
}

fn the_model_goes_with_its_supervisor() {
    let service = start("plain", &[]);
    let model = service.model().unwrap();
    service.signal(Signal::SIGKILL);
    drop(service);
    wait_for("the model's end", || !is_there(model) || is_zombie(model));
}

/// Whoever adopts it may not wait for it.
fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn cpu(service: &Service) -> f64 {
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
    assert!((1.0..1.19).contains(&burnt), "5 × 200 ms were burnt, {burnt} s are told");

    service.kill_model();
    let after = cpu(&service);
    assert!((0.0..0.19).contains(&(after - last)), "{last} before the restart, {after} after it");
    get(service.listen, "/burn/200").unwrap();
    let burnt = cpu(&service) - after;
    assert!((0.2..0.39).contains(&burnt), "200 ms were burnt in the second life, {burnt} s are told");
}

fn cpu_of_orphans_counts() {
    let service = start("plain", &[]);
    let before = cpu(&service);
    let middle = Pid::from_raw(get(service.listen, "/grandchild").unwrap().text.parse().unwrap());
    wait_for("the grandchild's CPU", || cpu(&service) - before >= 0.2);
    service.kill_model();
    assert!(!is_there(middle));
    let all = cpu(&service) - before;
    assert!((0.2..0.39).contains(&all), "200 ms were burnt, {all} s are told");
}
