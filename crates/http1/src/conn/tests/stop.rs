//! What a stop does in each state.

use super::*;

#[test]
fn a_stop_closes_an_idle_connection_after_a_last_look() {
    let mut peer = Peer::new();
    peer.send(GET);
    peer.pass(LIMITS.grace_time);
    peer.stop();
    assert_eq!(peer.conn.deadline(), Some(peer.now + LAST_LOOK));
    peer.pass(LAST_LOOK);
    assert!(peer.closed);
}

#[test]
fn a_request_that_an_idle_connection_had_not_received_at_the_stop_is_answered() {
    let mut peer = Peer::new();
    peer.send(GET);
    peer.pass(LIMITS.grace_time * 2);
    peer.stop();
    peer.received.clear();
    peer.send(GET);
    assert!(String::from_utf8_lossy(&peer.received).contains("Connection: close\r\n"));
    assert!(peer.shut);
}

#[test]
fn a_stop_closes_a_connection_that_never_sent_a_request() {
    let mut peer = Peer::new();
    peer.pass(LIMITS.grace_time);
    peer.stop();
    peer.pass(LAST_LOOK);
    assert!(peer.closed);
}

#[test]
fn a_connection_that_was_busy_within_the_grace_time_may_bring_one_more_request() {
    let mut peer = Peer::new();
    peer.send(GET);
    peer.pass(10 * MOMENT);
    peer.stop();
    assert!(!peer.closed);
    peer.pass(100 * MOMENT);
    peer.received.clear();
    peer.send(&[GET, GET].concat());
    let text = String::from_utf8_lossy(&peer.received);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1, "{text}");
    assert!(text.contains("Connection: close\r\n"), "{text}");
    assert!(peer.shut);
}

#[test]
fn the_grace_time_counts_from_the_last_reply() {
    let mut peer = Peer::new();
    peer.send(GET);
    let replied = peer.now;
    peer.pass(LIMITS.grace_time / 4);
    peer.stop();
    assert_eq!(peer.conn.deadline(), Some(replied + LIMITS.grace_time));
    peer.pass(LIMITS.grace_time * 3 / 4 - MOMENT);
    assert!(!peer.closed);
    peer.pass(MOMENT);
    assert!(peer.closed);
}

#[test]
fn a_second_stop_changes_nothing() {
    let mut peer = Peer::new();
    peer.send(GET);
    peer.stop();
    peer.pass(LIMITS.grace_time / 2);
    peer.stop();
    assert!(!peer.closed);
    peer.pass(LIMITS.grace_time / 2);
    assert!(peer.closed);
}

#[test]
fn a_stop_never_prolongs_the_idle_time() {
    static SHORT: LazyLock<Limits> = LazyLock::new(|| Limits { idle_time: MOMENT, ..limits() });
    let now = Instant::now();
    let mut conn = Conn::new(TestHandler::default(), &SHORT, now);
    conn.stop(now);
    assert_eq!(conn.deadline(), Some(now + MOMENT));
}

#[test]
fn a_reply_that_was_composed_before_the_stop_leaves_the_grace_time() {
    let (mut conn, now) = connect();
    conn.received(GET, now);
    conn.stop(now);
    assert!(!take_output(&mut conn, now).contains("Connection: close"), "it was composed before");
    assert_eq!(conn.deadline(), Some(now + LIMITS.grace_time), "neither the idle time nor a close at once");
}

#[test]
fn a_slow_reply_ends_a_connection_that_was_told_to_stop() {
    let (mut conn, now) = connect();
    conn.received(&get("/sleep"), now);
    conn.stop(now);
    let Want::Sleep(until) = conn.want() else { panic!() };
    conn.woke(until);
    assert!(take_output(&mut conn, until).contains("Connection: close\r\n"));
    assert!(matches!(conn.want(), Want::Shut), "the peer may be sending: a close could reset the reply away");
    conn.shut(until);
    conn.received(&[], until);
    assert!(matches!(conn.want(), Want::Close));
}

#[test]
fn a_head_that_has_begun_before_a_stop_is_answered() {
    let mut peer = Peer::new();
    peer.send(b"GET / HTTP/1.1\r\n");
    peer.pass(5 * SECOND);
    peer.stop();
    peer.send(b"Host: a\r\n\r\n");
    assert!(String::from_utf8_lossy(&peer.received).contains("Connection: close\r\n"));
    assert!(peer.shut);
}
