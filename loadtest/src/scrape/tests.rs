//! Tests of the client against servers that answer well, wrongly, late, and never.

use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

/// Serves one connection with `serve`, which gets it after its request was read. Passes on the request's head in lower
/// case.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (Url, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
    let (sender, head) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        sender.send(String::from_utf8(bytes).unwrap().to_ascii_lowercase()).unwrap();
        serve(stream);
    });
    (url, head)
}

/// The result of a GET that is answered with `answer`, after which the connection is closed.
fn got(answer: &str) -> io::Result<(u16, Vec<u8>)> {
    let answer = answer.to_owned();
    // The client closes the connection when it has had enough, so a write may fail.
    let (url, _head) = server(move |mut stream| drop(stream.write_all(answer.as_bytes())));
    get(&url, LONG)
}

/// The words of the error of a GET that is answered with `answer`.
#[track_caller]
fn error(answer: &str) -> String {
    got(answer).unwrap_err().to_string()
}

#[test]
fn a_request_names_the_host_the_program_and_its_query() {
    let (url, head) = server(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap());
    let query = [("query", "a{b=\"é&c\"}"), ("time", "1.5")];
    assert_eq!(get_with(&url, &query, LONG).unwrap(), (200, b"hi".to_vec()));
    let head = head.recv_timeout(LONG).unwrap();
    let fields: Vec<&str> = head.lines().collect();
    assert_eq!(fields[0], "get /metrics?query=a%7bb%3d%22%c3%a9%26c%22%7d&time=1.5 http/1.1");
    let host = format!("host: {}", url.authority());
    let agent = format!("user-agent: loadtest/{}", env!("CARGO_PKG_VERSION"));
    for field in [&host, &agent, "connection: close"] {
        assert!(fields.contains(&field), "{field} in {head}");
    }
}

#[test]
fn an_answer_is_taken_as_it_is() {
    let text = |body: &str| body.as_bytes().to_vec();
    assert_eq!(got("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\ngone").unwrap(), (404, text("gone")));
    assert_eq!(got("HTTP/1.1 204 Empty\r\n\r\n").unwrap(), (204, vec![]));
    assert_eq!(got("HTTP/1.0 200 OK\r\n\r\nto the end").unwrap(), (200, text("to the end")));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
    assert_eq!(got(chunked).unwrap(), (200, text("hello world")));
    // Nothing listens at port 1, so to follow this would be an error.
    let redirect = "HTTP/1.1 301 Gone\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 4\r\n\r\naway";
    assert_eq!(got(redirect).unwrap(), (301, text("away")));
}

#[test]
fn a_broken_answer_is_an_error_in_plain_words() {
    let closed = "closed before a complete answer";
    assert_eq!(error("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"), closed);
    assert_eq!(error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), closed);
    assert_eq!(error("HTTP/1.1 200 OK\r\nContent"), closed);
    assert_eq!(error(""), closed);
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    assert!(error(&large).starts_with("response header is too big: "));
    assert!(error("SSH-2.0-OpenSSH\r\n\r\n").starts_with("not an HTTP response: "));
    assert!(error("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").starts_with("not an HTTP response: "));
}

#[test]
fn a_body_may_have_16_mib_and_no_more() {
    let sized = |bytes: usize| {
        let (url, _head) = server(move |mut stream| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; bytes]].concat());
        });
        get(&url, LONG)
    };
    assert_eq!(sized(16 << 20).unwrap().1.len(), 16 << 20);
    assert_eq!(sized((16 << 20) + 1).unwrap_err().to_string(), "the answer has more than 16 MiB");
}

#[test]
fn a_refused_connection_and_an_unknown_name_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = get(&url, LONG).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (io::ErrorKind::ConnectionRefused, "Connection refused (os error 111)".into())
    );
    // An empty label: the resolver knows without a name server that there is no such name. RFC 1035, 3.1
    let error = get(&"http://a..b".parse().unwrap(), LONG).unwrap_err().to_string();
    assert!(error.starts_with("failed to lookup address information: "), "{error}");
}

/// Asserts that a GET of this server ends with the time-out, and not before it.
#[track_caller]
fn is_given_up(serve: impl FnOnce(TcpStream) + Send + 'static) {
    let (url, _head) = server(serve);
    let began = Instant::now();
    let error = get(&url, SHORT).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::TimedOut, "no complete answer in time".into()));
    assert!((SHORT..LONG).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_does_not_complete_its_answer_is_given_up_in_time() {
    // It stays silent until the client closes the connection.
    is_given_up(|mut stream| drop(stream.read(&mut [0])));
    // It sends a byte again and again, of a head or of a body, until the client closes the connection.
    let drip = |mut stream: TcpStream| {
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    };
    is_given_up(move |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
        drip(stream);
    });
    is_given_up(move |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        drip(stream);
    });
    is_given_up(move |mut stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        drip(stream);
    });
}
