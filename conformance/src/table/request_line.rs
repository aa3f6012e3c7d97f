use super::get;
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = vec![
        on("a GET is answered", "RFC 9112, 3").send(get("/")).hello(),
        on("an empty line before a request is skipped", "RFC 9112, 2.2").send("\r\n").send(get("/")).hello(),
        on("several empty lines before a request are skipped", "RFC 9112, 2.2")
            .send("\r\n\r\n\r\n")
            .send(get("/"))
            .hello(),
        on("an unknown method is not implemented", "RFC 9110, 9.1")
            .send("BREW / HTTP/1.1\r\nHost: a\r\n\r\n")
            .reply(501),
        on("methods are case-sensitive", "RFC 9110, 9.1").send("get / HTTP/1.1\r\nHost: a\r\n\r\n").reply(501),
        on("any token may be a method, and is not implemented", "RFC 9110, 5.6.2")
            .send("!#$%&'*+-.^_`|~09aZ / HTTP/1.1\r\nHost: a\r\n\r\n")
            .reply(501),
        on("a method that a resource lacks is refused with a list of its methods", "RFC 9110, 15.5.6")
            .send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            .reply(405)
            .with("Allow", "GET, HEAD, OPTIONS"),
        on("TRACE is a known method that no resource allows", "RFC 9110, 9.3.8")
            .send("TRACE /counter HTTP/1.1\r\nHost: a\r\n\r\n")
            .reply(405)
            .with("Allow", "GET, HEAD, POST, OPTIONS"),
        on("OPTIONS of a resource lists its methods", "RFC 9110, 9.3.7")
            .send("OPTIONS /counter HTTP/1.1\r\nHost: a\r\n\r\n")
            .reply(204)
            .with("Allow", "GET, HEAD, POST, OPTIONS")
            .without("Content-Length"),
        on("an unknown major version is answered with 505", "RFC 9110, 15.6.6")
            .send("GET / HTTP/2.0\r\nHost: a\r\n\r\n")
            .refused(505),
        on("a request line that says HTTP/0.9 is answered with 505", "RFC 9110, 15.6.6")
            .send("GET / HTTP/0.9\r\n\r\n")
            .refused(505),
        on("the preface of HTTP/2 is refused", "RFC 9113, 3.4")
            .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .refused(505),
        on("a TLS greeting is refused", "RFC 9112, 3")
            .send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\x00\x00")
            .refused(400),
        on("an SSH greeting is refused", "RFC 9112, 3").send("SSH-2.0-OpenSSH_9.9\r\n").refused(400),
    ];
    for (name, source, line) in [
        ("a TLS greeting is refused at its first byte", "RFC 9110, 9.1", &b"\x16"[..]),
        ("a NUL is refused at once", "RFC 9110, 9.1", b"\0"),
        ("a TLS greeting behind an empty line is refused at its first byte", "RFC 9112, 2.2", b"\r\n\x16"),
        ("a CR without an LF before a request is refused at the next byte", "RFC 9112, 2.2", b"\rG"),
        ("a space that should be a method is refused at once", "RFC 9112, 3", b" "),
        ("a method is refused at its first byte that cannot be", "RFC 9110, 5.6.2", b"GE("),
        ("a second space before the target is refused at once", "RFC 9112, 3", b"GET  "),
        ("a target is refused at its first byte that cannot be", "RFC 9112, 3.2", b"GET /a\0"),
        ("a fragment is refused at its first byte", "RFC 9112, 3.2", b"GET /#"),
        ("another protocol is refused at its first byte", "RFC 9112, 2.3", b"GET / F"),
        ("a space behind the version is refused at once", "RFC 9112, 3", b"GET / HTTP/1.1 "),
    ] {
        table.push(on(name, source).send(line).refused(400));
    }
    for (name, source, line) in [
        ("an empty line that is a bare LF is refused", "RFC 9112, 2.2", &b"\nGET / HTTP/1.1\r\n"[..]),
        ("a request line that ends in a bare LF is refused", "RFC 9112, 2.2", b"GET / HTTP/1.1\n"),
        ("a bare CR within the request line is refused", "RFC 9112, 2.2", b"GET /\rx HTTP/1.1\r\n"),
        ("a CR before the line's CRLF is refused", "RFC 9112, 2.2", b"GET / HTTP/1.1\r\r\n"),
        ("two spaces before the target are refused", "RFC 9112, 3", b"GET  / HTTP/1.1\r\n"),
        ("two spaces before the version are refused", "RFC 9112, 3", b"GET /  HTTP/1.1\r\n"),
        ("a space behind the version is refused", "RFC 9112, 3", b"GET / HTTP/1.1 \r\n"),
        ("a space before the method is refused", "RFC 9112, 3", b" GET / HTTP/1.1\r\n"),
        ("a tab between the parts is refused", "RFC 9112, 3", b"GET\t/\tHTTP/1.1\r\n"),
        ("a line without a version is refused", "RFC 1945, 4.1", b"GET /\r\n"),
        ("a line without a target is refused", "RFC 9112, 3", b"GET HTTP/1.1\r\n"),
        ("a line of one word is refused", "RFC 9112, 3", b"GET\r\n"),
        ("a method that is no token is refused", "RFC 9110, 5.6.2", b"G(T / HTTP/1.1\r\n"),
        ("a method beyond ASCII is refused", "RFC 9110, 5.6.2", b"G\xc3\x89T / HTTP/1.1\r\n"),
        ("the version's name is case-sensitive", "RFC 9112, 2.3", b"GET / http/1.1\r\n"),
        ("a version of two digits is refused", "RFC 9112, 2.3", b"GET / HTTP/1.10\r\n"),
        ("a version without a dot is refused", "RFC 9112, 2.3", b"GET / HTTP/11\r\n"),
        ("a version with a comma is refused", "RFC 9112, 2.3", b"GET / HTTP/1,1\r\n"),
        ("a version without a minor number is refused", "RFC 9112, 2.3", b"GET / HTTP/1.\r\n"),
        ("the version of another protocol is refused", "RFC 9112, 2.3", b"GET / FTP/1.1\r\n"),
    ] {
        table.push(on(name, source).send([line, b"Host: a\r\n\r\n"].concat()).refused(400));
    }
    table
}
