//! Hostile peers. Each may lose its own connection, and must not affect another one.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, get, request};
use crate::service::{PATIENCE, files as served, start, wait_for};

/// When a time-out of one second may strike: never early, and late only on a busy machine.
const ONE_SECOND: std::ops::Range<Duration> = Duration::from_millis(950)..Duration::from_secs(5);

pub fn a_head_that_trickles_in(model: &'static str) {
    let Some(service) = start(model, &["--head-timeout", "1s"]) else { return };
    let pid = service.model_pid().expect("a model");
    let mut slow = Client::connect(service.listen).expect("a connection");
    let begun = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        if slow.is_readable() || slow.send(&[*byte]).is_err() || begun.elapsed() > ONE_SECOND.end {
            break;
        }
        assert_eq!(get(service.listen, "/").expect("an answer to another").status, 200);
        thread::sleep(Duration::from_millis(20)); // the peer is slow on purpose
    }
    let took = begun.elapsed();
    assert!(ONE_SECOND.contains(&took), "{took:?}");
    assert!(slow.answer().is_ok_and(|answer| answer.status == 408));
    drop(slow);
    service.is_well(pid);
    service.stopped();
}

pub fn a_peer_that_does_not_read(model: &'static str) {
    let Some(service) = start(model, &["--write-timeout", "1s"]) else { return };
    let pid = service.model_pid().expect("a model");
    let mut deaf = Client::connect(service.listen).expect("a connection");
    let begun = Instant::now();
    deaf.send(&request("/files/10m")).expect("it is open");
    assert_eq!(deaf.head().expect("a head").length, 10 << 20);
    wait_for("its connection to be closed", || service.active() == 0.0);
    let took = begun.elapsed();
    assert!(ONE_SECOND.contains(&took), "{took:?}");
    assert!(deaf.read_exact(&mut vec![0; 10 << 20]).is_err(), "the answer was complete although the peer did not read");
    service.is_well(pid);
    service.stopped();
}

/// How long the flood may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(120);

/// One peer sends a hundred thousand requests without a pause and reads the answers. Another one sends and does not
/// read.
pub fn a_flood_of_pipelined_requests(model: &'static str) {
    const REQUESTS: usize = 100_000;
    let Some(service) = start(model, &["--write-timeout", "4s"]) else { return };
    let pid = service.model_pid().expect("a model");
    let flood = Client::connect(service.listen).expect("a connection");
    let deaf = Client::connect(service.listen).expect("a connection");
    let memory = || service.metric("process_tree_memory_bytes");
    let before = memory();
    let (mut most, mut longest) = (before, Duration::ZERO);
    let begun = Instant::now();
    thread::scope(|scope| {
        let mut out = flood.stream().try_clone().expect("a descriptor");
        scope.spawn(move || out.write_all(&request("/").repeat(REQUESTS)).expect("the server reads all requests"));
        let mut out = deaf.stream().try_clone().expect("a descriptor");
        scope.spawn(move || while begun.elapsed() < LONGEST && out.write_all(&request("/").repeat(1000)).is_ok() {});
        let mut flood = flood;
        let reader = scope.spawn(move || {
            for n in 0..REQUESTS {
                assert_eq!(flood.answer().unwrap_or_else(|error| panic!("answer {n}: {error}")).status, 200);
                assert!(begun.elapsed() < LONGEST, "only {n} answers in {LONGEST:?}");
            }
        });
        let mut other = Client::connect(service.listen).expect("a connection");
        while !reader.is_finished() {
            let begun = Instant::now();
            assert_eq!(other.get("/").expect("an answer to another").status, 200);
            longest = longest.max(begun.elapsed());
            most = most.max(memory());
        }
        reader.join().expect("all answers");
    });
    let grown = (most - before) / 1024.0;
    println!("{model}: under a flood another connection waits at most {longest:?}, and memory grows by {grown} KiB");
    assert!(longest < Duration::from_secs(3), "another connection waited for {longest:?}");
    assert!(grown < 16.0 * 1024.0, "memory grew by {grown} KiB");
    drop(deaf);
    service.is_well(pid);
    service.stopped();
}

pub fn heads_and_bodies_without_end(model: &'static str) {
    let Some(service) = start(model, &[]) else { return };
    let pid = service.model_pid().expect("a model");
    for (begin, again, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n", "X-Again: and again\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "and again ", 431),
        ("GET /", "again/", 414),
        ("POST /counter HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nagain\r\n", 413),
        ("POST /counter HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;", "again", 400),
        ("POST /counter HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: again\r\n", 431),
    ] {
        let mut client = Client::connect(service.listen).expect("a connection");
        client.send(begin.as_bytes()).expect("it is open");
        let again = again.repeat(1000);
        let begun = Instant::now();
        while !client.is_readable() {
            assert!(begun.elapsed() < PATIENCE, "{begin:?} is accepted without an end");
            if let Err(error) = client.send(again.as_bytes()) {
                assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
                break;
            }
        }
        assert_eq!(client.answer().expect("an answer").status, status, "{begin:?}");
    }
    assert_eq!(get(service.listen, "/counter").expect("an answer").body, b"0\n");
    service.is_well(pid);
    service.stopped();
}

/// A hundred and fifty peers request files and do not read. Meanwhile another connection gets whole files; and so do
/// the hundred and fifty, as soon as they read.
pub fn many_peers_that_do_not_read(model: &'static str) {
    const DEAF: usize = 150;
    const FILES: usize = 30;
    let Some(service) = start(model, &["--write-timeout", "2m"]) else { return };
    let pid = service.model_pid().expect("a model");
    let [large, small] = ["10m", "1m"].map(|name| std::fs::read(served().join(name)).expect("a file"));
    let mut deaf: Vec<_> = (0..DEAF)
        .map(|_| {
            let mut client = Client::connect_with_buffer(service.listen, 64 << 10).expect("a connection");
            client.send(&request("/files/10m")).expect("it is open");
            client
        })
        .collect();
    let mut other = Client::connect(service.listen).expect("a connection");
    for n in 0..FILES {
        let answer = other.get("/files/1m").unwrap_or_else(|error| panic!("file {n} for another: {error}"));
        assert!(answer.body == small, "file {n} for another");
    }
    for client in deaf.iter_mut().step_by(DEAF / 5) {
        assert!(
            client.answer().expect("an answer when the peer reads").body == large,
            "the file of a peer that did not read at first"
        );
    }
    drop(deaf);
    drop(other);
    service.is_well(pid);
    service.stopped();
}

/// Bytes that were sent without a copy must not change while they wait in a socket's queue. Each peer reads a little at
/// a time, while the model reads pieces of other files into memory.
pub fn files_reach_slow_readers_unchanged(model: &'static str) {
    const READERS: usize = 8;
    const STEP: usize = 200_000; // not a multiple of a piece or a page
    let Some(service) = start(model, &["--write-timeout", "2m"]) else { return };
    let pid = service.model_pid().expect("a model");
    let names = ["/files/10m", "/files/1m"];
    let files = names.map(|name| std::fs::read(served().join(&name[7..])).expect("a file"));
    let mut readers: Vec<_> = (0..READERS)
        .map(|n| {
            let mut client = Client::connect_with_buffer(service.listen, 64 << 10).expect("a connection");
            client.send(&request(names[n % 2])).expect("it is open");
            client.send(&request(names[(n + 1) % 2])).expect("it is open");
            client
        })
        .collect();
    for answer in 0..2 {
        for (n, client) in readers.iter_mut().enumerate() {
            let length = files[(n + answer) % 2].len();
            assert_eq!(client.head().expect("a head").length, length, "reader {n}");
        }
        let mut step = vec![0; STEP];
        let longest = files.iter().map(Vec::len).max().unwrap_or(0);
        for from in (0..longest).step_by(STEP) {
            for (n, client) in readers.iter_mut().enumerate() {
                let file = &files[(n + answer) % 2];
                let expected = &file[from.min(file.len())..(from + STEP).min(file.len())];
                let got = &mut step[..expected.len()];
                client.read_exact(got).unwrap_or_else(|error| panic!("reader {n} at {from}: {error}"));
                let wrong = got.iter().zip(expected).filter(|(got, expected)| got != expected).count();
                assert_eq!(wrong, 0, "reader {n}: of the {} bytes from {from} on", expected.len());
            }
        }
    }
    drop(readers);
    service.is_well(pid);
    service.stopped();
}
