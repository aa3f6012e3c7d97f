//! A server that was delayed itself must not time its peers out.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rusqlite::Connection;

use crate::client::{Client, get, request};
use crate::nod;
use crate::proc::{children, halt};
use crate::service::start;

const SHORT_TIMEOUTS: [&str; 6] = ["--threads", "1", "--idle-timeout", "2s", "--head-timeout", "2s"];
/// Longer than these time-outs.
const LONG: Duration = Duration::from_millis(4500);

/// Bytes that arrive while the loop computes for another connection are read before any deadline is judged.
pub fn a_long_callback_times_out_no_other_connection(model: &'static str) {
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

/// The same after the whole process was stopped (SIGSTOP) for a while.
pub fn a_stopped_process_times_out_no_connection(model: &'static str) {
    if ["async-await", "framework"].contains(&model) {
        // SIGCONT ends tokio's epoll_wait(2) before it has looked for events, and then the timers are due.
        return println!("skipped: tokio times the connection out");
    }
    let Some(service) = start(model, &SHORT_TIMEOUTS) else { return };
    let pid = service.model_pid().expect("a model");
    let mut client = Client::connect(service.listen).expect("a connection");
    assert_eq!(client.get("/").expect("an answer").status, 200);
    let tree: Vec<_> = std::iter::once(pid).chain(children(pid)).collect();
    halt(&tree);
    client.send(&request("/")).expect("it is open");
    sleep(LONG); // the process is stopped for this time
    tree.iter().for_each(|&pid| kill(pid, Signal::SIGCONT).expect("it lives"));
    assert_eq!(client.answer().expect("an answer").status, 200);
    service.stopped();
}

/// A file that waits for a helper thread is no fault of the peer: the write time-out must not strike.
pub fn a_file_may_wait_for_a_helper_thread(model: &'static str) {
    let store = nod::store(model, "helpers");
    let flags = ["--write-timeout", "1s", "--store", nod::text(&store)];
    let Some(service) = start(model, &flags) else { return };
    let lock = Connection::open(&store).expect("the store");
    lock.execute_batch("BEGIN IMMEDIATE").expect("no other connection writes");
    let mut nods: Vec<_> = (0..8).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    nods.iter_mut().for_each(|client| client.send(&nod::request("a")).expect("it is open"));
    let mut file = Client::connect(service.listen).expect("a connection");
    file.send(&request("/files/1m")).expect("it is open");
    sleep(LONG); // the store is locked for this time
    lock.execute_batch("COMMIT").expect("the lock is ours");
    assert_eq!(file.answer().expect("an answer").body.len(), 1 << 20);
    nods.iter_mut().for_each(|client| assert_eq!(client.answer().expect("an answer").status, 303));
    service.stopped();
}
