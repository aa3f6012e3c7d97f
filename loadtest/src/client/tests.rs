use super::*;
use crate::class::OutcomeCounts;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OK_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

/// One client and its surroundings in virtual time.
struct World {
    script: Script,
    client: Client,
    recorder: Recorder,
    now: Nanos,
}

impl World {
    fn new(per_connection: Option<u32>) -> World {
        let limit = per_connection.and_then(NonZeroU32::new);
        let (timeout, connect_timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        let script = Script::new("example:80", "/", limit, timeout, connect_timeout);
        World { script, client: Client::default(), recorder: Recorder::default(), now: 0 }
    }

    /// Connects and sends the whole first request; connecting takes a millisecond.
    fn sent(per_connection: Option<u32>) -> World {
        let mut world = World::new(per_connection);
        world.reopen();
        world
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
    fn ended(&self, expected: &[(OutcomeClass, u64)]) {
        let mut counts = OutcomeCounts::default();
        for &(class, count) in expected {
            counts[class] = count;
        }
        assert_eq!(self.recorder.outcomes, counts);
        assert_eq!(self.recorder.started, counts.total() + u64::from(self.client.in_flight()));
    }
}

#[test]
fn latency_is_from_send_to_the_last_byte_and_connecting_is_apart() {
    let mut world = World::sent(None);
    world.now += 5 * MILLISECOND;
    assert_eq!(world.receive(&OK[..10], false), Step::Wait);
    assert_eq!(world.receive(&OK[10..], false), Step::Send);
    world.ended(&[(OutcomeClass::Ok, 1)]);
    let about = |histogram: &hdrhistogram::Histogram<u64>, millis| {
        assert!(histogram.max().abs_diff(millis * MILLISECOND) < MILLISECOND / 100);
    };
    about(&world.recorder.latency, 7);
    about(&world.recorder.connect, 1);
}

#[test]
fn keep_alive_sends_the_next_request_from_every_split_of_the_answer() {
    for at in 0..OK.len() {
        let mut world = World::sent(None);
        for _ in 0..3 {
            assert_eq!(world.receive(&OK[..at], false), Step::Wait);
            assert_eq!(world.receive(&OK[at..], false), Step::Send);
            assert_eq!(world.send(), "GET / HTTP/1.1\r\nHost: example:80\r\n\r\n");
        }
        world.ended(&[(OutcomeClass::Ok, 3)]);
    }
}

#[test]
fn a_partial_write_goes_on_where_it_stopped() {
    let mut world = World::new(None);
    world.client.opening(true, &world.script, 0, &mut world.recorder);
    assert_eq!(world.client.connected(&world.script, 0, &mut world.recorder), Step::Send);
    world.client.sent(4, &world.script);
    assert!(world.client.is_sending());
    assert!(world.send().starts_with("/ HTTP/1.1\r\n"));
    assert!(!world.client.is_sending());
}

#[test]
fn the_nth_request_asks_to_close_and_waits_for_it() {
    let mut world = World::sent(Some(3));
    for request in 1..3 {
        assert_eq!(world.receive(OK, false), Step::Send);
        assert_eq!(world.send().contains("Connection: close"), request == 2);
    }
    assert_eq!(world.receive(OK_CLOSE, false), Step::Wait);
    world.ended(&[(OutcomeClass::Ok, 3)]);
    assert_eq!(world.receive(b"", true), Step::Reopen(0));
    world.ended(&[(OutcomeClass::Ok, 3)]);
    assert_eq!(world.recorder.close_ignored, 0);
}

#[test]
fn a_server_that_does_not_close_is_noticed() {
    let mut world = World::sent(Some(1));
    assert_eq!(world.receive(OK, false), Step::Reopen(0));
    assert_eq!(world.recorder.close_ignored, 1);
    world.reopen();
    assert_eq!(world.receive(OK_CLOSE, false), Step::Wait);
    assert_eq!(world.client.tick(world.now + CLOSE_TIMEOUT, &mut world.recorder), Step::Reopen(0));
    assert_eq!(world.recorder.close_ignored, 2);
    world.ended(&[(OutcomeClass::Ok, 2)]);
}

#[test]
fn an_answer_until_the_end_of_the_connection_is_whole() {
    let mut world = World::sent(None);
    assert_eq!(world.receive(b"HTTP/1.0 200 OK\r\n\r\nbody", false), Step::Wait);
    assert_eq!(world.receive(b"", true), Step::Reopen(0));
    world.ended(&[(OutcomeClass::Ok, 1)]);
}

#[test]
fn each_failure_has_its_class() {
    type Act = fn(&mut World) -> Step;
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
        let mut world = World::sent(None);
        assert!(matches!(act(&mut world), Step::Reopen(_)), "{class:?}");
        world.ended(&[(class, 1)]);
    }
    for (class, failure) in [
        (OutcomeClass::ConnectRefused, SocketFailure::Refused),
        (OutcomeClass::ConnectTimeout, SocketFailure::TimedOut),
    ] {
        let mut world = World::new(None);
        world.client.opening(true, &world.script, 0, &mut world.recorder);
        assert_eq!(world.client.failed(failure, &mut world.recorder), Step::Reopen(FIRST_BACK_OFF));
        world.ended(&[(class, 1)]);
    }
}

#[test]
fn trickling_does_not_extend_the_deadline() {
    let mut world = World::sent(None);
    for byte in b"HTTP/1.1 200 OK\r\n" {
        world.now += 500 * MILLISECOND;
        let _ = world.receive(&[*byte], false);
    }
    assert_eq!(world.client.tick(world.now, &mut world.recorder), Step::Wait);
    world.now = 10_001 * MILLISECOND;
    assert!(matches!(world.client.tick(world.now, &mut world.recorder), Step::Reopen(_)));
    world.ended(&[(OutcomeClass::ReadTimeout, 1)]);
}

#[test]
fn back_off_doubles_up_to_a_limit_and_an_answer_resets_it() {
    let mut world = World::new(None);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        world.client.opening(true, &world.script, 0, &mut world.recorder);
        let Step::Reopen(pause) = world.client.failed(SocketFailure::Refused, &mut world.recorder) else { panic!() };
        pauses.push(pause / MILLISECOND);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    world.reopen();
    assert_eq!(world.receive(OK, false), Step::Send);
    world.send();
    assert_eq!(world.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
}

#[test]
fn a_kept_connection_closed_before_a_request_is_no_error() {
    let mut world = World::sent(None);
    assert_eq!(world.receive(OK, true), Step::Reopen(0));
    world.ended(&[(OutcomeClass::Ok, 1)]);
    // The write notices that the connection is closed: the same request is sent on the next connection.
    world.reopen();
    assert_eq!(world.receive(OK, false), Step::Send);
    assert_eq!(world.client.failed(SocketFailure::Closed, &mut world.recorder), Step::Reopen(0));
    assert!(world.client.in_flight());
    world.ended(&[(OutcomeClass::Ok, 2)]);
    world.reopen();
    assert_eq!(world.receive(OK, false), Step::Send);
    world.ended(&[(OutcomeClass::Ok, 3)]);
}

#[test]
fn a_request_sent_partly_or_whole_on_a_closed_connection_is_an_error() {
    let mut world = World::sent(None);
    assert_eq!(world.receive(OK, false), Step::Send);
    world.send();
    assert_eq!(world.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
    world.ended(&[(OutcomeClass::Ok, 1), (OutcomeClass::Closed, 1)]);
}

#[test]
fn connections_opened_ahead_are_idle_until_started() {
    let mut world = World::new(None);
    world.client.opening(false, &world.script, 0, &mut world.recorder);
    assert_eq!(world.client.connected(&world.script, 1, &mut world.recorder), Step::Wait);
    assert!(world.client.is_idle());
    world.ended(&[]);
    assert_eq!(world.client.start(&world.script, 2, &mut world.recorder), Step::Send);
    world.send();
    // A server that closes such connections at once must not make the client spin.
    let mut world = World::new(None);
    world.client.opening(false, &world.script, 0, &mut world.recorder);
    assert_eq!(world.client.connected(&world.script, 1, &mut world.recorder), Step::Wait);
    assert_eq!(world.receive(b"", true), Step::Reopen(FIRST_BACK_OFF));
    world.ended(&[]);
}

#[test]
fn a_windows_requests_are_those_in_flight_and_those_started() {
    let mut world = World::sent(None);
    assert_eq!(world.receive(OK, false), Step::Send);
    world.send();
    world.recorder.begin_window(1);
    assert_eq!(world.recorder.latency.len(), 0);
    assert_eq!(world.receive(OK, false), Step::Send);
    world.ended(&[(OutcomeClass::Ok, 1)]);
    assert_eq!(world.recorder.started, 2);
}

#[test]
fn other_methods_have_their_request() {
    let script = |workload| Script::new("[::1]:80", workload, None, Duration::from_secs(1), Duration::from_secs(1));
    let text = |script: &Script| String::from_utf8(script.request.to_vec()).unwrap();
    assert_eq!(text(&script("POST /counter")), "POST /counter HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(text(&script("HEAD /x")), "HEAD /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    assert!(script("HEAD /x").is_head());
    let nod = text(&script("POST /nod"));
    let (head, form) = nod.split_once("\r\n\r\n").unwrap();
    assert_eq!(form, "nod=Hello+World");
    for field in ["Cookie: account=alice", &format!("Content-Length: {}", form.len())] {
        assert!(head.lines().any(|line| line == field), "{head}");
    }
    assert!(head.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"), "{head}");
}

/// An open loop on one connection, in virtual time. The server answers `delay(sent)` after a request was sent.
fn open_loop(every: Nanos, requests: u64, delay: impl Fn(Nanos) -> Nanos) -> World {
    let mut world = World::new(None);
    world.script = world.script.open_loop();
    world.client.opening(false, &world.script, 0, &mut world.recorder);
    assert_eq!(world.client.connected(&world.script, 0, &mut world.recorder), Step::Free);
    for intended in (0..requests).map(|n| n * every) {
        world.now = world.now.max(intended);
        assert_eq!(world.client.take_request(intended, &world.script, world.now, &mut world.recorder), Step::Send);
        world.send();
        world.now += delay(world.now);
        assert_eq!(world.client.received(OK, false, &world.script, world.now, &mut world.recorder), Step::Free);
    }
    world.ended(&[(OutcomeClass::Ok, requests)]);
    world
}

#[test]
fn a_fixed_delay_is_reported_at_every_percentile() {
    let world = open_loop(20 * MILLISECOND, 10_000, |_| 10 * MILLISECOND);
    for histogram in [&world.recorder.latency, &world.recorder.service] {
        for quantile in (1..=1000).map(|n| f64::from(n) / 1000.0) {
            let said = histogram.value_at_quantile(quantile);
            assert!(said.abs_diff(10 * MILLISECOND) < MILLISECOND / 10, "{quantile}: {said}");
        }
    }
}

/// The server stalls for one second in ten. There are a thousand requests a second, and each takes 100 µs otherwise.
#[test]
fn a_stall_counts_for_all_who_would_have_come() {
    let second = 1_000 * MILLISECOND;
    let stalled = |sent: Nanos| match sent % (10 * second) {
        into if into < second => second - into + MILLISECOND / 10,
        _ => MILLISECOND / 10,
    };
    let world = open_loop(MILLISECOND, 100_000, stalled);
    let at = |histogram: &hdrhistogram::Histogram<u64>, quantile| histogram.value_at_quantile(quantile) / MILLISECOND;
    // The stall of 1 s takes 111 ms to catch up, with waiting times spread evenly from 1 s down, so p90 and above are
    // hundreds of milliseconds.
    assert!((80..=130).contains(&at(&world.recorder.latency, 0.90)), "{}", at(&world.recorder.latency, 0.90));
    assert!((850..=950).contains(&at(&world.recorder.latency, 0.99)), "{}", at(&world.recorder.latency, 0.99));
    // Only one request in ten thousand was sent at the beginning of a stall.
    assert_eq!(at(&world.recorder.service, 0.999), 0);
    assert_eq!(at(&world.recorder.service, 1.0), 1000);
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
fn allocations(world: &mut World, requests: u64) -> u64 {
    let before = ALLOCATIONS.get();
    for n in 0..requests {
        let intended = world.now;
        let step = world.client.take_request(intended, &world.script, world.now, &mut world.recorder);
        assert_eq!(step, Step::Send);
        let length = world.client.outgoing(&world.script).len();
        world.client.sent(length, &world.script);
        world.recorder.lag.saturating_record(n);
        for half in OK.chunks(OK.len() / 2 + 1) {
            world.now += (1 << (n % 43)) + n;
            let _ = world.client.received(half, false, &world.script, world.now, &mut world.recorder);
        }
    }
    ALLOCATIONS.get() - before
}

#[test]
fn no_number_of_requests_takes_memory() {
    let mut world = World::new(None);
    world.script = world.script.open_loop();
    world.client.opening(false, &world.script, 0, &mut world.recorder);
    assert_eq!(world.client.connected(&world.script, 0, &mut world.recorder), Step::Free);
    // The first head that comes in pieces makes the connection allocate a buffer, which it keeps for good.
    assert!(allocations(&mut world, 1) > 0, "they are counted");
    assert_eq!(allocations(&mut world, 200_000), 0);
    assert_eq!(world.recorder.latency.len(), 200_001);
    world.ended(&[(OutcomeClass::Ok, 200_001)]);
}
