use super::post;
use crate::transcript::{Transcript, on};

/// The server refuses a request before the peer has sent all of it. What the peer still sends must not cause a reset,
/// which could cost it the reply.
pub fn table() -> Vec<Transcript> {
    let much = |len| vec![b'x'; len];
    vec![
        on("content that is too large is refused while it is sent", "RFC 9112, 9.6")
            .send(post("Content-Length: 10485760\r\n", ""))
            .send(much(256 << 10))
            .refused(413),
        on("a request line that is too long is refused while it is sent", "RFC 9112, 9.6")
            .send("GET /")
            .send(much(256 << 10))
            .refused(414),
        on("a head that is too large is refused while it is sent", "RFC 9112, 9.6")
            .send("GET / HTTP/1.1\r\nHost: a\r\nA: ")
            .send(much(256 << 10))
            .refused(431),
        on("a bad head is refused while content is sent", "RFC 9112, 9.6")
            .send("POST /counter HTTP/1.1\r\nContent-Length: 262144\r\n\r\n")
            .send(much(256 << 10))
            .refused(400),
        on("a bad chunk is refused while others are sent", "RFC 9112, 9.6")
            .send(post("Transfer-Encoding: chunked\r\n", "x\r\n"))
            .send(much(256 << 10))
            .refused(400),
        on("a request behind an error is not answered", "RFC 9112, 9.6")
            .send("GET /\r\n\r\n")
            .refused(400)
            .await_replies()
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]
}
