use super::get_with;
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = Vec::new();
    for (name, source, field) in [
        ("a field without white space is valid", "RFC 9112, 5", &b"A:b\r\n"[..]),
        ("white space around a value is not part of it", "RFC 9112, 5.1", b"Connection: \t keep-alive \t \r\n"),
        ("a field may be empty", "RFC 9110, 5.5", b"A:\r\n"),
        ("a value may contain tabs", "RFC 9110, 5.5", b"A: b\tc\r\n"),
        ("a value may contain bytes above ASCII", "RFC 9110, 5.5", b"A: \xff\x80\r\n"),
        ("a value may contain colons and quotes", "RFC 9110, 5.5", b"A: b:\"c\r\n"),
        ("a name is any token", "RFC 9110, 5.1", b"!#$%&'*+-.^_`|~09aZ: b\r\n"),
        ("an unknown field may come twice", "RFC 9110, 5.2", b"A: b\r\nA: c\r\n"),
    ] {
        table.push(on(name, source).send(with(field)).hello());
    }
    for (name, source, field) in [
        ("white space before the colon is refused", "RFC 9112, 5.1", &b"A : b\r\n"[..]),
        ("a tab before the colon is refused", "RFC 9112, 5.1", b"A\t: b\r\n"),
        ("a field without a name is refused", "RFC 9110, 5.1", b": b\r\n"),
        ("a line without a colon is refused", "RFC 9112, 5", b"A b\r\n"),
        ("a name with a space is refused", "RFC 9110, 5.1", b"A b: c\r\n"),
        ("a name that is no token is refused", "RFC 9110, 5.1", b"A(b): c\r\n"),
        ("a name beyond ASCII is refused", "RFC 9110, 5.1", b"\xc3\x89: c\r\n"),
        ("a folded line is refused", "RFC 9112, 5.2", b"A: b\r\n c\r\n"),
        ("a line folded with a tab is refused", "RFC 9112, 5.2", b"A: b\r\n\tc\r\n"),
        ("a NUL in a value is refused", "RFC 9110, 5.5", b"A: b\0c\r\n"),
        ("a control character in a value is refused", "RFC 9110, 5.5", b"A: b\x01c\r\n"),
        ("a DEL in a value is refused", "RFC 9110, 5.5", b"A: b\x7fc\r\n"),
        ("a bare CR in a value is refused", "RFC 9112, 2.2", b"A: b\rc\r\n"),
        ("a CR before a field's CRLF is refused", "RFC 9112, 2.2", b"A: b\r\r\n"),
        ("a field that ends in a bare LF is refused", "RFC 9112, 2.2", b"A: b\n"),
        ("a bare LF that ends the head is refused", "RFC 9112, 2.2", b"A: b\r\n\n"),
        ("a NUL in a name is refused", "RFC 9110, 5.1", b"A\0: b\r\n"),
    ] {
        table.push(on(name, source).send(with(field)).refused(400));
    }
    table.push(
        on("white space before the first field is refused", "RFC 9112, 2.2")
            .send("GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n")
            .refused(400),
    );
    table
}

fn with(field: &[u8]) -> Vec<u8> {
    let head = get_with("");
    [&head.as_bytes()[..head.len() - 2], field, b"\r\n"].concat()
}
