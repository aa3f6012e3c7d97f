use super::{get, get_with, post, post_chunked, request};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let hundred = (0..100).fold(
        on("a hundred pipelined requests are answered in order", "RFC 9112, 9.3.2")
            .send((0..100).map(|n| get(&format!("/sleep/{}", n % 2))).collect::<String>()),
        |transcript, n| transcript.ok(&format!("slept {} ms\n", n % 2)),
    );
    let files = (0..8).fold(
        on("pipelined files are answered whole and in order", "RFC 9112, 9.3.2").send(get("/files/64k").repeat(8)),
        |transcript, _| transcript.reply(200).file("64k"),
    );
    vec![
        on("pipelined requests are answered in order", "RFC 9112, 9.3.2")
            .send(get("/") + &get("/nowhere") + &get("/"))
            .hello()
            .reply(404)
            .hello(),
        hundred,
        files,
        on("a request behind content of a given length is found", "RFC 9112, 9.3.2")
            .send(post("Content-Length: 5\r\n", "hello") + &get("/"))
            .reply(200)
            .number()
            .hello(),
        on("a request behind chunked content is found", "RFC 9112, 9.3.2")
            .send(post_chunked("5\r\nhello\r\n0\r\nA: b\r\n\r\n") + &get("/"))
            .reply(200)
            .number()
            .hello(),
        on("an empty line between requests is skipped", "RFC 9112, 2.2")
            .send(get("/") + "\r\n" + &get("/"))
            .hello()
            .hello(),
        on("a request waits for the slow one before it", "RFC 9112, 9.3.2")
            .send(get("/sleep/5") + &get("/"))
            .ok("slept 5 ms\n")
            .hello(),
        on("a request waits for the file before it", "RFC 9112, 9.3.2")
            .send(get("/files/ten.txt") + &get("/"))
            .reply(200)
            .body("0123456789")
            .hello(),
        on("a HEAD between GETs has no content", "RFC 9110, 9.3.2")
            .send(get("/") + &request("HEAD", "/", "") + &get("/nowhere"))
            .hello()
            .reply(200)
            .for_head()
            .reply(404),
        on("a request behind one with close is not answered", "RFC 9112, 9.6")
            .send(get("/") + &get_with("Connection: close\r\n") + &get("/nowhere"))
            .hello()
            .hello()
            .with("Connection", "close")
            .closes(),
        on("a request before a bad one is answered", "RFC 9112, 9.3.2")
            .send(get("/") + "GET /\r\n\r\n" + &get("/"))
            .hello()
            .refused(400),
        on("a file before a bad request is served", "RFC 9112, 9.3.2")
            .send(get("/files/1k") + "GET /\r\n\r\n" + &get("/"))
            .reply(200)
            .file("1k")
            .refused(400),
        on("a request may come when the reply before it has arrived", "RFC 9112, 9.3")
            .send(get("/"))
            .hello()
            .await_replies()
            .send(get("/nowhere"))
            .reply(404)
            .await_replies()
            .send(get("/"))
            .hello(),
    ]
}
