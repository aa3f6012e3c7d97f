use super::{get, get_with, post, post_chunked};
use crate::transcript::{Transcript, on};

const LINE: &str = "limit: request line 16 KiB";
const HEAD: &str = "limit: head 32 KiB";
const FIELDS: &str = "limit: 100 fields";
const BODY: &str = "limit: body 1 MiB";
const CHUNK_LINE: &str = "limit: chunk line 256 B";
const TRAILERS: &str = "limit: trailers 8 KiB";

pub fn table() -> Vec<Transcript> {
    let content = |len| vec![b'x'; len];
    vec![
        on("a request line of 16 KiB is read", LINE).send(line(16 << 10)).reply(404),
        on("a request line above 16 KiB is too long", LINE).send(line((16 << 10) + 1)).refused(414),
        on("a request line is too long before it ends", LINE).send(&line(20 << 10)[..(16 << 10) + 2]).refused(414),
        on("an empty line does not make the request line longer", LINE).send("\r\n").send(line(16 << 10)).reply(404),
        on("a head of 32 KiB is read", HEAD).send(head(32 << 10)).hello(),
        on("a head above 32 KiB is too large", HEAD).send(head((32 << 10) + 1)).refused(431),
        on("a head is too large before it ends", HEAD).send(&head(40 << 10)[..(32 << 10) + 1]).refused(431),
        on("a field may be as long as the head", HEAD)
            .send(get_with(&format!("A: {}\r\n", "b".repeat(32_000))))
            .hello(),
        on("a hundred fields are read", FIELDS).send(get_with(&"A: b\r\n".repeat(99))).hello(),
        on("a hundred and one fields are too many", FIELDS).send(get_with(&"A: b\r\n".repeat(100))).refused(431),
        on("content of 1 MiB is read", BODY)
            .send(post("Content-Length: 1048576\r\n", ""))
            .send(content(1 << 20))
            .reply(200)
            .number(),
        on("content above 1 MiB is too large", BODY).send(post("Content-Length: 1048577\r\n", "")).refused(413),
        on("content above 1 MiB is too large for HEAD too", BODY)
            .send("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
            .refused(413)
            .for_head(),
        on("a chunk of 1 MiB is read", BODY)
            .send(post_chunked("100000\r\n"))
            .send(content(1 << 20))
            .send("\r\n0\r\n\r\n")
            .reply(200)
            .number(),
        on("a chunk line of 256 bytes is read", CHUNK_LINE).send(post_chunked(&chunk(256))).reply(200).number(),
        on("a chunk line above 256 bytes is refused", CHUNK_LINE).send(post_chunked(&chunk(257))).refused(400),
        on("a chunk line is too long before it ends", CHUNK_LINE)
            .send(post_chunked(&format!("5;{}", "a".repeat(255))))
            .refused(400),
        on("trailers of 8 KiB are read", TRAILERS).send(post_chunked(&trailers(8 << 10))).reply(200).number(),
        on("trailers above 8 KiB are too large", TRAILERS).send(post_chunked(&trailers((8 << 10) + 1))).refused(431),
        on("a hundred trailers are read", FIELDS)
            .send(post_chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(100))))
            .reply(200)
            .number(),
        on("a hundred and one trailers are too many", FIELDS)
            .send(post_chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(101))))
            .refused(431),
        on("fields are counted anew in each request", FIELDS)
            .send(get_with(&"A: b\r\n".repeat(99)).repeat(2) + &get("/nowhere"))
            .hello()
            .hello()
            .reply(404),
    ]
}

/// A request whose request line, without its CRLF, is that long.
fn line(len: usize) -> String {
    let path = len - "GET / HTTP/1.1".len();
    get(&format!("/{}", "a".repeat(path)))
}

/// A request whose head is that long, in fields of less than 4 KiB.
fn head(len: usize) -> String {
    let mut fields = String::new();
    let mut left = len - get_with("").len();
    while left > 0 {
        let field = if left > 4000 { 2000 } else { left };
        fields += &format!("A: {}\r\n", "b".repeat(field - "A: \r\n".len()));
        left -= field;
    }
    get_with(&fields)
}

/// A chunk whose line, with its CRLF, is that long, and the last chunk.
fn chunk(len: usize) -> String {
    format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(len - "5;\r\n".len()))
}

/// No chunk but the last one, and trailers that are that long, the empty line behind them included.
fn trailers(len: usize) -> String {
    format!("0\r\nA: {}\r\n\r\n", "b".repeat(len - "A: \r\n\r\n".len()))
}
