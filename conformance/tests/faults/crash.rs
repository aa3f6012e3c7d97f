//! The model's process is killed under load.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::client::{Client, get};
use crate::proc::{children, has_only_spare_children};
use crate::service::{Service, SetOnDrop, start, wait_for};

const KILLS: usize = 3;

pub fn is_restarted_at_once(model: &'static str) {
    let Some(service) = start(model, &[]) else { return };
    let (over, answers, refused) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let load = |keep_alive: bool| {
        while !over.load(SeqCst) {
            let mut client = match Client::connect(service.listen) {
                Ok(client) => client,
                Err(error) => {
                    if error.kind() == ErrorKind::ConnectionRefused {
                        refused.lock().expect("no panic").push(error);
                    }
                    continue;
                }
            };
            while client.get("/").is_ok() {
                answers.fetch_add(1, SeqCst);
                if !keep_alive || over.load(SeqCst) {
                    break;
                }
            }
        }
    };
    let mut took = thread::scope(|scope| {
        let _end = SetOnDrop(&over);
        for client in 0..6 {
            scope.spawn(move || load(client % 2 == 0));
        }
        (0..KILLS).map(|n| kill_under_load(&service, n, &answers)).collect::<Vec<_>>()
    });
    took.sort();
    println!("{model}: answers again after kill -9 within {took:?}");
    assert!(took[0] < Duration::from_secs(1), "none of {took:?} is below a second");
    assert!(refused.into_inner().expect("no panic").is_empty(), "connections were refused");

    let pid = service.model_pid().expect("a model");
    wait_for("the connections of the load to be closed", || service.active() == 0.0);
    wait_for("worker processes to be gone", || has_only_spare_children(pid, model));
    assert_eq!(children(service.pid()), [pid], "orphans");
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").expect("an answer").status, 200));
    assert_eq!(service.active(), 5.0);
    drop(clients);
    service.is_well(pid);
    service.stopped();
}

/// Kills the model, and gives the time until a connection that was made after the kill has an answer from the new
/// process.
fn kill_under_load(service: &Service, nth: usize, answers: &AtomicUsize) -> Duration {
    let before = answers.load(SeqCst);
    wait_for("load", || answers.load(SeqCst) > before + 100);
    let requests = service.total("http_server_requests_total");
    assert!(requests >= before as f64, "{before} answers, but {requests} counted");
    kill(service.model_pid().expect("a model"), Signal::SIGKILL).expect("it lives");
    let begun = Instant::now();
    wait_for("an answer by a new process", || {
        assert!(service.total("http_server_requests_total") >= requests, "the counter went backwards");
        service.metric("server_restarts_total") == nth as f64 + 1.0 && get(service.listen, "/").is_ok()
    });
    begun.elapsed()
}
