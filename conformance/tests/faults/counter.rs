//! The counter that all connections share: no update gets lost, unless `--racy` separates the read from the write.

use std::collections::BTreeSet;
use std::thread;

use crate::client::{Client, get};
use crate::service::{Service, start, wait_for};

const CLIENTS: usize = 64;
const EACH: usize = 30;

pub fn is_exact(model: &'static str) {
    let Some(service) = start(model, &[]) else { return };
    let values = increment(&service);
    assert_eq!(values.iter().copied().collect::<BTreeSet<_>>(), (1..=CLIENTS * EACH).collect());
    assert_eq!(value(&service), CLIENTS * EACH);
    service.stopped();
}

/// For models that serve two connections at the same instant.
pub fn loses_updates_when_racy(model: &'static str) {
    let Some(service) = start(model, &["--racy", "--threads", "2"]) else { return };
    let mut done = 0;
    wait_for("an update to get lost", || {
        done += increment(&service).len();
        value(&service) < done
    });
    service.stopped();
}

/// For models with one loop on one thread: there, no other request runs between the read and the write.
pub fn loses_none_on_one_thread(model: &'static str) {
    let Some(service) = start(model, &["--racy", "--threads", "1"]) else { return };
    for round in 1..=5 {
        assert_eq!(increment(&service).len(), CLIENTS * EACH);
        assert_eq!(value(&service), round * CLIENTS * EACH);
    }
    service.stopped();
}

/// Many clients at once increment the counter, again and again. Gives all values that were returned to them.
fn increment(service: &Service) -> Vec<usize> {
    let client = || {
        let mut client = Client::connect(service.listen).expect("a connection");
        let increment = |_| {
            client.send(b"POST /counter HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").expect("it is open");
            let answer = client.answer().expect("an answer");
            assert_eq!(answer.status, 200);
            number(&answer.body)
        };
        (0..EACH).map(increment).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    })
}

fn value(service: &Service) -> usize {
    number(&get(service.listen, "/counter").expect("an answer").body)
}

fn number(body: &[u8]) -> usize {
    String::from_utf8_lossy(body).trim_end().parse().expect("a number")
}
