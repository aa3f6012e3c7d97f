//! Very many connections at once.

use std::sync::{Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};

use crate::client::{Client, request};
use crate::service::{Service, start, wait_for};

pub fn ten_thousand_connections(model: &'static str) {
    const CONNECTIONS: usize = 10_000;
    // The machine may not have the memory for two such tests at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if hard < CONNECTIONS as u64 + 500 {
        return println!("skipped: a process may have only {hard} descriptors here");
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit can be raised");
    let flags = ["--max-connections", "10000", "--idle-timeout", "5m"];
    let Some(service) = start(model, &flags) else { return };
    open_all(&service, CONNECTIONS);
    service.stopped();
}

pub fn two_thousand_processes(model: &'static str) {
    two_thousand(model, "process_tree_processes");
}

pub fn two_thousand_threads(model: &'static str) {
    two_thousand(model, "process_tree_threads");
}

/// For models with a worker for each connection, which ends when the connection closes.
fn two_thousand(model: &'static str, workers: &str) {
    const CONNECTIONS: usize = 2_000;
    let flags = ["--max-connections", "2000", "--idle-timeout", "5m"];
    let Some(service) = start(model, &flags) else { return };
    let clients = open_all(&service, CONNECTIONS);
    assert_eq!(service.metric(workers), CONNECTIONS as f64 + 1.0);
    drop(clients);
    wait_for("the workers to be gone", || service.metric(workers) == 1.0);
    service.stopped();
}

/// Opens the connections and sends three requests on each; the third one is ready on all connections at the same time.
fn open_all(service: &Service, connections: usize) -> Vec<Client> {
    let model = service.model;
    let before = service.metric("process_tree_memory_bytes");
    let mut clients: Vec<_> = (0..connections)
        .map(|n| Client::connect(service.listen).unwrap_or_else(|error| panic!("connection {n}: {error}")))
        .collect();
    let pid = service.model_pid().expect("a model");
    for at_once in [false, false, true] {
        if at_once {
            kill(pid, Signal::SIGSTOP).expect("it lives"); // so that all requests have arrived when it runs again
        }
        clients.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
        kill(pid, Signal::SIGCONT).expect("it lives");
        for (n, client) in clients.iter_mut().enumerate() {
            let answer = client.answer().unwrap_or_else(|error| panic!("connection {n}: {error}"));
            assert!(answer.status == 200 && !answer.close);
        }
    }
    assert_eq!(service.active(), connections as f64);
    let each = (service.metric("process_tree_memory_bytes") - before) / connections as f64;
    println!("{model}: {connections} connections; {each:.0} bytes of memory for each that is idle");
    clients
}
