use super::{get, post, post_chunked};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    vec![
        on("a peer that sends nothing and closes gets no reply", "RFC 9112, 9.6").half_close(),
        on("a peer that sends an empty line and closes gets no reply", "RFC 9112, 2.2").send("\r\n").half_close(),
        on("a half-close behind a request does not lose the reply", "RFC 9112, 9.6")
            .send(get("/"))
            .hello()
            .half_close(),
        on("a half-close behind pipelined requests loses no reply", "RFC 9112, 9.6")
            .send(get("/") + &get("/nowhere"))
            .hello()
            .reply(404)
            .half_close(),
        on("a half-close does not lose a slow reply", "RFC 9112, 9.6")
            .send(get("/sleep/5"))
            .ok("slept 5 ms\n")
            .half_close(),
        on("a half-close does not lose a large reply", "RFC 9112, 9.6")
            .send(get("/files/1m"))
            .reply(200)
            .file("1m")
            .half_close(),
        on("half a request line is refused", "RFC 9112, 8").send("GET / HT").refused(400).half_close(),
        on("half a head is refused", "RFC 9112, 8").send("GET / HTTP/1.1\r\nHost: a\r\n").refused(400).half_close(),
        on("half of a content is refused", "RFC 9112, 8")
            .send(post("Content-Length: 5\r\n", "hell"))
            .refused(400)
            .half_close(),
        on("chunks without a last chunk are refused", "RFC 9112, 8")
            .send(post_chunked("5\r\nhello\r\n"))
            .refused(400)
            .half_close(),
        on("chunks without the empty line at the end are refused", "RFC 9112, 8")
            .send(post_chunked("5\r\nhello\r\n0\r\n"))
            .refused(400)
            .half_close(),
        on("half a request behind a whole one is refused alone", "RFC 9112, 8")
            .send(get("/") + "GET")
            .hello()
            .refused(400)
            .half_close(),
    ]
}
