//! Peers whose request sleeps, and those that go meanwhile.

use std::net::Shutdown;
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use crate::client::{Client, get, request};
use crate::proc::{open_files, unread_bytes};
use crate::service::{start, wait_for};

/// One connection may be open. Its peer resets it, and the next one is served long before the sleep of a minute is over.
pub fn frees_the_place_of_a_sleeping_request(model: &'static str) {
    let Some(service) = start(model, &["--max-connections", "1", "--threads", "1"]) else { return };
    let pid = service.model_pid().expect("a model");
    for requests_before in [0, 2] {
        let mut sleeper = Client::connect(service.listen).expect("a connection");
        (0..requests_before).for_each(|_| assert_eq!(sleeper.get("/").expect("an answer").status, 200));
        sleeper.send(&request("/sleep/60000")).expect("it is open");
        wait_for("the request to be read", || {
            service.active() == 1.0 && unread_bytes(service.listen, &sleeper) == Some(0)
        });
        reset(sleeper);
        assert_eq!(get(service.listen, "/").expect("an answer").status, 200);
    }
    service.is_well(pid);
    service.stopped();
}

/// To watch for a reset costs no descriptor: the limit on connections counts one for each.
pub fn takes_no_second_descriptor(model: &'static str) {
    let Some(service) = start(model, &["--threads", "1"]) else { return };
    let pid = service.model_pid().expect("a model");
    let mut clients = [(); 2].map(|()| Client::connect(service.listen).expect("a connection"));
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").expect("an answer").status, 200));
    let before = open_files(pid);
    let [mut sleeper, mut other] = clients;
    sleeper.send(&request("/sleep/60000")).expect("it is open");
    wait_for("the request to be read", || unread_bytes(service.listen, &sleeper) == Some(0));
    assert_eq!(other.get("/").expect("an answer").status, 200); // the one loop has begun the sleep before
    assert!(open_files(pid) <= before, "{} descriptors are open, and {before} were", open_files(pid));
    reset(sleeper);
    drop(other);
    service.is_well(pid);
    service.stopped();
}

/// A peer that has ended its stream still waits for its answers, and no event of it makes the server spin.
pub fn not_by_the_end_of_the_stream(model: &'static str) {
    let Some(service) = start(model, &["--threads", "1"]) else { return };
    let mut client = Client::connect(service.listen).expect("a connection");
    client.send(&[request("/sleep/2500"), request("/")].concat()).expect("it is open");
    client.stream().shutdown(Shutdown::Write).expect("it is open");
    let cpu = service.cpu_of_waiting(Duration::from_millis(300));
    assert!(cpu < Duration::from_millis(100), "it spins while a request sleeps: {cpu:?} in 300 ms");
    for _ in 0..2 {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    service.stopped();
}

/// Closes the connection with a reset: SO_LINGER of socket(7) with a time of 0.
fn reset(client: Client) {
    setsockopt(client.stream(), sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).expect("a socket");
}
