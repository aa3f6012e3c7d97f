use super::{get, get_with};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = Vec::new();
    for (name, field) in [
        ("close ends the connection", "Connection: close\r\n"),
        ("connection options are case-insensitive", "connection: CLOSE\r\n"),
        ("close is found in a list", "Connection: a,\t close ,b\r\n"),
        ("close is found in a list with empty elements", "Connection: ,, close,\r\n"),
        ("close is found on a second line", "Connection: a\r\nConnection: close\r\n"),
        ("close takes precedence over keep-alive", "Connection: keep-alive, close\r\n"),
    ] {
        table.push(on(name, "RFC 9112, 9.6").send(get_with(field)).hello().with("Connection", "close").closes());
    }
    for (name, field) in [
        ("a connection stays open by default", ""),
        ("keep-alive changes nothing in HTTP/1.1", "Connection: keep-alive\r\n"),
        ("an unknown connection option is ignored", "Connection: a, b\r\n"),
        ("an option that only begins with close does not close the connection", "Connection: closed\r\n"),
        ("an upgrade to an unknown protocol is ignored", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
    ] {
        table.push(on(name, "RFC 9112, 9.3").send(get_with(field)).hello().without("Connection"));
    }
    table.extend([
        on("HTTP/1.0 closes by default", "RFC 9112, 9.3")
            .send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            .hello()
            .with("Connection", "close")
            .closes(),
        on("HTTP/1.0 may ask for keep-alive, which the reply confirms", "RFC 9112, 9.3")
            .send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            .hello()
            .with("Connection", "keep-alive"),
        on("close takes precedence over keep-alive in HTTP/1.0", "RFC 9112, 9.3")
            .send("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
            .hello()
            .with("Connection", "close")
            .closes(),
        on("a reply to HTTP/1.0 has a Content-Length", "RFC 9112, 6.1")
            .send("GET /files/64k HTTP/1.0\r\n\r\n")
            .reply(200)
            .file("64k")
            .with("Content-Length", "65536")
            .with("Connection", "close")
            .closes(),
        on("a reply to HTTP/1.0 says HTTP/1.1", "RFC 9110, 6.2")
            .send("GET /nowhere HTTP/1.0\r\n\r\n")
            .reply(404)
            .with("Connection", "close")
            .closes(),
        on("an error of the application does not close the connection", "RFC 9112, 9.3")
            .send(get("/nowhere") + &get("/sleep/x"))
            .reply(404)
            .without("Connection")
            .reply(400)
            .without("Connection"),
        on("close ends the connection behind a slow reply", "RFC 9112, 9.6")
            .send("GET /sleep/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .ok("slept 1 ms\n")
            .with("Connection", "close")
            .closes(),
        on("close ends the connection behind a file", "RFC 9112, 9.6")
            .send("GET /files/1m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .reply(200)
            .file("1m")
            .with("Connection", "close")
            .closes(),
    ]);
    table
}
