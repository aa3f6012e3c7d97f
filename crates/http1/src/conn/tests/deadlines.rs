//! The deadline in each state, as the table above `State` says.

use super::*;

#[test]
fn a_connection_may_be_idle_for_the_idle_time_from_accept_and_from_each_reply() {
    let (mut conn, now) = connect();
    assert_eq!(conn.deadline(), Some(now + LIMITS.idle_time));
    let later = now + SECOND;
    conn.received(GET, later);
    take_output(&mut conn, later + MOMENT);
    assert_eq!(conn.deadline(), Some(later + MOMENT + LIMITS.idle_time));
    conn.expired(later + MOMENT + LIMITS.idle_time);
    assert!(matches!(conn.want(), Want::Close));
    assert_eq!(conn.deadline(), None);
}

#[test]
fn the_first_byte_of_a_head_sets_its_deadline_and_no_later_one_moves_it() {
    let (mut conn, now) = connect();
    conn.received(b"\r", now + SECOND);
    assert_eq!(conn.deadline(), Some(now + LIMITS.idle_time), "half an empty line begins no head");
    conn.received(b"\nG", now + 2 * SECOND);
    let deadline = now + 2 * SECOND + LIMITS.head_time;
    assert_eq!(conn.deadline(), Some(deadline));
    conn.received(b"ET / HTTP/1.1\r\n", now + 3 * SECOND);
    assert_eq!(conn.deadline(), Some(deadline));
    conn.expired(deadline - MOMENT);
    assert!(matches!(conn.want(), Want::Read));
    conn.expired(deadline);
    assert!(take_output(&mut conn, deadline).starts_with("HTTP/1.1 408 "));
    assert!(matches!(conn.want(), Want::Shut));
}

#[test]
fn the_time_of_a_head_that_was_pipelined_begins_when_the_reply_before_it_is_sent() {
    let (mut conn, now) = connect();
    conn.received(&[GET, b"GET / HT"].concat(), now);
    assert_eq!(conn.deadline(), Some(now + LIMITS.write_time));
    take_output(&mut conn, now + SECOND);
    assert_eq!(conn.deadline(), Some(now + SECOND + LIMITS.head_time));
}

#[test]
fn the_end_of_a_head_sets_the_deadline_of_its_body_and_no_byte_of_the_body_moves_it() {
    let (mut conn, now) = connect();
    conn.received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh", now);
    conn.received(b"ell", now + 9 * SECOND);
    let deadline = now + LIMITS.body_time;
    assert_eq!(conn.deadline(), Some(deadline));
    conn.expired(deadline);
    assert!(take_output(&mut conn, deadline).starts_with("HTTP/1.1 408 "));
    assert!(matches!(conn.want(), Want::Shut));
}

#[test]
fn a_slow_100_takes_from_the_time_of_the_body() {
    let (mut conn, start) = connect();
    conn.received(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", start);
    assert_eq!(conn.deadline(), Some(start + LIMITS.body_time));
    assert!(take_output(&mut conn, start + 5 * SECOND).starts_with("HTTP/1.1 100 "));
    assert_eq!(conn.deadline(), Some(start + LIMITS.body_time));
}

#[test]
fn an_upload_behind_output_has_its_own_deadline_until_the_peer_takes_some_output() {
    let (mut conn, now) = connect();
    conn.received(&[GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nh"].concat(), now);
    assert_eq!(conn.deadline(), Some(now + LIMITS.body_time));
    conn.sent(1, now + SECOND);
    assert_eq!(conn.deadline(), Some(now + SECOND + LIMITS.write_time));
    take_output(&mut conn, now + 2 * SECOND);
    assert_eq!(conn.deadline(), Some(now + LIMITS.body_time));
}

#[test]
fn each_progress_gives_the_peer_the_whole_write_time_again() {
    let (mut conn, mut now) = connect();
    conn.received(&get("/large"), now);
    for _ in 0..10 {
        now += LIMITS.write_time - MOMENT;
        conn.expired(now);
        conn.sent(1, now);
    }
    conn.expired(now + LIMITS.write_time - MOMENT);
    assert!(matches!(conn.want(), Want::Write { .. }));
    conn.expired(now + LIMITS.write_time);
    assert!(matches!(conn.want(), Want::Close));
}

#[test]
fn a_slow_request_does_not_keep_a_peer_that_does_not_read_the_reply_before_it() {
    for path in ["/sleep", "/block", "/later"] {
        let (mut conn, now) = connect();
        conn.received(&[GET, &get(path)].concat(), now);
        assert!(matches!(conn.want(), Want::Write { .. }));
        conn.expired(now + LIMITS.write_time);
        assert!(matches!(conn.want(), Want::Close), "{path}");
    }
}

#[test]
fn sleeps_and_jobs_have_no_deadline_once_the_output_is_sent() {
    for path in ["/sleep", "/block", "/later"] {
        let (mut conn, now) = connect();
        conn.received(&get(path), now);
        assert_eq!(conn.deadline(), None, "{path}");
        let (mut conn, now) = connect();
        conn.received(&[GET, &get(path)].concat(), now);
        take_output(&mut conn, now);
        assert_eq!(conn.deadline(), None, "{path} behind another reply");
    }
}
