//! The requests before a load, which show whether the target answers the workload at all, and what its answers are. They
//! have the load's own bytes and parser, and not those of an HTTP client, which could accept what the load does not, or
//! refuse what it accepts.

use crate::engine::{Expected, KEPT, ParseProgress, Response, Script};
use crate::target::Url;
use results::content::Content;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Sends one request of a workload to the target, waits for the complete answer and returns its status. `timeout` is for
/// the whole exchange.
///
/// # Errors
/// No connection, no complete answer in time, or an answer that is not HTTP.
pub fn check(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<u16> {
    find(url, workload, content, timeout).map(|(_, answer)| answer.status())
}

/// An answer, and the address of the host that has given it.
pub(crate) type Found = (SocketAddr, Expected);

/// As [`check`]; returns also which address of the host has answered, and the whole answer. The addresses are tried in
/// order. An address that is silent leaves some of the time to connect to the next ones.
///
/// # Errors
/// As [`check`]: of each address.
pub(crate) fn find(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<Found> {
    let script = Script::new(url.authority(), workload, content, None, timeout, timeout);
    first_that_answers(&url.resolve()?, &script, 0, Instant::now() + timeout)
}

/// As [`find`], but asks twice and returns what the two answers have in common. Both questions are asked at once, since an
/// answer may take its time. Of a list of paths, it asks for the first and the last one. Any other method than GET may have an
/// effect on the server, or has answers without a body; then it asks once, and only the status is known.
///
/// # Errors
/// As [`find`]. If only one of the two requests fails, the status is known.
pub(crate) fn learn(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<Found> {
    let script = Script::new(url.authority(), workload, content, None, timeout, timeout);
    let (addresses, until) = (url.resolve()?, Instant::now() + timeout);
    let ask = |path| first_that_answers(&addresses, &script, path, until);
    let (first, second) = thread::scope(|scope| {
        let another = || ask(script.last_path());
        let second = script.is_get().then(|| thread::Builder::new().spawn_scoped(scope, another).ok()).flatten();
        (ask(0), second.and_then(|second| second.join().ok()?.ok()))
    });
    match (first, second) {
        (Ok((address, first)), Some((_, second))) => Ok((address, first.common(&second))),
        (Ok((address, only)), None) | (Err(_), Some((address, only))) => {
            Ok((address, Expected::status_only(only.status())))
        }
        (Err(error), None) => Err(error),
    }
}

fn first_that_answers(addresses: &[SocketAddr], script: &Script, path: u32, until: Instant) -> io::Result<Found> {
    let mut errors = Vec::new();
    for (tried, &address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        match ask(
            address,
            script.closing_request(path),
            script.is_head(),
            left / (addresses.len() - tried) as u32,
            until,
        ) {
            Ok(answer) => return Ok((address, answer)),
            Err(error) => errors.push((address, error)),
        }
    }
    if errors.len() == 1 {
        return Err(errors.remove(0).1);
    }
    let each: Vec<String> = errors.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    Err(io::Error::new(errors[0].1.kind(), each.join("; ")))
}

fn ask(
    target: SocketAddr,
    mut request: &[u8],
    is_head: bool,
    connect_timeout: Duration,
    until: Instant,
) -> io::Result<Expected> {
    let too_late = || io::Error::new(io::ErrorKind::TimedOut, "no complete answer in time");
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(too_late()),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&target, left()?.min(connect_timeout).max(Duration::from_millis(1)))?;
    let mut cut_off = None; // by a target that answers before it has read all
    while !request.is_empty() {
        stream.set_write_timeout(Some(left()?))?;
        match stream.write(request) {
            Ok(written) => request = &request[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late()),
            Err(error) => {
                cut_off = Some(error);
                break;
            }
        }
    }
    let mut response = Response::default();
    let (mut length, mut beginning) = (0, Vec::new());
    let mut buffer = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The kernel reports a socket's time-out as "try again". socket(7), SO_RCVTIMEO
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late()),
            Err(error) => return Err(cut_off.unwrap_or(error)),
        };
        if read == 0 {
            return match response.is_complete_at_eof() {
                true => Ok(Expected::as_in(response.status(), length, beginning)),
                false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a complete answer")),
            };
        }
        let sink = |piece: &[u8]| {
            length += piece.len() as u64;
            beginning.extend_from_slice(&piece[..piece.len().min(KEPT - beginning.len())]);
        };
        match response.feed(&buffer[..read], is_head, sink) {
            ParseProgress::Incomplete => {}
            ParseProgress::Complete(_) => return Ok(Expected::as_in(response.status(), length, beginning)),
            ParseProgress::Invalid(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_addresses_of_a_host_are_tried_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // No machine has a route to this address, or the machine has no IPv6 at all. RFC 6666
        let unroutable: SocketAddr = "[100::1]:80".parse().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        let limit = Duration::from_secs(60);
        let script = Script::new("a", "/", &Content::default(), None, limit, limit);
        let first = |addresses: &[SocketAddr], limit| {
            first_that_answers(addresses, &script, 0, Instant::now() + limit)
                .map(|(address, answer)| (address, answer.status()))
        };
        assert_eq!(first(&[good], limit).unwrap(), (good, 204));
        assert_eq!(first(&[refused, good], limit).unwrap(), (good, 204));
        assert_eq!(first(&[unroutable, refused, good], limit).unwrap(), (good, 204));
        let why = first(&[refused], limit).unwrap_err().to_string();
        assert!(why.starts_with("Connection refused"), "{why}");
        let why = first(&[refused, unroutable], Duration::from_secs(4)).unwrap_err().to_string();
        assert!(why.contains(&format!("{refused}: Connection refused")) && why.contains("; [100::1]:80: "), "{why}");
    }

    /// Starts a server that answers its n-th request, counted from 0, with `answer(n)`, and then closes the connection.
    fn server(answer: impl Fn(usize) -> String + Send + 'static) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        thread::spawn(move || {
            for (n, mut stream) in listener.incoming().flatten().enumerate() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer(n).as_bytes());
            }
        });
        url
    }

    #[test]
    fn what_two_answers_have_in_common_is_learned() {
        let learned = |workload, answer: fn(usize) -> String| {
            learn(&server(answer), workload, &Content::default(), Duration::from_secs(60)).unwrap().1
        };
        let hello = Expected::as_in(200, 5, b"hello".into());
        assert_eq!(learned("/", |_| "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".into()), hello);
        // The length of this body is known from the end of the stream.
        assert_eq!(learned("/", |_| "HTTP/1.1 200 OK\r\n\r\nhello".into()), hello);
        let counts = |n| format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}");
        assert_eq!(
            learned("/", counts),
            Expected::as_in(200, 1, b"0".into()).common(&Expected::as_in(200, 1, b"1".into()))
        );
        let grows = |n| format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(n));
        assert_eq!(learned("/", grows), Expected::status_only(200));
        let fails_later = |n| if n == 0 { "HTTP/1.1 200 OK\r\n\r\n".to_owned() } else { String::new() };
        assert_eq!(learned("/", fails_later), Expected::status_only(200));
    }

    #[test]
    fn both_questions_are_asked_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        thread::spawn(move || {
            let both = [listener.accept().unwrap().0, listener.accept().unwrap().0];
            for mut stream in both {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            }
        });
        let (_, learned) = learn(&url, "/", &Content::default(), Duration::from_secs(60)).unwrap();
        assert_eq!(learned, Expected::as_in(200, 2, b"hi".into()));
    }

    #[test]
    fn a_request_that_may_have_an_effect_is_sent_once() {
        let (asked, requests) = std::sync::mpsc::channel();
        let url = server(move |n| {
            asked.send(n).unwrap();
            "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".into()
        });
        for (workload, expected) in [("POST /counter", 1), ("HEAD /", 2), ("/", 4)] {
            let (_, learned) = learn(&url, workload, &Content::default(), Duration::from_secs(60)).unwrap();
            assert_eq!(learned.status(), 201);
            assert_eq!(requests.try_iter().last(), Some(expected - 1), "{workload}");
        }
    }
}
