use super::post_chunked;
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let with = |trailers: &str| post_chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n"));
    let mut table = Vec::new();
    for (name, trailers) in [
        ("a trailer is taken", "A: b\r\n"),
        ("several trailers are taken", "A: b\r\nC: d\r\nA: e\r\n"),
        ("a length in the trailers means nothing", "Content-Length: 7\r\n"),
        ("a coding in the trailers means nothing", "Transfer-Encoding: gzip\r\n"),
        ("a Host in the trailers means nothing", "Host: b\r\n"),
        ("a Connection in the trailers means nothing", "Connection: close\r\n"),
    ] {
        table.push(on(name, "RFC 9110, 6.5.1").send(with(trailers)).reply(200).number());
    }
    for (name, source, trailers) in [
        ("a trailer without a colon is refused", "RFC 9112, 7.1.2", "A b\r\n"),
        ("a trailer with white space before the colon is refused", "RFC 9112, 5.1", "A : b\r\n"),
        ("a folded trailer is refused", "RFC 9112, 5.2", "A: b\r\n c\r\n"),
        ("a trailer that ends in a bare LF is refused", "RFC 9112, 2.2", "A: b\n"),
        ("a trailer with a bare CR is refused", "RFC 9112, 2.2", "A: b\rc\r\n"),
        ("a trailer with a NUL is refused", "RFC 9110, 5.5", "A: b\0\r\n"),
        ("a bare LF that ends the trailers is refused", "RFC 9112, 2.2", "A: b\r\n\n"),
    ] {
        table.push(on(name, source).send(with(trailers)).refused(400));
    }
    table
}
