use super::{get, post, post_chunked, request};
use crate::transcript::{Transcript, on};

/// Requests for which a proxy in front of the server might find another end than the server does.
pub fn table() -> Vec<Transcript> {
    const SMUGGLED: &str = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut table = Vec::new();
    for (name, source, fields, status) in [
        (
            "Content-Length before chunked is refused",
            "RFC 9112, 6.1",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "chunked before Content-Length is refused",
            "RFC 9112, 6.1",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            400,
        ),
        ("a length with white space before the colon is refused", "RFC 9112, 5.1", "Content-Length : 5\r\n", 400),
        (
            "chunks with white space before the colon are refused",
            "RFC 9112, 5.1",
            "Transfer-Encoding : chunked\r\n",
            400,
        ),
        ("chunked behind a vertical tab is refused", "RFC 9110, 5.5", "Transfer-Encoding: \x0bchunked\r\n", 400),
        ("chunked on a folded line is refused", "RFC 9112, 5.2", "Transfer-Encoding:\r\n chunked\r\n", 400),
        ("chunked behind a bare CR is refused", "RFC 9112, 2.2", "A: b\rTransfer-Encoding: chunked\r\n", 400),
        ("chunked behind a bare LF is refused", "RFC 9112, 2.2", "A: b\nTransfer-Encoding: chunked\r\n", 400),
        ("identity behind chunked is refused", "RFC 9112, 6.1", "Transfer-Encoding: chunked, identity\r\n", 400),
        (
            "identity on a line behind chunked is refused",
            "RFC 9112, 6.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            400,
        ),
        (
            "chunked on a line behind identity is refused",
            "RFC 9112, 6.1",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            501,
        ),
        ("a misspelt coding is not implemented", "RFC 9112, 6.1", "Transfer-Encoding: chunk\r\n", 501),
        (
            "a second length in lower case is refused",
            "RFC 9112, 6.3",
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            400,
        ),
        ("a second Host in mixed case is refused", "RFC 9112, 3.2", "hOST: b\r\n", 400),
    ] {
        table.push(on(name, source).send(post(fields, "0\r\n\r\n") + SMUGGLED).refused(status));
    }
    table.extend([
        on("an underscore in a field's name is not a hyphen", "RFC 9110, 5.1")
            .send(request("GET", "/", "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n") + SMUGGLED)
            .hello()
            .reply(404),
        on("a request within content is not answered", "RFC 9112, 6.2")
            .send(post(&format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED) + &get("/"))
            .reply(200)
            .number()
            .hello(),
        on("a request within a chunk is not answered", "RFC 9112, 7.1")
            .send(post_chunked(&format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())) + &get("/"))
            .reply(200)
            .number()
            .hello(),
        on("a request behind a chunk extension with a bare LF is refused", "RFC 9112, 7.1.1")
            .send(post_chunked("5;a\nhello\r\n0\r\n\r\n") + SMUGGLED)
            .refused(400),
        on("a request within trailers is refused", "RFC 9112, 7.1.2")
            .send(post_chunked("0\r\n") + SMUGGLED)
            .refused(400),
        on("an encoded line end in a path adds no field to the response", "RFC 9112, 11.1")
            .send(get("/files/a%0d%0aSet-Cookie:%20b=c"))
            .reply(404)
            .without("Set-Cookie"),
        on("a length does not reach into the next request", "RFC 9112, 6.2")
            .send(post("Content-Length: 0\r\n", "") + SMUGGLED)
            .reply(200)
            .number()
            .reply(404),
    ]);
    table
}
