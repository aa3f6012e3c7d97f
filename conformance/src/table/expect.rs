use super::{get, post};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    const EXPECT: &str = "Expect: 100-continue\r\n";
    vec![
        on("100 is sent before content of a given length", "RFC 9110, 10.1.1")
            .send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
            .reply(100)
            .await_replies()
            .send("hello")
            .reply(200)
            .number(),
        on("100 is sent before chunked content", "RFC 9110, 10.1.1")
            .send(post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", ""))
            .reply(100)
            .await_replies()
            .send("5\r\nhello\r\n0\r\n\r\n")
            .reply(200)
            .number(),
        on("100-continue is case-insensitive", "RFC 9110, 10.1.1")
            .send(post("eXPECT: 100-CONTINUE\r\nContent-Length: 5\r\n", ""))
            .reply(100)
            .await_replies()
            .send("hello")
            .reply(200)
            .number(),
        on("100 is optional where content is already there", "RFC 9110, 10.1.1")
            .send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"))
            .reply(200)
            .number()
            .maybe_continue(),
        on("100 is not sent where there is no content", "RFC 9110, 10.1.1").send(post(EXPECT, "")).reply(200).number(),
        on("100 is not sent for an empty content", "RFC 9110, 10.1.1")
            .send(post("Expect: 100-continue\r\nContent-Length: 0\r\n", ""))
            .reply(200)
            .number(),
        on("100 is not sent to HTTP/1.0", "RFC 9110, 10.1.1")
            .send("POST /counter HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            .send("hello")
            .reply(200)
            .number()
            .with("Connection", "close")
            .closes(),
        on("an unknown expectation is refused", "RFC 9110, 15.5.18")
            .send(post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello"))
            .refused(417),
        on("content that is too large is refused before it is sent", "RFC 9110, 10.1.1")
            .send(post("Expect: 100-continue\r\nContent-Length: 1048577\r\n", ""))
            .refused(413),
        on("100 is sent after the reply to an earlier request", "RFC 9110, 10.1.1")
            .send(get("/") + &post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
            .hello()
            .reply(100)
            .await_replies()
            .send("hello")
            .reply(200)
            .number(),
    ]
}
