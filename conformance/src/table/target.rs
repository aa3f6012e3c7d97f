use super::get;
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = vec![
        on("a query is not part of the path", "RFC 9110, 4.2.3").send(get("/?a=b&c=/d")).hello(),
        on("an empty query is allowed", "RFC 3986, 3.4").send(get("/?")).hello(),
        on("a query may contain question marks", "RFC 3986, 3.4").send(get("/??a?b")).hello(),
        on("percent-encoding of a letter changes nothing", "RFC 3986, 2.4").send(get("/%63ounter")).reply(200).number(),
        on("an unknown path is not found", "RFC 9110, 15.5.5").send(get("/nowhere")).reply(404).body("404 Not Found\n"),
        on("a path that only begins like a known one is not found", "RFC 9110, 15.5.5")
            .send(get("/counters"))
            .reply(404),
        on("two slashes are not one", "RFC 3986, 3.3").send(get("//")).reply(404),
        on("a percent sign needs two digits", "RFC 3986, 2.1").send(get("/a%4")).reply(400),
        on("a percent sign needs hexadecimal digits", "RFC 3986, 2.1").send(get("/%g0")).reply(400),
        on("OPTIONS of the server lists its methods", "RFC 9110, 9.3.7")
            .send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            .reply(204)
            .with("Allow", "GET, HEAD, POST, OPTIONS"),
        on("CONNECT is not for an origin server", "RFC 9110, 9.3.6")
            .send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
            .refused(501),
        on("CONNECT without a port is refused", "RFC 9110, 9.3.6")
            .send("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n")
            .refused(400),
        on("CONNECT to port 0 is refused", "RFC 9110, 9.3.6")
            .send("CONNECT a:0 HTTP/1.1\r\nHost: a:0\r\n\r\n")
            .refused(400),
        on("CONNECT to what is no address is refused", "RFC 9112, 3.2.3")
            .send("CONNECT [12345]:80 HTTP/1.1\r\nHost: a:80\r\n\r\n")
            .refused(400),
    ];
    for (name, target) in [
        ("the absolute form is understood", "http://a/"),
        ("the absolute form may have no path", "http://a"),
        ("the absolute form may have a query and no path", "http://a?q"),
        ("the scheme of the absolute form is case-insensitive", "HTTP://A/"),
        ("the absolute form may have the scheme https", "https://a/"),
        ("the absolute form takes precedence over Host", "http://elsewhere:8080/"),
        ("the absolute form may name an IPv6 address", "http://[::1]:80/"),
    ] {
        table.push(on(name, "RFC 9112, 3.2.2").send(get(target)).hello());
    }
    for (name, source, target) in [
        ("an absolute form with user information is refused", "RFC 9110, 4.2.4", "http://me@a/"),
        ("an absolute form without a host is refused", "RFC 9110, 4.2.1", "http:///"),
        ("an absolute form with a port that is no number is refused", "RFC 3986, 3.2.3", "http://a:b/"),
        ("an absolute form with brackets without an address is refused", "RFC 3986, 3.2.2", "http://[12345]/"),
        ("an absolute form with a host that cannot be decoded is refused", "RFC 3986, 2.1", "http://a%zz/"),
        ("an absolute form of another scheme is refused", "RFC 9112, 3.2.2", "ftp://a/"),
        ("a path without a slash is refused", "RFC 9112, 3.2.1", "index.html"),
        ("an asterisk without OPTIONS is refused", "RFC 9112, 3.2.4", "*"),
        ("a target with a fragment is refused", "RFC 9112, 3.2", "/#top"),
        ("a target with a space is refused", "RFC 9112, 3.2", "/a b"),
        ("a target with a NUL is refused", "RFC 9112, 3.2", "/a\0b"),
        ("a target with a control character is refused", "RFC 9112, 3.2", "/a\x1bb"),
        ("a target with a DEL is refused", "RFC 9112, 3.2", "/a\x7fb"),
        ("a target beyond ASCII is refused", "RFC 9112, 3.2", "/é"),
    ] {
        table.push(on(name, source).send(get(target)).refused(400));
    }
    table.push(
        on("the absolute form does not replace Host", "RFC 9112, 3.2")
            .send("GET http://a/ HTTP/1.1\r\n\r\n")
            .refused(400),
    );
    table
}
