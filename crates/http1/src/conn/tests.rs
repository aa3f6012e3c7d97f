//! A connection's deadlines, its end, and its wants besides reading and writing. The conformance transcripts test
//! requests and replies byte by byte.

mod deadlines;
mod stop;

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use super::*;
use crate::{Answer, Body, Request};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

static LIMITS: LazyLock<Limits> = LazyLock::new(limits);

/// The times that are equal to others by default are not here, so that a deadline tells which one it comes from.
fn limits() -> Limits {
    Limits { body_time: Duration::from_secs(25), drain_time: Duration::from_secs(3), ..Limits::default() }
}

/// Answers in every way that a handler can, and remembers what was served.
#[derive(Clone, Debug, Default)]
struct TestHandler {
    served: Arc<Mutex<Vec<Served>>>,
}

impl Handler for TestHandler {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        let large = || Reply::text("x".repeat(100_000)).marked(7);
        match request.path {
            "/sleep" => Answer::Sleep(SECOND, Reply::text("slept").marked(3)),
            "/sleep-file" => Answer::Sleep(SECOND, Reply { body: file(), ..large() }),
            "/block" => Answer::Block(Job::new(|| Reply::text("blocked").marked(4))),
            "/later" => Answer::Later,
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

/// A file that holds ten bytes, with a Content-Length of twenty.
fn file() -> Body {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("http-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(b"0123456789").unwrap();
    Body::File { file: Arc::new(file), offset: 0, len: 20 }
}

fn connect() -> (Conn<TestHandler>, Instant) {
    let now = Instant::now();
    (Conn::new(TestHandler::default(), &LIMITS, now), now)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// Takes all output that the connection wants to write.
fn take_output(conn: &mut Conn<TestHandler>, now: Instant) -> String {
    let mut text = String::new();
    while let Want::Write { bytes, .. } = conn.want() {
        text += std::str::from_utf8(bytes).unwrap();
        let n = bytes.len();
        conn.sent(n, now);
    }
    text
}

/// A peer, and the network and the I/O model between it and its connection. It never lets the connection wait.
struct Peer {
    conn: Conn<TestHandler>,
    now: Instant,
    received: Vec<u8>,
    /// The connection has shut its write side down.
    shut: bool,
    closed: bool,
}

impl Peer {
    fn new() -> Peer {
        let (conn, now) = connect();
        Peer { conn, now, received: Vec::new(), shut: false, closed: false }
    }

    /// Sends bytes; none are the end of the stream.
    fn send(&mut self, bytes: &[u8]) {
        assert!(matches!(self.conn.want(), Want::Read));
        self.conn.received(bytes, self.now);
        self.serve();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.conn.expired(self.now);
        self.serve();
    }

    fn stop(&mut self) {
        self.conn.stop(self.now);
        self.serve();
    }

    /// Does what the connection wants until it reads or is closed.
    fn serve(&mut self) {
        loop {
            match self.conn.want() {
                Want::Read => return,
                Want::Write { bytes, .. } => {
                    let n = bytes.len();
                    self.received.extend_from_slice(bytes);
                    self.conn.sent(n, self.now);
                }
                Want::SendFile(piece) => {
                    let mut bytes = vec![0; piece.len as usize];
                    let n = piece.file.read_at(&mut bytes, piece.offset).unwrap();
                    self.received.extend_from_slice(&bytes[..n]);
                    self.conn.sent(n, self.now);
                }
                Want::Shut => {
                    self.shut = true;
                    self.conn.shut(self.now);
                }
                Want::Close => {
                    (self.shut, self.closed) = (true, true);
                    return;
                }
                other => unreachable!("no test of a Peer asks for {other:?}"),
            }
        }
    }
}

#[test]
fn the_bytes_before_a_file_say_that_it_follows() {
    let (mut conn, now) = connect();
    conn.received(&get("/file"), now);
    let Want::Write { bytes, more: true } = conn.want() else { panic!() };
    let n = bytes.len();
    conn.sent(n, now);
    conn.expired(now + LIMITS.write_time - MOMENT);
    let Want::SendFile(piece) = conn.want() else { panic!() };
    assert_eq!((piece.offset, piece.len), (0, 20));
    conn.sent(5, now);
    let Want::SendFile(piece) = conn.want() else { panic!() };
    assert_eq!((piece.offset, piece.len), (5, 15));
    conn.expired(now + LIMITS.write_time);
    assert!(matches!(conn.want(), Want::Close), "the peer does not take the file");
}

#[test]
fn the_time_that_a_model_waits_for_a_file_is_not_the_peers() {
    let (mut conn, now) = connect();
    conn.received(&get("/file"), now);
    take_output(&mut conn, now);
    let ready = now + 2 * LIMITS.write_time;
    conn.file_ready(ready);
    assert_eq!(conn.deadline(), Some(ready + LIMITS.write_time));
    conn.expired(ready);
    assert!(matches!(conn.want(), Want::SendFile(_)));
}

#[test]
fn file_ready_changes_nothing_where_no_file_is_sent() {
    for request in [&b""[..], b"GET", &get("/sleep"), &get("/later"), &get("/large")] {
        let (mut conn, now) = connect();
        if !request.is_empty() {
            conn.received(request, now);
        }
        let deadline = conn.deadline();
        conn.file_ready(now + SECOND);
        assert_eq!(conn.deadline(), deadline, "{}", request.escape_ascii());
    }
}

#[test]
fn a_file_that_has_shrunk_ends_the_connection() {
    let mut peer = Peer::new();
    peer.send(&get("/file"));
    assert!(peer.received.ends_with(b"0123456789"), "the bytes that the file still has");
    assert!(peer.closed, "the Content-Length was twenty");
}

#[test]
fn the_request_behind_a_file_is_answered_once_the_file_is_sent() {
    let (mut conn, now) = connect();
    conn.received(&[&get("/file")[..], GET].concat(), now);
    assert!(take_output(&mut conn, now).contains("Content-Length: 20\r\n"));
    conn.sent(19, now);
    assert!(matches!(conn.want(), Want::SendFile(FileRange { offset: 19, len: 1, .. })));
    conn.sent(1, now);
    assert!(take_output(&mut conn, now).ends_with("hello"));
}

#[test]
fn a_job_is_given_out_once() {
    let (mut conn, now) = connect();
    conn.received(&get("/block"), now);
    let Want::Block(job) = conn.want() else { panic!() };
    assert!(matches!(conn.want(), Want::Pending));
    conn.woke(now + SECOND);
    assert!(matches!(conn.want(), Want::Pending), "it does not sleep");
    conn.done(job.run(), now);
    assert!(take_output(&mut conn, now).ends_with("blocked"));
    assert!(matches!(conn.want(), Want::Read));
}

#[test]
fn a_reply_that_comes_later_is_pending_until_then() {
    let (mut conn, now) = connect();
    conn.received(&get("/later"), now);
    assert!(matches!(conn.want(), Want::Pending));
    conn.done(Reply::text("late"), now);
    assert!(take_output(&mut conn, now).ends_with("late"));
}

#[test]
fn a_second_reply_to_one_job_is_dropped() {
    let (mut conn, now) = connect();
    conn.received(&[&get("/block")[..], GET].concat(), now);
    let Want::Block(job) = conn.want() else { panic!() };
    conn.done(job.run(), now);
    conn.done(Reply::text("again"), now);
    let text = take_output(&mut conn, now);
    assert!(text.contains("blocked") && text.ends_with("hello") && !text.contains("again"), "{text}");
}

#[test]
fn a_sleep_ends_at_its_time_and_not_before() {
    let (mut conn, now) = connect();
    conn.received(&get("/sleep"), now);
    let Want::Sleep(until) = conn.want() else { panic!() };
    assert_eq!(until, now + SECOND);
    conn.woke(until - MOMENT);
    assert!(matches!(conn.want(), Want::Sleep(_)));
    conn.expired(until);
    assert!(matches!(conn.want(), Want::Sleep(_)), "the end of a sleep is no deadline");
    conn.woke(until);
    assert!(take_output(&mut conn, until).ends_with("slept"));
}

#[test]
fn a_file_may_follow_a_sleep() {
    let (mut conn, now) = connect();
    conn.received(&get("/sleep-file"), now);
    conn.woke(now + SECOND);
    assert!(matches!(conn.want(), Want::Write { more: true, .. }));
    take_output(&mut conn, now + SECOND);
    assert!(matches!(conn.want(), Want::SendFile(_)));
}

#[test]
fn no_request_is_answered_ahead_while_there_is_enough_output() {
    let (mut conn, now) = connect();
    let requests = get("/large").repeat(50);
    conn.received(&requests, now);
    let mut received = 0;
    while let Want::Write { bytes, .. } = conn.want() {
        assert!(bytes.len() < 200_000, "the output of two requests");
        let n = bytes.len().min(1000);
        received += n;
        conn.sent(n, now);
    }
    assert!(matches!(conn.want(), Want::Read));
    assert!(received > 50 * 100_000);
}

#[test]
fn a_connection_drains_for_the_drain_time_however_much_the_refused_peer_sends() {
    let mut peer = Peer::new();
    peer.send(b"nonsense\r\n\r\n");
    assert!(peer.shut && !peer.closed);
    assert_eq!(peer.conn.deadline(), Some(peer.now + LIMITS.drain_time));
    peer.send(&[b'x'; 100_000]);
    peer.pass(LIMITS.drain_time / 2);
    peer.send(&[b'x'; 100_000]);
    assert!(!peer.closed);
    peer.pass(LIMITS.drain_time / 2);
    assert!(peer.closed);
}

#[test]
fn bytes_behind_the_last_request_are_drained_before_the_connection_closes() {
    let mut peer = Peer::new();
    let close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    peer.send(&[close, GET].concat());
    assert!(peer.shut && !peer.closed, "a close at once would reset the reply away");
    peer.send(b"");
    assert!(peer.closed);
}

#[test]
fn the_time_to_shut_is_the_drain_time_behind_a_refusal_and_otherwise_the_rest_of_the_write_time() {
    let (mut conn, now) = connect();
    conn.received(b"nonsense\r\n\r\n", now);
    take_output(&mut conn, now + SECOND);
    assert!(matches!(conn.want(), Want::Shut));
    assert_eq!(conn.deadline(), Some(now + SECOND + LIMITS.drain_time));

    let (mut conn, now) = connect();
    conn.received(&[b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", GET].concat(), now);
    take_output(&mut conn, now + SECOND);
    assert!(matches!(conn.want(), Want::Shut));
    assert_eq!(conn.deadline(), Some(now + LIMITS.write_time));
    conn.expired(now + LIMITS.write_time);
    assert!(matches!(conn.want(), Want::Close));
}

#[test]
fn a_stream_that_ends_in_a_request_is_refused_and_not_drained() {
    let (mut conn, now) = connect();
    conn.received(b"GET / HTTP/1.1\r\n", now);
    conn.received(b"", now);
    assert!(take_output(&mut conn, now).starts_with("HTTP/1.1 400 "));
    assert!(matches!(conn.want(), Want::Shut));
    conn.shut(now);
    assert!(matches!(conn.want(), Want::Close), "the peer sends no more");
}

#[test]
fn the_handler_is_called_for_each_reply_when_its_last_byte_is_sent() {
    let handler = TestHandler::default();
    let now = Instant::now();
    let mut conn = Conn::new(handler.clone(), &LIMITS, now);
    conn.received(&[GET, &get("/sleep"), b"x\r\n\r\n"].concat(), now);
    let served = || handler.served.lock().unwrap().iter().map(|s| (s.status, s.mark, s.took)).collect::<Vec<_>>();
    conn.sent(1, now);
    assert_eq!(served(), []);
    take_output(&mut conn, now + MOMENT);
    assert_eq!(served(), [(200, 1, MOMENT)]);
    conn.woke(now + SECOND);
    take_output(&mut conn, now + SECOND + MOMENT);
    assert_eq!(served()[1..], [(200, 3, SECOND + MOMENT), (400, 0, MOMENT)]);
}

#[test]
fn the_time_of_an_upload_counts_from_its_last_byte() {
    let (mut conn, now) = connect();
    conn.received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", now);
    conn.received(b"o", now + SECOND);
    take_output(&mut conn, now + SECOND + MOMENT);
    assert_eq!(conn.handler.served.lock().unwrap()[0].took, MOMENT);
}

#[test]
fn an_idle_connection_keeps_no_large_buffer() {
    let (mut conn, now) = connect();
    let requests = [&get("/large")[..], b"GET / HTTP/1.1\r\n"].concat();
    conn.received(&requests, now);
    take_output(&mut conn, now);
    conn.received(b"Host: a\r\n\r\n", now);
    take_output(&mut conn, now);
    assert_eq!(conn.input.capacity(), 0);
    assert!(conn.output.capacity() <= IDLE_OUTPUT);
}

#[test]
fn a_last_reply_is_followed_by_a_close_or_by_a_shut_where_bytes_are_unread() {
    const LAST: &[u8] = b"GET /sleep HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let after_reply = |before: bool, during: bool| {
        let (mut conn, now) = connect();
        if before {
            conn.unread();
        }
        conn.received(LAST, now);
        if during {
            conn.unread();
        }
        let Want::Sleep(until) = conn.want() else { panic!() };
        conn.woke(until);
        take_output(&mut conn, until);
        format!("{:?}", conn.want())
    };
    assert_eq!(after_reply(false, false), "Close");
    assert_eq!(after_reply(true, false), "Close", "they were received");
    assert_eq!(after_reply(false, true), "Shut");
}
