//! Tests of the sender against servers that refuse samples, fail, or do not answer.

use super::super::wire::{Labels, Sample};
use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

const SHORT: RetryPolicy = RetryPolicy {
    attempt_timeout: Duration::from_secs(20),
    first_back_off: Duration::from_millis(1),
    longest_back_off: Duration::from_millis(20),
};

fn batch(samples: usize) -> Batch {
    let labels = Labels::new([("__name__", "x".into())]);
    (0..samples).map(|n| (labels.clone(), Sample { value: n as f64, at: n as i64 + 1 })).collect()
}

/// Reads one request: its head in lower case, and its body.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            // The names of fields in any case are the same. RFC 9110, 5.1
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
                return Some((head, bytes.split_off(end + 4)));
            }
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend(&buffer[..read]),
            _ => return None,
        }
    }
}

/// A server that answers each request with the next of these answers, and repeats the last one. For an empty answer it
/// stays silent. It passes on the requests that it got.
fn server(answers: &'static [&'static str]) -> (Url, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap()).parse().unwrap();
    let (sender, received) = channel();
    thread::spawn(move || {
        let mut silent = Vec::new();
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            let Some(asked) = request(&mut stream) else { continue };
            let answer = answers[number.min(answers.len() - 1)];
            let _ = sender.send(asked);
            if answer.is_empty() {
                silent.push(stream);
            } else {
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    (url, received)
}

/// Sends two batches of three samples within this time.
fn send(url: &Url, time: Duration) -> DeliveryCounts {
    let queue = Queue::new(100);
    queue.push(batch(3));
    queue.push(batch(3));
    queue.close(Instant::now() + time);
    send_all(url, &queue, SHORT)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_request_has_the_right_head_and_body() {
    let (url, asked) = server(&["HTTP/1.1 204 No Content\r\n\r\n"]);
    assert_eq!(send(&url, LONG), DeliveryCounts { sent: 6, ..DeliveryCounts::default() });
    let (head, body) = asked.recv_timeout(LONG).unwrap();
    assert!(head.starts_with("post /api/v1/write http/1.1\r\n"), "{head}");
    for field in [
        "content-type: application/x-protobuf",
        "content-encoding: snappy",
        "x-prometheus-remote-write-version: 0.1.0",
        "user-agent: loadtest/",
    ] {
        assert!(head.contains(&format!("\r\n{field}")), "{head}");
    }
    assert_eq!(body, super::body(&[batch(3), batch(3)].concat()));
}

#[test]
fn a_request_is_repeated_after_a_server_error() {
    let (url, asked) = server(&[
        "HTTP/1.0 500 No\r\nContent-Length: 5\r\n\r\nlater",
        "HTTP/1.0 503 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 429 Slow\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
    let counts = send(&url, LONG);
    assert_eq!((counts.sent, counts.lost, counts.refused), (6, 0, 0));
    let bodies: Vec<_> = asked.try_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
}

#[test]
fn refused_samples_are_not_sent_again() {
    let (url, asked) = server(&["HTTP/1.0 400 Bad\r\nContent-Length: 20\r\n\r\nout of order sample\n"]);
    let counts = send(&url, LONG);
    let problem = Some("status 400: out of order sample".to_owned());
    assert_eq!(counts, DeliveryCounts { refused: 6, problem, ..DeliveryCounts::default() });
    assert_eq!(asked.try_iter().count(), 1);
}

#[test]
fn a_web_page_or_a_redirect_is_no_prometheus() {
    for (answer, words) in [
        (&["HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!DOCTYPE html>"], "200 with a web page"),
        (&["HTTP/1.0 404 No\r\nContent-Type: text/html\r\n\r\n<html>"], "404 with a web page"),
        (&["HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n"], "302, which leads to /login: give that URL"),
        (&["HTTP/1.0 304 Odd\r\n\r\n"], "status 304"),
    ] {
        let (url, asked) = server(answer);
        let counts = send(&url, LONG);
        assert_eq!((counts.sent, counts.lost, counts.refused), (0, 0, 6));
        assert!(counts.problem.as_ref().unwrap().contains(words), "{counts:?}");
        assert_eq!(asked.try_iter().count(), 1);
    }
}

#[test]
fn the_sender_waits_as_long_as_retry_after_asks() {
    let (url, asked) = server(&[
        "HTTP/1.0 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]);
    let began = Instant::now();
    assert_eq!(send(&url, LONG).sent, 6);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.try_iter().count(), 2);

    // But the sender does not wait for longer than the queue has time.
    for answer in [
        &["HTTP/1.0 503 No\r\nretry-after: 3600\r\nContent-Length: 0\r\n\r\n"],
        &["HTTP/1.0 429 No\r\nretry-after: 18446744073709551615\r\nContent-Length: 0\r\n\r\n"],
        &["HTTP/1.0 429 No\r\nretry-after: 99999999999999999999999\r\nContent-Length: 0\r\n\r\n"],
    ] {
        let (url, asked) = server(answer);
        assert_eq!(send(&url, LONG).lost, 6);
        assert_eq!(asked.try_iter().count(), 1);
    }
}

#[test]
fn samples_for_an_unreachable_server_are_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let counts = send(&url, Duration::from_secs(1));
    assert_eq!((counts.sent, counts.lost, counts.refused), (0, 6, 0));
    assert!(counts.problem.unwrap().contains("refused"));
}

#[test]
fn a_server_that_comes_back_gets_all_samples() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    // The test waits for the sender, which has a deadline, and not for the server.
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        let listener = TcpListener::bind(address).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.0 204 Done\r\n\r\n").unwrap();
    });
    assert_eq!(send(&format!("http://{address}/").parse().unwrap(), LONG).sent, 6);
}

#[test]
fn the_sender_gives_up_on_a_server_that_never_answers() {
    let (url, _asked) = server(&[""]);
    let counts = send(&url, Duration::from_millis(500));
    assert_eq!((counts.sent, counts.lost), (0, 6));
    assert!(counts.problem.unwrap().contains("in time"));
}
