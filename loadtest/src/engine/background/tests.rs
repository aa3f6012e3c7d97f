//! Tests of the background load against servers that leave connections in their backlog.

use super::*;
use crate::engine::script::Script;
use results::content::Content;
use results::{Arrivals, BackgroundGroup, BackgroundLoad, BackgroundResults, Schedule};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Runs the background load against `target` while `during` runs, and returns what has become of it by then. What
/// `during` returns lives until that is known.
fn with<T>(
    background: BackgroundLoad,
    target: SocketAddr,
    during: impl FnOnce(&BackgroundCounters) -> T,
) -> BackgroundResults {
    let limit = Duration::from_secs(60);
    let script = |workload| Script::new("a", workload, &Content::default(), None, limit, limit);
    let (measured, busy, slow_reader) = (script("/"), script("HEAD /busy"), script("/slow"));
    let load = Load {
        target,
        script: &measured,
        schedule: Schedule::Closed,
        arrivals: Arrivals::Even,
        seed: 0,
        concurrency: 0,
        background,
        authority: "a",
        busy: &busy,
        slow_reader: &slow_reader,
        threads: 1,
        cpus: &[],
        warmup: Duration::ZERO,
        duration: limit,
        shortest_timeout: limit,
    };
    let stop = AtomicBool::new(false);
    let (control, counters) = (Control::new((&stop).into()), BackgroundCounters::default());
    thread::scope(|scope| {
        let driver = scope.spawn(|| run(&load, &control, &counters));
        let _held = during(&counters);
        counters.remember_end();
        control.release();
        driver.join().unwrap().unwrap();
    });
    counters.results(&load.background)
}

/// Waits until `condition` holds.
fn wait_until(condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "it does not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Accepts a connection, reads a request's head, and answers.
fn answer_one(listener: &TcpListener, answer: &[u8]) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    stream.write_all(answer).unwrap();
    stream
}

#[test]
fn an_idle_connection_in_the_backlog_is_not_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { idle: 10, ..BackgroundLoad::default() };
    let results = with(load, listener.local_addr().unwrap(), |counters| {
        let mut accepted: Vec<TcpStream> = (0..3).map(|_| answer_one(&listener, OK)).collect();
        let group = counters.group(BackgroundKind::Idle);
        let up = || group.up.load(Relaxed);
        wait_until(|| up() == 3);
        assert_eq!(counters.settled(), 3, "the others are neither answered nor refused");
        wait_until(|| counters.unanswered_now() == 7);
        // A connection that the server closes is no longer up, and another one takes its place.
        drop(accepted.pop());
        wait_until(|| up() == 2);
        accepted.push(answer_one(&listener, OK));
        wait_until(|| up() == 3);
        assert_eq!(counters.settled(), 4);
        accepted
    });
    assert_eq!(results.idle, BackgroundGroup { asked: 10, up: 3, cut_off: 1, failed: 0 });
}

#[test]
fn an_answer_is_complete_before_the_connection_is_up_and_may_have_any_status() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { idle: 1, ..BackgroundLoad::default() };
    let results = with(load, listener.local_addr().unwrap(), |counters| {
        drop(answer_one(&listener, &OK[..OK.len() - 1]));
        drop(answer_one(&listener, b"garbage\r\n\r\n"));
        let held = answer_one(&listener, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
        wait_until(|| counters.group(BackgroundKind::Idle).up.load(Relaxed) == 1);
        held
    });
    assert_eq!(results.idle, BackgroundGroup { asked: 1, up: 1, cut_off: 2, failed: 0 });
}

#[test]
fn an_idle_connection_ends_with_a_reset_and_not_in_time_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { idle: 1, ..BackgroundLoad::default() };
    let mut served = None;
    with(load, listener.local_addr().unwrap(), |counters| {
        served = Some(answer_one(&listener, OK));
        wait_until(|| counters.group(BackgroundKind::Idle).up.load(Relaxed) == 1);
    });
    let end = served.unwrap().read(&mut [0]);
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_reader_is_up_from_the_answers_head_and_a_slow_sender_once_it_is_established() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { slow_readers: 2, ..BackgroundLoad::default() };
    let results = with(load, listener.local_addr().unwrap(), |counters| {
        let held = answer_one(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\nbegin");
        wait_until(|| counters.group(BackgroundKind::SlowReader).up.load(Relaxed) == 1);
        held
    });
    assert_eq!(results.slow_readers, BackgroundGroup { asked: 2, up: 1, cut_off: 0, failed: 0 });
    let load = BackgroundLoad { slow_senders: 2, ..BackgroundLoad::default() };
    let results = with(load, listener.local_addr().unwrap(), |counters| {
        wait_until(|| counters.group(BackgroundKind::SlowSender).up.load(Relaxed) == 2);
    });
    assert_eq!(results.slow_senders, BackgroundGroup { asked: 2, up: 2, cut_off: 0, failed: 0 });
}

#[test]
fn a_busy_client_is_up_if_its_latest_request_was_answered_with_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { busy: 1, ..BackgroundLoad::default() };
    let results = with(load, listener.local_addr().unwrap(), |counters| {
        let group = counters.group(BackgroundKind::Busy);
        let answers = || counters.busy_answers.load(Relaxed);
        // It requests with HEAD, so there is no body.
        drop(answer_one(&listener, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"));
        wait_until(|| (answers(), group.up.load(Relaxed)) == (1, 1));
        drop(answer_one(&listener, b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"));
        wait_until(|| (group.cut_off.load(Relaxed), group.up.load(Relaxed)) == (1, 0));
        // A server that keeps the connection open, although it was asked to close it, has answered all the same.
        let held = answer_one(&listener, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        wait_until(|| (answers(), group.up.load(Relaxed)) == (2, 1));
        held
    });
    assert_eq!((results.busy.up, results.busy.cut_off, results.busy_answers), (1, 1, 2));
}

#[test]
fn idle_connections_end_with_a_reset_which_leaves_nothing_behind_in_the_kernel() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { idle: 1, ..BackgroundLoad::default() };
    let mut accepted = None;
    with(load, listener.local_addr().unwrap(), |counters| {
        accepted = Some(answer_one(&listener, OK));
        wait_until(|| counters.group(BackgroundKind::Idle).up.load(Relaxed) == 1);
    });
    let end = accepted.unwrap().read(&mut [0]);
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn each_complete_answer_counts_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = BackgroundLoad { idle: 2, busy: 1, ..BackgroundLoad::default() };
    with(load, listener.local_addr().unwrap(), |counters| {
        let held = [answer_one(&listener, OK), answer_one(&listener, OK)];
        drop(answer_one(&listener, b"HTTP/1.1 200 OK\r\n\r\nuntil the end"));
        wait_until(|| counters.answered() >= 3);
        assert_eq!(counters.answered(), 3);
        held
    });
}
