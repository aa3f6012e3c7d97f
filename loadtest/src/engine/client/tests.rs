//! Tests of the client in virtual time: its steps, what it records, and that a request allocates nothing.

use super::*;
use crate::engine::expected::{Expected, Mismatch};
use results::OutcomeCounts;
use results::content::{Body, Content};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OK_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

/// One client and its surroundings in virtual time.
struct Simulation {
    script: Script,
    client: Client,
    recorder: Recorder,
    now: Nanos,
}

impl Simulation {
    fn new(per_connection: Option<u32>) -> Simulation {
        let limit = per_connection.and_then(NonZeroU32::new);
        let (timeout, connect_timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        let script = Script::new("example:80", "/", &Content::default(), limit, timeout, connect_timeout);
        Simulation { script, client: Client::default(), recorder: Recorder::default(), now: 0 }
    }

    /// Connects and sends the whole first request; connecting takes a millisecond.
    fn sent(per_connection: Option<u32>) -> Simulation {
        let mut sim = Simulation::new(per_connection);
        sim.reopen();
        sim
    }

    fn reopen(&mut self) {
        self.client.opening(true, &self.script, self.now, &mut self.recorder);
        self.now += MILLISECOND;
        assert_eq!(self.client.connected(&self.script, self.now, &mut self.recorder), Step::Send);
        self.send();
    }

    fn send(&mut self) -> String {
        let bytes = self.client.outgoing(&self.script).to_vec();
        self.client.sent(bytes.len(), &self.script);
        String::from_utf8(bytes).unwrap()
    }

    fn receive(&mut self, bytes: &[u8], end: bool) -> Step {
        self.now += MILLISECOND;
        self.client.received(bytes, end, &self.script, self.now, &mut self.recorder)
    }

    /// Checks the outcomes, and that they and the request in flight add up to the started requests.
    fn assert_outcomes(&self, expected: &[(OutcomeClass, u64)]) {
        let mut counts = OutcomeCounts::default();
        for &(class, count) in expected {
            counts[class] = count;
        }
        assert_eq!(self.recorder.outcomes, counts);
        assert_eq!(self.recorder.started, counts.total() + u64::from(self.client.in_flight()));
    }
}

#[test]
fn latency_runs_from_send_to_the_last_byte_without_connecting() {
    let mut sim = Simulation::sent(None);
    sim.now += 5 * MILLISECOND;
    assert_eq!(sim.receive(&OK[..10], false), Step::Wait);
    assert_eq!(sim.receive(&OK[10..], false), Step::Send);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1)]);
    let about = |histogram: &hdrhistogram::Histogram<u64>, millis| {
        assert!(histogram.max().abs_diff(millis * MILLISECOND) < MILLISECOND / 100);
    };
    about(&sim.recorder.latency, 7);
    about(&sim.recorder.connect, 1);
}

#[test]
fn keep_alive_sends_the_next_request_from_every_split_of_the_answer() {
    for at in 0..OK.len() {
        let mut sim = Simulation::sent(None);
        for _ in 0..3 {
            assert_eq!(sim.receive(&OK[..at], false), Step::Wait);
            assert_eq!(sim.receive(&OK[at..], false), Step::Send);
            assert_eq!(sim.send(), "GET / HTTP/1.1\r\nHost: example:80\r\n\r\n");
        }
        sim.assert_outcomes(&[(OutcomeClass::Ok, 3)]);
    }
}

#[test]
fn a_partial_write_continues_where_it_stopped() {
    let mut sim = Simulation::new(None);
    sim.client.opening(true, &sim.script, 0, &mut sim.recorder);
    assert_eq!(sim.client.connected(&sim.script, 0, &mut sim.recorder), Step::Send);
    sim.client.sent(4, &sim.script);
    assert!(sim.client.is_sending());
    assert!(sim.send().starts_with("/ HTTP/1.1\r\n"));
    assert!(!sim.client.is_sending());
}

#[test]
fn the_last_request_asks_the_server_to_close_and_the_client_waits_for_it() {
    let mut sim = Simulation::sent(Some(3));
    for request in 1..3 {
        assert_eq!(sim.receive(OK, false), Step::Send);
        assert_eq!(sim.send().contains("Connection: close"), request == 2);
    }
    assert_eq!(sim.receive(OK_CLOSE, false), Step::Wait);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 3)]);
    assert_eq!(sim.receive(b"", true), Step::Reopen(0));
    sim.assert_outcomes(&[(OutcomeClass::Ok, 3)]);
    assert_eq!(sim.recorder.close_ignored, 0);
}

#[test]
fn a_server_that_ignores_connection_close_is_counted() {
    let mut sim = Simulation::sent(Some(1));
    assert_eq!(sim.receive(OK, false), Step::Reopen(0));
    assert_eq!(sim.recorder.close_ignored, 1);
    sim.reopen();
    assert_eq!(sim.receive(OK_CLOSE, false), Step::Wait);
    assert_eq!(sim.client.tick(sim.now + CLOSE_TIMEOUT, &mut sim.recorder), Step::Reopen(0));
    assert_eq!(sim.recorder.close_ignored, 2);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 2)]);
}

#[test]
fn an_answer_that_ends_with_the_connection_is_complete() {
    let mut sim = Simulation::sent(None);
    assert_eq!(sim.receive(b"HTTP/1.0 200 OK\r\n\r\nbody", false), Step::Wait);
    assert_eq!(sim.receive(b"", true), Step::Reopen(0));
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1)]);
}

#[test]
fn each_failure_has_its_class() {
    type Act = fn(&mut Simulation) -> Step;
    let cases: [(OutcomeClass, Act); 8] = [
        (OutcomeClass::Status, |w| w.receive(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", true)),
        (OutcomeClass::Reset, |w| w.client.failed(SocketFailure::Reset, &mut w.recorder)),
        (OutcomeClass::Closed, |w| w.receive(b"", true)),
        (OutcomeClass::Closed, |w| w.receive(&OK[..OK.len() - 1], true)),
        (OutcomeClass::Closed, |w| w.client.failed(SocketFailure::Closed, &mut w.recorder)),
        (OutcomeClass::ReadTimeout, |w| w.client.tick(w.now + 10_000 * MILLISECOND, &mut w.recorder)),
        (OutcomeClass::Protocol, |w| w.receive(b"garbage", false)),
        (OutcomeClass::Protocol, |w| w.receive(&[OK, b"surplus"].concat(), false)),
    ];
    for (class, act) in cases {
        let mut sim = Simulation::sent(None);
        assert!(matches!(act(&mut sim), Step::Reopen(_)), "{class:?}");
        sim.assert_outcomes(&[(class, 1)]);
    }
    for (class, failure) in [
        (OutcomeClass::ConnectRefused, SocketFailure::Refused),
        (OutcomeClass::ConnectTimeout, SocketFailure::TimedOut),
    ] {
        let mut sim = Simulation::new(None);
        sim.client.opening(true, &sim.script, 0, &mut sim.recorder);
        assert_eq!(sim.client.failed(failure, &mut sim.recorder), Step::Reopen(FIRST_BACK_OFF));
        sim.assert_outcomes(&[(class, 1)]);
    }
}

#[test]
fn an_answer_with_another_length_or_content_is_an_error_and_the_connection_goes_on() {
    let head = |length, more: &str| format!("HTTP/1.1 200 OK\r\n{more}Content-Length: {length}\r\n\r\n");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\n?\r\n0\r\n\r\n".to_owned();
    let byte = Mismatch::Byte { at: 1, of: 2, found: b'?', expected: b'i' };
    for (wrong, mismatch) in [
        (head(2, "X: y\r\n") + "h?", byte),
        (chunked, byte),
        (head(1, "") + "h", Mismatch::Length { found: 1, expected: 2 }),
        (head(0, ""), Mismatch::Length { found: 0, expected: 2 }),
    ] {
        for at in 1..wrong.len() {
            let mut sim = Simulation::new(None);
            sim.script = sim.script.expecting(Expected::as_in(200, 2, b"hi".into()));
            sim.reopen();
            for answer in [OK, wrong.as_bytes(), OK] {
                let (start, rest) = answer.split_at(at.min(answer.len() - 1));
                assert_eq!(sim.receive(start, false), Step::Wait);
                assert_eq!(sim.receive(rest, false), Step::Send);
                sim.send();
            }
            sim.assert_outcomes(&[(OutcomeClass::Ok, 2), (OutcomeClass::Content, 1)]);
            assert_eq!(
                (sim.recorder.mismatches.first(), sim.recorder.contents_checked),
                (Some(mismatch), 3),
                "{wrong}"
            );
            assert_eq!((sim.recorder.latency.len(), sim.client.served()), (2, 3));
        }
    }
}

#[test]
fn an_answer_of_another_status_is_not_compared() {
    let mut sim = Simulation::new(None);
    sim.script = sim.script.expecting(Expected::as_in(200, 2, b"hi".into()));
    sim.reopen();
    assert_eq!(sim.receive(b"HTTP/1.1 304 Not Modified\r\n\r\n", false), Step::Send);
    sim.send();
    assert_eq!(sim.receive(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy", false), Step::Send);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1), (OutcomeClass::Status, 1)]);
    assert_eq!((sim.recorder.mismatches.first(), sim.recorder.contents_checked), (None, 0));
}

#[test]
fn trickling_does_not_extend_the_deadline() {
    let mut sim = Simulation::sent(None);
    for byte in b"HTTP/1.1 200 OK\r\n" {
        sim.now += 500 * MILLISECOND;
        let _ = sim.receive(&[*byte], false);
    }
    assert_eq!(sim.client.tick(sim.now, &mut sim.recorder), Step::Wait);
    sim.now = 10_001 * MILLISECOND;
    assert!(matches!(sim.client.tick(sim.now, &mut sim.recorder), Step::Reopen(_)));
    sim.assert_outcomes(&[(OutcomeClass::ReadTimeout, 1)]);
}

#[test]
fn back_off_doubles_up_to_a_limit_and_an_answer_resets_it() {
    let mut sim = Simulation::new(None);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        sim.client.opening(true, &sim.script, 0, &mut sim.recorder);
        let Step::Reopen(pause) = sim.client.failed(SocketFailure::Refused, &mut sim.recorder) else { panic!() };
        pauses.push(pause / MILLISECOND);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    sim.reopen();
    assert_eq!(sim.receive(OK, false), Step::Send);
    sim.send();
    assert_eq!(sim.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
}

#[test]
fn a_kept_connection_closed_before_a_request_is_not_an_error() {
    let mut sim = Simulation::sent(None);
    assert_eq!(sim.receive(OK, true), Step::Reopen(0));
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1)]);
    // The write notices that the connection is closed: the same request is sent on the next connection.
    sim.reopen();
    assert_eq!(sim.receive(OK, false), Step::Send);
    assert_eq!(sim.client.failed(SocketFailure::Closed, &mut sim.recorder), Step::Reopen(0));
    assert!(sim.client.in_flight());
    sim.assert_outcomes(&[(OutcomeClass::Ok, 2)]);
    sim.reopen();
    assert_eq!(sim.receive(OK, false), Step::Send);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 3)]);
}

#[test]
fn a_request_sent_partly_or_whole_on_a_closed_connection_is_an_error() {
    let mut sim = Simulation::sent(None);
    assert_eq!(sim.receive(OK, false), Step::Send);
    sim.send();
    assert_eq!(sim.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1), (OutcomeClass::Closed, 1)]);
}

#[test]
fn connections_opened_ahead_are_idle_until_started() {
    let mut sim = Simulation::new(None);
    sim.client.opening(false, &sim.script, 0, &mut sim.recorder);
    assert_eq!(sim.client.connected(&sim.script, 1, &mut sim.recorder), Step::Wait);
    assert!(sim.client.is_idle());
    sim.assert_outcomes(&[]);
    assert_eq!(sim.client.start(&sim.script, 2, &mut sim.recorder), Step::Send);
    sim.send();
    // A server that closes such connections at once must not make the client spin.
    let mut sim = Simulation::new(None);
    sim.client.opening(false, &sim.script, 0, &mut sim.recorder);
    assert_eq!(sim.client.connected(&sim.script, 1, &mut sim.recorder), Step::Wait);
    assert_eq!(sim.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
    sim.assert_outcomes(&[]);
}

#[test]
fn a_window_counts_requests_in_flight_at_its_begin_and_requests_started_in_it() {
    let mut sim = Simulation::sent(None);
    assert_eq!(sim.receive(OK, false), Step::Send);
    sim.send();
    sim.recorder.begin_window(0..Nanos::MAX, 1);
    assert_eq!(sim.recorder.latency.len(), 0);
    assert_eq!(sim.receive(OK, false), Step::Send);
    sim.assert_outcomes(&[(OutcomeClass::Ok, 1)]);
    assert_eq!(sim.recorder.started, 2);
}

#[test]
fn each_request_has_the_bytes_of_its_method_and_content() {
    let limit = Duration::from_secs(1);
    let script = |workload, content: &Content| Script::new("[::1]:80", workload, content, None, limit, limit);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let none = Content::default();
    let post = script("POST /counter", &none);
    assert_eq!(text(post.request(0)), "POST /counter HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n\r\n");
    let head = script("HEAD /x", &none);
    assert_eq!(text(head.request(0)), "HEAD /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    assert!(head.is_head());
    let form =
        Content { headers: vec!["Cookie: a=b".into(), "host: other".into()], body: Body(b"nod=1".into()), paths: None };
    let expected = "POST /nod HTTP/1.1\r\nCookie: a=b\r\nhost: other\r\nContent-Length: 5\r\n";
    let nod = script("POST /nod", &form);
    assert_eq!(text(nod.request(0)), format!("{expected}\r\nnod=1"));
    assert_eq!(text(nod.closing_request(0)), format!("{expected}Connection: close\r\n\r\nnod=1"));
}

/// An open loop on one connection, in virtual time. The server answers `delay(sent)` after a request was sent.
fn open_loop(every: Nanos, requests: u64, delay: impl Fn(Nanos) -> Nanos) -> Simulation {
    let mut sim = Simulation::new(None);
    sim.script = sim.script.open_loop();
    sim.client.opening(false, &sim.script, 0, &mut sim.recorder);
    assert_eq!(sim.client.connected(&sim.script, 0, &mut sim.recorder), Step::Free);
    for intended in (0..requests).map(|n| n * every) {
        sim.now = sim.now.max(intended);
        assert_eq!(sim.client.take_request(intended, &sim.script, sim.now, &mut sim.recorder), Step::Send);
        sim.send();
        sim.now += delay(sim.now);
        assert_eq!(sim.client.received(OK, false, &sim.script, sim.now, &mut sim.recorder), Step::Free);
    }
    sim.assert_outcomes(&[(OutcomeClass::Ok, requests)]);
    sim
}

#[test]
fn a_constant_delay_is_reported_at_every_percentile() {
    let sim = open_loop(20 * MILLISECOND, 10_000, |_| 10 * MILLISECOND);
    for histogram in [&sim.recorder.latency, &sim.recorder.service_time] {
        for quantile in (1..=1000).map(|n| f64::from(n) / 1000.0) {
            let reported = histogram.value_at_quantile(quantile);
            assert!(reported.abs_diff(10 * MILLISECOND) < MILLISECOND / 10, "{quantile}: {reported}");
        }
    }
}

/// The server stalls for one second in ten. There are a thousand requests a second, and each takes 100 µs otherwise.
#[test]
fn a_stall_counts_for_all_requests_that_were_due_in_it() {
    let second = 1_000 * MILLISECOND;
    let stalled = |sent: Nanos| match sent % (10 * second) {
        into if into < second => second - into + MILLISECOND / 10,
        _ => MILLISECOND / 10,
    };
    let sim = open_loop(MILLISECOND, 100_000, stalled);
    let at = |histogram: &hdrhistogram::Histogram<u64>, quantile| histogram.value_at_quantile(quantile) / MILLISECOND;
    // The stall of 1 s takes 111 ms to catch up, with waiting times spread evenly from 1 s down, so p90 and above are
    // hundreds of milliseconds.
    assert!((80..=130).contains(&at(&sim.recorder.latency, 0.90)), "{}", at(&sim.recorder.latency, 0.90));
    assert!((850..=950).contains(&at(&sim.recorder.latency, 0.99)), "{}", at(&sim.recorder.latency, 0.99));
    // Only one request in ten thousand was sent at the beginning of a stall.
    assert_eq!(at(&sim.recorder.service_time, 0.999), 0);
    assert_eq!(at(&sim.recorder.service_time, 1.0), 1000);
}

/// The system's allocator, which also counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all calls are passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is about to end has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller fulfils the contract of `alloc`, which is the same for the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` comes from the system's allocator, since `alloc` got it there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Counts the allocations of this thread for requests with latencies from a nanosecond to over an hour, schedule lag
/// included.
fn allocations(sim: &mut Simulation, requests: u64) -> u64 {
    let before = ALLOCATIONS.get();
    for n in 0..requests {
        let intended = sim.now;
        let step = sim.client.take_request(intended, &sim.script, sim.now, &mut sim.recorder);
        assert_eq!(step, Step::Send);
        let length = sim.client.outgoing(&sim.script).len();
        sim.client.sent(length, &sim.script);
        sim.recorder.schedule_lag.saturating_record(n);
        for half in OK.chunks(OK.len() / 2 + 1) {
            sim.now += (1 << (n % 43)) + n;
            let _ = sim.client.received(half, false, &sim.script, sim.now, &mut sim.recorder);
        }
    }
    ALLOCATIONS.get() - before
}

#[test]
fn requests_allocate_no_memory() {
    let mut sim = Simulation::new(None);
    sim.script = sim.script.open_loop().expecting(Expected::as_in(200, 2, b"hi".into()));
    sim.client.opening(false, &sim.script, 0, &mut sim.recorder);
    assert_eq!(sim.client.connected(&sim.script, 0, &mut sim.recorder), Step::Free);
    // The first head that comes in pieces makes the connection allocate a buffer, which it keeps for good.
    assert!(allocations(&mut sim, 1) > 0, "allocations are counted");
    assert_eq!(allocations(&mut sim, 200_000), 0);
    assert_eq!((sim.recorder.latency.len(), sim.recorder.contents_checked), (200_001, 200_001));
    sim.assert_outcomes(&[(OutcomeClass::Ok, 200_001)]);
}
