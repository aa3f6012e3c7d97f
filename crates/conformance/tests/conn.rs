//! What the bare connection does in time, and what it wants besides reading and writing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conformance::bare::Peer;
use http::{Answer, Body, Conn, Handler, Job, Limits, Reply, Request, Served, Want};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers in each of the ways that there are.
#[derive(Clone, Debug, Default)]
struct Ways {
    served: Arc<Mutex<Vec<Served>>>,
}

impl Handler for Ways {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        let large = || Reply::text("x".repeat(100_000)).marked(7);
        match request.path {
            "/sleep" => Answer::Sleep(SECOND, Reply::text("slept").marked(3)),
            "/block" => Answer::Block(Job::new(|| Reply::text("blocked").marked(4))),
            "/large" => Answer::Reply(large()),
            "/file" => Answer::Reply(Reply { body: file(), ..large() }),
            _ => Answer::Reply(Reply::text("hello").marked(1)),
        }
    }

    fn date(&mut self, _now: Instant) -> [u8; 29] {
        *b"Sun, 06 Nov 1994 08:49:37 GMT"
    }

    fn served(&mut self, served: Served) {
        self.served.lock().unwrap().push(served);
    }
}

/// Ten bytes in a file, of which twenty are promised.
fn file() -> Body {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("conn-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    File::create(&path).unwrap().write_all(b"0123456789").unwrap();
    Body::File { file: Arc::new(File::open(&path).unwrap()), offset: 0, len: 20 }
}

fn limits() -> &'static Limits {
    Box::leak(Box::default())
}

fn connect() -> (Conn<Ways>, Instant) {
    let now = Instant::now();
    (Conn::new(Ways::default(), limits(), now), now)
}

fn peer() -> Peer<Ways> {
    let (conn, now) = connect();
    Peer::new(conn, now)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// Takes all output that is wanted written.
fn drink(conn: &mut Conn<Ways>, now: Instant) -> String {
    let mut text = String::new();
    while let Want::Write { bytes, .. } = conn.want() {
        text += std::str::from_utf8(bytes).unwrap();
        let n = bytes.len();
        conn.sent(n, now);
    }
    text
}

#[test]
fn stopping_closes_an_idle_connection_at_once() {
    let mut peer = peer();
    peer.send(GET);
    peer.pass(SECOND);
    peer.conn.stop(peer.now);
    assert!(matches!(peer.conn.want(), Want::Close));
}

#[test]
fn stopping_closes_a_connection_that_never_asked() {
    let mut peer = peer();
    peer.pass(SECOND);
    peer.conn.stop(peer.now);
    assert!(matches!(peer.conn.want(), Want::Close));
}

#[test]
fn stopping_leaves_one_that_was_lately_busy_time_for_one_more_request() {
    let mut peer = peer();
    peer.send(GET);
    peer.pass(10 * MOMENT);
    peer.conn.stop(peer.now);
    assert!(matches!(peer.want(), Want::Read));
    peer.pass(100 * MOMENT);
    peer.received.clear();
    peer.send(&[GET, GET].concat());
    let text = String::from_utf8_lossy(&peer.received);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1, "{text}");
    assert!(text.contains("Connection: close\r\n"), "{text}");
    assert!(peer.shut);
}

#[test]
fn the_time_for_one_more_request_ends() {
    let mut peer = peer();
    peer.send(GET);
    peer.conn.stop(peer.now);
    peer.pass(limits().grace_time - MOMENT);
    assert!(!peer.closed);
    peer.pass(MOMENT);
    assert!(peer.closed);
}

#[test]
fn stopping_again_changes_nothing() {
    let mut peer = peer();
    peer.send(GET);
    peer.conn.stop(peer.now);
    peer.pass(limits().grace_time / 2);
    peer.conn.stop(peer.now);
    assert!(!peer.closed);
    peer.pass(limits().grace_time / 2);
    assert!(peer.closed);
}

#[test]
fn stopping_finishes_what_is_being_written_and_says_goodbye() {
    let (mut conn, now) = connect();
    conn.received(GET, now);
    conn.stop(now);
    assert!(!drink(&mut conn, now).contains("Connection: close"), "it was composed before");
    assert_eq!(conn.deadline(), Some(now + limits().grace_time), "not the idle time, nor at once");
}

#[test]
fn stopping_finishes_a_slow_reply_with_close() {
    let (mut conn, now) = connect();
    conn.received(&get("/sleep"), now);
    conn.stop(now);
    let Want::Sleep(until) = conn.want() else { panic!() };
    conn.woke(until);
    assert!(drink(&mut conn, until).contains("Connection: close\r\n"));
    assert!(matches!(conn.want(), Want::Shut), "the peer may be sending more: a close could reset the reply away");
    conn.shut(until);
    conn.received(&[], until);
    assert!(matches!(conn.want(), Want::Close));
}

#[test]
fn stopping_finishes_a_head_that_has_begun() {
    let mut peer = peer();
    peer.send(b"GET / HTTP/1.1\r\n");
    peer.pass(5 * SECOND);
    peer.conn.stop(peer.now);
    peer.send(b"Host: a\r\n\r\n");
    assert!(String::from_utf8_lossy(&peer.received).contains("Connection: close\r\n"));
    assert!(peer.shut);
}

#[test]
fn a_peer_that_does_not_read_is_left_after_20_seconds_without_progress() {
    let (mut conn, mut now) = connect();
    conn.received(&get("/large"), now);
    for _ in 0..10 {
        now += 20 * SECOND - MOMENT;
        conn.expired(now);
        conn.sent(1, now);
    }
    conn.expired(now + 20 * SECOND - MOMENT);
    assert!(matches!(conn.want(), Want::Write { .. }));
    conn.expired(now + 20 * SECOND);
    assert!(matches!(conn.want(), Want::Close));
}

#[test]
fn a_slow_request_behind_a_reply_that_nobody_reads_does_not_keep_the_connection() {
    for path in ["/sleep", "/block"] {
        let (mut conn, now) = connect();
        conn.received(&[GET, &get(path)].concat(), now);
        assert!(matches!(conn.want(), Want::Write { .. }));
        conn.expired(now + 20 * SECOND);
        assert!(matches!(conn.want(), Want::Close), "{path}");
    }
}

#[test]
fn a_peer_that_is_refused_is_listened_to_for_a_moment_only() {
    let mut peer = peer();
    peer.send(b"nonsense\r\n\r\n");
    assert!(peer.shut && !peer.closed);
    peer.send(&[b'x'; 100_000]);
    peer.pass(limits().drain_time / 2);
    peer.send(&[b'x'; 100_000]);
    assert!(!peer.closed);
    peer.pass(limits().drain_time / 2);
    assert!(peer.closed, "however much it sends");
}

#[test]
fn bytes_behind_the_last_request_are_drained_before_it_closes() {
    let mut peer = peer();
    let close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    peer.send(&[close, GET].concat());
    assert!(peer.shut && !peer.closed, "closing now would reset the reply away");
    peer.send(b"");
    assert!(peer.closed);
}

#[test]
fn a_slow_100_takes_from_the_time_of_the_body() {
    let (mut conn, start) = connect();
    conn.received(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", start);
    assert!(drink(&mut conn, start + 5 * SECOND).starts_with("HTTP/1.1 100 "));
    assert_eq!(conn.deadline(), Some(start + limits().body_time));
}

#[test]
fn it_does_not_read_while_output_is_backed_up() {
    let (mut conn, now) = connect();
    let requests = get("/large").repeat(50);
    conn.received(&requests, now);
    let mut received = 0;
    while let Want::Write { bytes, .. } = conn.want() {
        assert!(bytes.len() < 200_000, "nor does it answer ahead");
        let n = bytes.len().min(1000);
        received += n;
        conn.sent(n, now);
    }
    assert!(matches!(conn.want(), Want::Read));
    assert!(received > 50 * 100_000);
}

#[test]
fn a_job_is_given_out_once() {
    let (mut conn, now) = connect();
    conn.received(&get("/block"), now);
    assert_eq!(conn.deadline(), None);
    let Want::Block(job) = conn.want() else { panic!() };
    assert!(matches!(conn.want(), Want::Pending));
    conn.woke(now + SECOND);
    assert!(matches!(conn.want(), Want::Pending), "it is not asleep");
    conn.done(job.run(), now);
    assert!(drink(&mut conn, now).ends_with("blocked"));
    assert!(matches!(conn.want(), Want::Read));
}

#[test]
fn a_job_that_comes_too_late_is_no_answer_to_anything() {
    let (mut conn, now) = connect();
    conn.received(&[&get("/block")[..], GET].concat(), now);
    let Want::Block(job) = conn.want() else { panic!() };
    conn.done(job.run(), now);
    conn.done(Reply::text("again"), now);
    let text = drink(&mut conn, now);
    assert!(text.contains("blocked") && text.ends_with("hello") && !text.contains("again"), "{text}");
}

#[test]
fn a_sleeper_is_not_woken_early() {
    let (mut conn, now) = connect();
    conn.received(&get("/sleep"), now);
    let Want::Sleep(until) = conn.want() else { panic!() };
    assert_eq!(until, now + SECOND);
    conn.woke(until - MOMENT);
    assert!(matches!(conn.want(), Want::Sleep(_)));
    conn.expired(until);
    assert!(matches!(conn.want(), Want::Sleep(_)), "a sleep is no time-out");
    conn.woke(until);
    assert!(drink(&mut conn, until).ends_with("slept"));
}

#[test]
fn a_file_that_has_shrunk_ends_the_connection() {
    let mut peer = peer();
    peer.send(&get("/file"));
    assert!(peer.received.ends_with(b"0123456789"), "what is there");
    assert!(peer.closed, "and no more, for twenty were promised");
}

#[test]
fn the_bytes_before_a_file_say_that_it_follows() {
    let (mut conn, now) = connect();
    conn.received(&get("/file"), now);
    let Want::Write { bytes, more: true } = conn.want() else { panic!() };
    let n = bytes.len();
    conn.sent(n, now);
    conn.expired(now + 20 * SECOND - MOMENT);
    let Want::SendFile(piece) = conn.want() else { panic!() };
    assert_eq!((piece.offset, piece.len), (0, 20));
    conn.sent(5, now);
    let Want::SendFile(piece) = conn.want() else { panic!() };
    assert_eq!((piece.offset, piece.len), (5, 15));
    conn.expired(now + 20 * SECOND);
    assert!(matches!(conn.want(), Want::Close), "a file that nobody takes is stalled, too");
}

#[test]
fn each_reply_is_told_of_when_its_last_byte_is_out() {
    let handler = Ways::default();
    let now = Instant::now();
    let mut conn = Conn::new(handler.clone(), limits(), now);
    conn.received(&[GET, &get("/sleep"), b"x\r\n\r\n"].concat(), now);
    let told = || handler.served.lock().unwrap().iter().map(|s| (s.status, s.mark, s.took)).collect::<Vec<_>>();
    conn.sent(1, now);
    assert_eq!(told(), []);
    drink(&mut conn, now + MOMENT);
    assert_eq!(told(), [(200, 1, MOMENT)]);
    conn.woke(now + SECOND);
    drink(&mut conn, now + SECOND + MOMENT);
    assert_eq!(told()[1..], [(200, 3, SECOND + MOMENT), (400, 0, MOMENT)]);
}
