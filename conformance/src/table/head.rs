use super::{get, request};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    vec![
        on("HEAD has the length of GET and no content", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/", ""))
            .reply(200)
            .for_head()
            .with("Content-Length", "12")
            .with("Content-Type", "text/plain"),
        on("HEAD of a file has its length and validators", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/files/1m", ""))
            .reply(200)
            .for_head()
            .with("Content-Length", "1048576")
            .with("Accept-Ranges", "bytes"),
        on("HEAD of an unknown path has no content", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/nowhere", "") + &get("/"))
            .reply(404)
            .for_head()
            .hello(),
        on("HEAD of a sleep is answered", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/sleep/2", ""))
            .reply(200)
            .for_head()
            .with("Content-Length", "11"),
        on("HEAD of the counter is answered", "RFC 9110, 9.2.1")
            .send(request("HEAD", "/counter", ""))
            .reply(200)
            .for_head()
            .state(),
        on("a HEAD that is refused has no content", "RFC 9110, 9.3.2")
            .send("HEAD / HTTP/1.1\r\n\r\n")
            .refused(400)
            .for_head(),
        on("HEAD ignores a range", "RFC 9110, 14.2")
            .send(request("HEAD", "/files/ten.txt", "Range: bytes=0-1\r\n"))
            .reply(200)
            .for_head()
            .with("Content-Length", "10")
            .without("Content-Range"),
        on("HEAD may have content, which is ignored", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/", "Content-Length: 3\r\n") + "abc")
            .reply(200)
            .for_head(),
    ]
}
