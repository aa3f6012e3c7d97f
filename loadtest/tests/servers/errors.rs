//! How requests fail: each failure of a server is counted in its class.

use crate::common::{OK, OK_CLOSE, only, request, server};
use crate::{classes, fails_as, hold, plan};
use results::{OutcomeClass, Plan, Verdict};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

#[test]
fn a_good_server_is_valid() {
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty());
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
    assert!(cell.figures.latency_us.mean.is_some());
    assert_eq!(cell.figures.server.cpu_us_per_request, None);
    assert!(cell.missing.contains_key("server"));
}

#[test]
fn an_error_status_is_counted_and_has_no_latency() {
    fails_as("status", |stream, _| {
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        while request(&stream).is_some() && (&stream).write_all(answer).is_ok() {}
    });
}

#[test]
fn silence_is_a_read_timeout() {
    fails_as("read_timeout", |stream, _| hold(&stream));
}

#[test]
fn a_head_that_trickles_is_a_read_timeout() {
    fails_as("read_timeout", |stream, _| {
        for byte in OK.iter().cycle() {
            if (&stream).write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn a_connection_closed_without_an_answer_is_closed() {
    fails_as("closed", |stream, _| drop(request(&stream)));
}

#[test]
fn a_content_length_that_is_too_large_is_closed() {
    fails_as("closed", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort");
    });
}

#[test]
fn a_content_length_that_is_too_small_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntoo long");
        hold(&stream);
    });
}

#[test]
fn garbage_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"\0\x01\x02 what?\r\n\r\n");
        hold(&stream);
    });
}

#[test]
fn an_endless_head_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\n");
        while (&stream).write_all(&b"X-Again: and again\r\n".repeat(64)).is_ok() {}
    });
}

#[test]
fn a_reset_is_classified_as_reset() {
    fails_as("reset", |stream, _| {
        request(&stream);
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    });
}

/// The server answers the check, and has closed its listener when the load begins.
#[test]
fn a_target_without_a_listener_is_connect_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        request(&stream);
        let _ = (&stream).write_all(OK_CLOSE);
    });
    let cell = only(&plan(), address);
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"connect_refused"]);
    // Because of the back-off, two connections try no more than some dozens of times.
    assert!(cell.outcomes.total() < 100, "{}", cell.outcomes.total());
}

/// If a listener's backlog is full, further connections have to wait.
#[test]
fn a_full_backlog_is_connect_timeout() {
    use nix::sys::socket::{Backlog, listen};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (full, filled) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Fill the backlog before the check is answered, so that it is full when the load begins.
        let waiting: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50))).collect();
        request(&stream);
        let _ = (&stream).write_all(OK_CLOSE);
        full.send((listener, waiting)).unwrap();
    });
    let limits = Plan { timeout: Duration::from_secs(2), connect_timeout: Duration::from_millis(100), ..plan() };
    let cell = only(&limits, address);
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"connect_timeout"]);
    drop(filled);
}

#[test]
fn a_target_that_stops_answering_has_the_verdict_errors() {
    let answered = AtomicUsize::new(0);
    let plan = Plan { timeout: Duration::from_secs(2), ..plan() };
    let cell = only(
        &plan,
        server(move |stream, _| {
            while request(&stream).is_some() && answered.fetch_add(1, Relaxed) < 20 {
                (&stream).write_all(OK).unwrap();
            }
            hold(&stream);
        }),
    );
    assert!(
        cell.outcomes[OutcomeClass::Ok] > 0 && classes(&cell).is_empty(),
        "no request has waited for too long yet: {cell:?}"
    );
    assert_eq!(cell.verdict, Verdict::Errors);
    assert!(cell.reasons[0].contains("did not answer any more"), "{:?}", cell.reasons);
}
