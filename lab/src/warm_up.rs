//! Requests to a guest before a trial: a program that compiles while it runs is slow at first.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use loadtest::scrape;
use loadtest::target::Url;
use results::content::method_and_path;
use results::paths::is_list;

/// Workloads that wait, or that compute for as long as they say.
const SLOW: [&str; 2] = ["/sleep/", "/work/"];
/// The longest time for one answer. Ctrl-C waits for the end of it.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What is requested for a workload: itself, if it is a GET of one path that does not wait, and `/` otherwise.
pub fn path(workload: &str) -> &str {
    let (method, path) = method_and_path(workload);
    let is_other = is_list(workload) || method != "GET" || SLOW.iter().any(|beginning| path.starts_with(beginning));
    if is_other { "/" } else { path }
}

/// Sends that many requests, one after the other, with a connection for each. It ends early after `limit`, when `stop` is set, and
/// at the first request that gets no answer: the trial will say why.
pub fn send(url: &Url, requests: u32, limit: Duration, stop: &AtomicBool) {
    let until = Instant::now() + limit;
    for _ in 0..requests {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.load(Relaxed) || scrape::get(url, left.min(TIMEOUT)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    const LONG: Duration = Duration::from_secs(600);
    static GO_ON: AtomicBool = AtomicBool::new(false);

    /// A server that counts its connections, and sets `stop` when it answers that one.
    fn counting(last: u32, stop: &'static AtomicBool) -> (Url, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/1k", listener.local_addr().unwrap()).parse().unwrap();
        let count = Arc::new(AtomicU32::new(0));
        let seen = count.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 1024];
                let read = stream.read(&mut head).unwrap();
                assert!(head[..read].starts_with(b"GET /files/1k HTTP/1.1\r\n"));
                let number = seen.fetch_add(1, Relaxed) + 1;
                stop.fetch_or(number == last, Relaxed);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            }
        });
        (url, count)
    }

    #[test]
    fn so_many_requests_are_sent_as_the_guest_asks_for() {
        let (url, count) = counting(0, &GO_ON);
        send(&url, 0, LONG, &GO_ON);
        assert_eq!(count.load(Relaxed), 0);
        send(&url, 30, LONG, &GO_ON);
        assert_eq!(count.load(Relaxed), 30);
    }

    #[test]
    fn a_run_that_shall_end_and_a_limit_that_is_over_end_it_early() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let (url, count) = counting(3, &STOP);
        send(&url, u32::MAX, LONG, &STOP);
        assert_eq!(count.load(Relaxed), 3);
        send(&url, u32::MAX, Duration::ZERO, &GO_ON);
        assert_eq!(count.load(Relaxed), 3);
    }

    #[test]
    fn a_guest_that_does_not_answer_gets_no_more_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        send(&url, u32::MAX, LONG, &GO_ON);
    }

    #[test]
    fn what_waits_or_is_no_get_is_replaced_by_the_root() {
        for (workload, expected) in [
            ("/", "/"),
            ("/files/1k", "/files/1k"),
            ("GET /files/1k", "/files/1k"),
            ("/sleep/100", "/"),
            ("GET /work/30000000", "/"),
            ("POST /nod", "/"),
            ("POST /counter", "/"),
        ] {
            assert_eq!(path(workload), expected, "{workload}");
        }
    }
}
