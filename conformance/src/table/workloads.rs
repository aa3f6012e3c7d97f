use super::{get, post, request};
use crate::transcript::{Transcript, on};

pub fn table() -> Vec<Transcript> {
    let mut table = vec![
        on("a slow backend answers in its time", "design: /sleep").send(get("/sleep/20")).ok("slept 20 ms\n"),
        on("a backend may take no time", "design: /sleep").send(get("/sleep/0")).ok("slept 0 ms\n"),
        on("the same work gives the same result", "design: /work")
            .send(get("/work/1"))
            .ok("dc1b77ae0bf34dad\n")
            .with("Content-Type", "text/plain"),
        on("work of no iterations is answered", "design: /work").send(get("/work/0")).ok("9e3779b97f4a7c15\n"),
        on("a POST to the counter says its new value", "design: /counter").send(post("", "")).reply(200).number(),
        on("a GET of the counter says its value", "design: /counter").send(get("/counter")).reply(200).number(),
        on("the counter cannot be deleted", "RFC 9110, 15.5.6")
            .send(request("DELETE", "/counter", ""))
            .reply(405)
            .with("Allow", "GET, HEAD, POST, OPTIONS"),
        on("a POST to a sleep is refused", "RFC 9110, 15.5.6")
            .send(request("POST", "/sleep/1", ""))
            .reply(405)
            .with("Allow", "GET, HEAD, OPTIONS"),
        on("a POST to work is refused", "RFC 9110, 15.5.6")
            .send(request("POST", "/work/1", ""))
            .reply(405)
            .with("Allow", "GET, HEAD, OPTIONS"),
        on("a nod is saved, and the browser is redirected", "RFC 9110, 15.4.4")
            .send(nod("Cookie: account=alice\r\n", FORM, "nod=Hello"))
            .reply(303)
            .with("Location", "/")
            .without("Content-Type")
            .body(""),
        on("a nod may come in chunks", "RFC 9112, 7.1")
            .send(request("POST", "/nod", &format!("Cookie: account=bob\r\n{FORM}Transfer-Encoding: chunked\r\n")))
            .send("4\r\nnod=\r\n2\r\nHi\r\n0\r\n\r\n")
            .reply(303),
        on("the account's cookie is found among others", "design: /nod")
            .send(nod("Cookie: theme=dark; lang=en\r\nCookie: x=1; account=carol\r\n", FORM, "x=1&nod=a+b%26"))
            .reply(303),
        on("requests behind a nod wait for it", "RFC 9112, 9.3.2")
            .send(nod("Cookie: account=alice\r\n", FORM, "nod=first") + &get("/"))
            .reply(303)
            .hello(),
        on("a nod without an account is unauthorized", "RFC 9110, 11.6.1")
            .send(nod("", FORM, "nod=Hello"))
            .reply(401)
            .with("WWW-Authenticate", "Cookie realm=\"nods\"")
            .without("Connection"),
        on("a nod of an unknown account is unauthorized", "RFC 9110, 11.6.1")
            .send(nod("Cookie: account=mallory\r\n", FORM, "nod=Hello"))
            .reply(401)
            .with("WWW-Authenticate", "Cookie realm=\"nods\""),
        on("a nod that is not a form is an unsupported media type", "RFC 9110, 15.5.16")
            .send(nod("Cookie: account=alice\r\n", "Content-Type: application/json\r\n", "{\"nod\":\"Hello\"}"))
            .reply(415)
            .without("Connection"),
        on("a nod without a Content-Type is an unsupported media type", "RFC 9110, 15.5.16")
            .send(nod("", "", "nod=Hello"))
            .reply(415),
        on("a form without a nod is refused", "RFC 9110, 15.5.1")
            .send(nod("Cookie: account=alice\r\n", FORM, "node=Hello"))
            .reply(400)
            .without("Connection"),
        on("a nod that is not UTF-8 is refused", "RFC 9110, 15.5.1")
            .send(nod("Cookie: account=alice\r\n", FORM, "nod=%ff"))
            .reply(400),
        on("a nod of more than 1000 characters is refused", "limit: 1000 characters")
            .send(nod("Cookie: account=alice\r\n", FORM, &format!("nod={}", "x".repeat(1001))))
            .reply(400),
        on("a GET of a nod is refused", "RFC 9110, 15.5.6").send(get("/nod")).reply(405).with("Allow", "POST, OPTIONS"),
        on("OPTIONS of a nod lists its methods", "RFC 9110, 9.3.7")
            .send(request("OPTIONS", "/nod", ""))
            .reply(204)
            .with("Allow", "POST, OPTIONS"),
        on("the nods are listed", "design: /nods")
            .send(get("/nods"))
            .reply(200)
            .with("Content-Type", "text/plain; charset=utf-8")
            .state(),
        on("a HEAD of the nods has no content", "RFC 9110, 9.3.2")
            .send(request("HEAD", "/nods", ""))
            .reply(200)
            .for_head()
            .with("Content-Type", "text/plain; charset=utf-8")
            .state(),
        on("the nods cannot be deleted", "RFC 9110, 15.5.6")
            .send(request("DELETE", "/nods", ""))
            .reply(405)
            .with("Allow", "GET, HEAD, OPTIONS"),
    ];
    for (name, target) in [
        ("a sleep without a time is refused", "/sleep/"),
        ("a sleep of more than a minute is refused", "/sleep/60001"),
        ("a sleep that is not a number is refused", "/sleep/soon"),
        ("a negative sleep is refused", "/sleep/-1"),
        ("a sleep with a plus is refused", "/sleep/+1"),
        ("a sleep above 64 bits is refused", "/sleep/99999999999999999999"),
        ("work above its bound is refused", "/work/1000000001"),
        ("work that is not a number is refused", "/work/1e3"),
    ] {
        table.push(on(name, "RFC 9110, 15.5.1").send(get(target)).reply(400).without("Connection"));
    }
    table
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// `POST /nod` with these fields and this content.
fn nod(cookies: &str, content_type: &str, content: &str) -> String {
    request("POST", "/nod", &format!("{cookies}{content_type}Content-Length: {}\r\n", content.len())) + content
}
