//! After ten thousand connections of every kind, good and bad, no descriptor, thread or process may be left.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use std::net::Shutdown;

use crate::client::{Client, last_request, request};
use crate::proc::{children, has_only_spare_children, open_files, threads};
use crate::service::{start, wait_for};

const CONNECTIONS: usize = 10_000;
const CLIENTS: usize = 4;

pub fn nothing_is_left_behind(model: &'static str) {
    let Some(service) = start(model, &[]) else { return };
    let pid = service.model_pid().expect("a model");
    connect(service.listen, 0..KINDS.len() * 2); // the first requests may allocate what stays
    service.is_well(pid);
    wait_for("the first worker processes to be gone", || has_only_spare_children(pid, model));
    let (files, tasks) = (open_files(pid), threads(pid));

    let begun = Instant::now();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = service.listen;
            scope.spawn(move || connect(server, client * CONNECTIONS / CLIENTS..(client + 1) * CONNECTIONS / CLIENTS));
        }
    });
    let took = begun.elapsed();
    service.is_well(pid);
    wait_for("processes and zombies to be gone", || has_only_spare_children(pid, model));
    wait_for("descriptors to be closed", || open_files(pid) <= files);
    wait_for("threads to be gone", || threads(pid) <= tasks);
    assert_eq!(children(service.pid()), [pid]);
    println!("{model}: {CONNECTIONS} connections, good and bad, in {took:?}");
    service.stopped();
}

/// What a client does with its connection.
const KINDS: [fn(Client); 8] = [
    |mut client| assert_eq!(client.get("/").expect("an answer").status, 200),
    |mut client| {
        client.send(&last_request("/files/1k")).expect("it is open");
        assert_eq!(client.answer().expect("an answer").body.len(), 1 << 10);
    },
    drop,
    |mut client| {
        let _ = client.send(&request("/"));
        reset(client);
    },
    |mut client| {
        client.send(&request("/")).expect("it is open");
        client.stream().shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(client.answer().expect("an answer to a half-closed connection").status, 200);
    },
    |mut client| {
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").expect("it is open");
        assert_eq!(client.answer().expect("an answer to garbage").status, 400);
    },
    |mut client| client.send(b"GET / HTTP/1.1\r\nHos").expect("it is open"),
    |mut client| {
        client.send(&request("/files/10m")).expect("it is open");
        assert_eq!(client.head().expect("a head").length, 10 << 20);
        reset(client); // in the middle of the answer
    },
];

/// Closes the connection with a reset: SO_LINGER of 0 seconds, socket(7).
fn reset(client: Client) {
    setsockopt(client.stream(), sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).expect("a socket");
}

fn connect(server: SocketAddr, numbers: std::ops::Range<usize>) {
    for n in numbers {
        KINDS[n % KINDS.len()](Client::connect(server).expect("a connection"));
    }
}
