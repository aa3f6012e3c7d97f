//! A server that is late itself must not say that its peers are.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rusqlite::Connection;

use crate::client::{Client, get, request};
use crate::nod;
use crate::proc::children;
use crate::service::start;

const SHORT_TIMEOUTS: [&str; 6] = ["--threads", "1", "--idle-timeout", "2s", "--head-timeout", "2s"];
/// Longer than these, from the first byte on.
const LONG: Duration = Duration::from_millis(4500);

/// What comes while the loop computes for somebody else is looked at before anybody is called late.
pub fn nobody_is_called_late_after_a_long_callback(model: &'static str) {
    const SOME: u64 = 10_000_000;
    let Some(service) = start(model, &SHORT_TIMEOUTS) else { return };
    let begun = Instant::now();
    get(service.listen, &format!("/work/{SOME}")).expect("an answer");
    let iterations = SOME as f64 * LONG.as_secs_f64() / begun.elapsed().as_secs_f64();
    let mut busy = Client::connect(service.listen).expect("a connection");
    let mut idle = Client::connect(service.listen).expect("a connection");
    let mut halfway = Client::connect(service.listen).expect("a connection");
    let whole = request("/");
    let (first, second) = whole.split_at(10);
    assert_eq!(halfway.get("/").expect("an answer").status, 200);
    assert_eq!(idle.get("/").expect("an answer").status, 200);
    halfway.send(first).expect("it is open");
    busy.send(&request(&format!("/work/{}", (iterations as u64).min(1_000_000_000)))).expect("it is open");
    idle.send(&whole).expect("it is open");
    halfway.send(second).expect("it is open");
    for client in [&mut idle, &mut halfway, &mut busy] {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    service.stopped();
}

/// The same when the whole process was stopped for a while.
pub fn nobody_is_called_late_after_a_stop(model: &'static str) {
    if ["async-await", "framework"].contains(&model) {
        // SIGCONT wakes tokio's epoll_wait(2), which has not looked, and then its timers are due.
        return println!("skipped: not so on tokio");
    }
    let Some(service) = start(model, &SHORT_TIMEOUTS) else { return };
    let pid = service.model_pid().expect("a model");
    let mut client = Client::connect(service.listen).expect("a connection");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    let tree: Vec<_> = std::iter::once(pid).chain(children(pid)).collect();
    tree.iter().for_each(|&pid| kill(pid, Signal::SIGSTOP).expect("it lives"));
    client.send(&request("/")).expect("it is open");
    sleep(LONG); // so long it is stopped
    tree.iter().for_each(|&pid| kill(pid, Signal::SIGCONT).expect("it lives"));
    assert_eq!(client.answer().expect("an answer").status, 200);
    service.stopped();
}

/// Files wait for the helper threads; whoever waits for a file has done nothing wrong.
pub fn a_file_may_wait_for_the_helpers(model: &'static str) {
    let store = nod::store(model, "helpers");
    let flags = ["--write-timeout", "1s", "--store", nod::text(&store)];
    let Some(service) = start(model, &flags) else { return };
    let lock = Connection::open(&store).expect("the store");
    lock.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let mut nods: Vec<_> = (0..8).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    nods.iter_mut().for_each(|client| client.send(&nod::request("a")).expect("it is open"));
    let mut file = Client::connect(service.listen).expect("a connection");
    file.send(&request("/files/1m")).expect("it is open");
    sleep(LONG); // so long nobody can have the store
    lock.execute_batch("COMMIT").expect("it is our own lock");
    assert_eq!(file.answer().expect("an answer").body.len(), 1 << 20);
    nods.iter_mut().for_each(|client| assert_eq!(client.answer().expect("an answer").status, 303));
    service.stopped();
}
