use std::time::Duration;

use super::{get, post};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let seconds = Duration::from_secs;
    let moment = Duration::from_millis(1);
    vec![
        on("a head that does not end is timed out", "limit: head 10 s")
            .send("GET / HTTP/1.1\r\nHost: a\r\n")
            .wait(seconds(10))
            .refused(408),
        on("a head has its 10 s in total, not for each piece", "limit: head 10 s")
            .send("GET / HTTP/1.1\r\n")
            .wait(seconds(4))
            .send("Host: a\r\n")
            .wait(seconds(4))
            .send("A: b\r\n")
            .wait(seconds(2))
            .refused(408),
        on("a head that comes slowly, but in time, is answered", "limit: head 10 s")
            .send("GET / HTTP/1.1\r\n")
            .wait(seconds(5))
            .send("Host: a\r\n")
            .wait(seconds(5) - moment)
            .send("\r\n")
            .hello(),
        on("a content that does not end is timed out", "limit: body 20 s")
            .send(post("Content-Length: 5\r\n", "hell"))
            .wait(seconds(20))
            .refused(408),
        on("a content has its 20 s in total, not for each piece", "limit: body 20 s")
            .send(post("Content-Length: 5\r\n", "he"))
            .wait(seconds(15))
            .send("l")
            .wait(seconds(5))
            .refused(408),
        on("a content that comes slowly, but in time, is taken", "limit: body 20 s")
            .send(post("Transfer-Encoding: chunked\r\n", "5\r\nhel"))
            .wait(seconds(20) - moment)
            .send("lo\r\n0\r\n\r\n")
            .reply(200)
            .number(),
        on("the time for a content begins with the 100", "limit: body 20 s")
            .send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""))
            .reply(100)
            .wait(seconds(20))
            .refused(408),
        on("a connection that brings no request is closed without a reply", "limit: idle 15 s")
            .wait(seconds(15))
            .closes(),
        on("a request just before the idle time-out is answered", "limit: idle 15 s")
            .wait(seconds(15) - moment)
            .send(get("/"))
            .hello(),
        on("a connection that becomes idle is closed without a reply", "limit: idle 15 s")
            .send(get("/"))
            .hello()
            .wait(seconds(15))
            .closes(),
        on("the idle time begins anew behind each request", "limit: idle 15 s")
            .send(get("/"))
            .hello()
            .wait(seconds(14))
            .send(get("/"))
            .hello()
            .wait(seconds(14))
            .send(get("/nowhere"))
            .reply(404),
        on("empty lines do not extend the idle time", "limit: idle 15 s")
            .wait(seconds(9))
            .send("\r")
            .wait(seconds(5))
            .send("\n\r")
            .wait(seconds(1))
            .closes(),
        on("a head has its own time even where the idle time ends", "limit: head 10 s")
            .wait(seconds(14))
            .send("GET / HTTP/1.1\r\n")
            .wait(seconds(9))
            .send("Host: a\r\n\r\n")
            .hello(),
    ]
}
