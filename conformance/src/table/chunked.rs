use super::{get, post, post_chunked, request};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = Vec::new();
    for (name, source, content) in [
        ("one chunk is taken", "RFC 9112, 7.1", "5\r\nhello\r\n0\r\n\r\n"),
        ("several chunks are taken", "RFC 9112, 7.1", "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"),
        ("a chunked content may be empty", "RFC 9112, 7.1", "0\r\n\r\n"),
        ("a size may have upper-case digits", "RFC 9112, 7.1", "A\r\n0123456789\r\n0\r\n\r\n"),
        ("a size may have lower-case digits", "RFC 9112, 7.1", "a\r\n0123456789\r\n0\r\n\r\n"),
        ("a size may have leading zeros", "RFC 9112, 7.1", "0005\r\nhello\r\n0000\r\n\r\n"),
        ("a chunk may contain line ends", "RFC 9112, 7.1", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        ("an extension is ignored", "RFC 9112, 7.1.1", "5;a\r\nhello\r\n0;b=c\r\n\r\n"),
        ("an extension may be quoted", "RFC 9112, 7.1.1", "5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n"),
        ("white space around an extension is tolerated", "RFC 9112, 7.1.1", "5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    ] {
        table.push(on(name, source).send(post_chunked(content)).reply(200).number());
    }
    for (name, source, content) in [
        ("a chunk without a size is refused", "RFC 9112, 7.1", "\r\nhello\r\n0\r\n\r\n"),
        ("a size that is no number is refused", "RFC 9112, 7.1", "five\r\nhello\r\n0\r\n\r\n"),
        ("a size with 0x is refused", "RFC 9112, 7.1", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a negative size is refused", "RFC 9112, 7.1", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a size with a plus is refused", "RFC 9112, 7.1", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size with an underscore is refused", "RFC 9112, 7.1", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("a space before a size is refused", "RFC 9112, 7.1", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a space behind a size is refused", "RFC 9112, 7.1", "5 \r\nhello\r\n0\r\n\r\n"),
        ("a size line that ends in a bare LF is refused", "RFC 9112, 7.1", "5\nhello\r\n0\r\n\r\n"),
        ("a size line with a bare CR is refused", "RFC 9112, 7.1", "5;\r\r\nhello\r\n0\r\n\r\n"),
        ("a NUL in an extension is refused", "RFC 9112, 7.1.1", "5;\0\r\nhello\r\n0\r\n\r\n"),
        ("a NUL within an extension is refused", "RFC 9112, 7.1.1", "5;a=\0b\r\nhello\r\n0\r\n\r\n"),
        ("a DEL in an extension is refused", "RFC 9112, 7.1.1", "5;a=\x7f\r\nhello\r\n0\r\n\r\n"),
        ("a control character in the last chunk's extension is refused", "RFC 9112, 7.1.1", "0;a=\x01\r\n\r\n"),
        ("a chunk that ends in a bare LF is refused", "RFC 9112, 7.1", "5\r\nhello\n0\r\n\r\n"),
        ("a chunk that is longer than its size is refused", "RFC 9112, 7.1", "4\r\nhello\r\n0\r\n\r\n"),
        ("a chunk that is shorter than its size is refused", "RFC 9112, 7.1", "6\r\nhello\r\n0\r\n\r\n"),
    ] {
        table.push(on(name, source).send(post_chunked(content)).refused(400));
    }
    for (name, fields, status) in [
        ("the transfer coding gzip is not implemented", "gzip", 501),
        ("gzip before chunked is not implemented", "gzip, chunked", 501),
        ("chunked before another coding is refused", "chunked, gzip", 400),
        ("chunked twice is refused", "chunked, chunked", 400),
        ("the obsolete transfer coding identity is not implemented", "identity", 501),
        ("a coding whose name only ends in chunked is not implemented", "xchunked", 501),
        ("chunked with a parameter is not implemented", "chunked;q=1", 501),
        ("an empty transfer coding is refused", "", 400),
        ("chunked in quotes is not implemented", "\"chunked\"", 501),
    ] {
        let fields = format!("Transfer-Encoding: {fields}\r\n");
        table.push(on(name, "RFC 9112, 6.1").send(post(&fields, "0\r\n\r\n")).refused(status));
    }
    table.extend([
        on("the name of a coding is case-insensitive", "RFC 9112, 7")
            .send(post("Transfer-Encoding: cHuNkEd\r\n", "0\r\n\r\n"))
            .reply(200)
            .number(),
        on("chunked on two lines is refused", "RFC 9112, 6.1")
            .send(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))
            .refused(400),
        on("chunks in HTTP/1.0 are refused", "RFC 9112, 6.1")
            .send("POST /counter HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            .refused(400),
        on("a chunked GET is taken, and the next request answered", "RFC 9110, 9.3.1")
            .send(request("GET", "/", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n" + &get("/nowhere"))
            .hello()
            .reply(404),
        on("a NUL in an extension is refused behind a request with content", "RFC 9112, 7.1.1")
            .send(post("Content-Length: 3\r\n", "a\nb") + &post_chunked("1\r\na\r\n0\r\n\r\n"))
            .send(get("/") + &post_chunked("5;\0\r\nhello\r\n0\r\n\r\n"))
            .reply(200)
            .number()
            .reply(200)
            .number()
            .hello()
            .refused(400),
        on("a bare LF is refused behind a request with content", "RFC 9112, 2.2")
            .send(post("Content-Length: 3\r\n", "a\nb") + &get("/") + &request("GET", "/", "A: b\n"))
            .reply(200)
            .number()
            .hello()
            .refused(400),
        on("a size above the limit is too large", "limit: body 1 MiB").send(post_chunked("100001\r\n")).refused(413),
        on("a chunk size above 64 bits is too large", "RFC 9112, 7.1")
            .send(post_chunked("fffffffffffffffffffff\r\nhello"))
            .refused(413),
        on("chunks whose sum is above the limit are too large", "limit: body 1 MiB")
            .send(post_chunked("fffff\r\n").into_bytes())
            .send(vec![b'x'; 0xfffff])
            .send("\r\n2\r\n")
            .refused(413),
    ]);
    table
}
