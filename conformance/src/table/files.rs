use super::{get, request};
use crate::fixture::{FUTURE, MODIFIED, TEN_ETAG};
use crate::transcript::{Transcript, on};

const TEN: &str = "0123456789";

pub fn table() -> Vec<Transcript> {
    [names(), conditions(), future(), ranges()].concat()
}

fn ten(fields: &str) -> String {
    request("GET", "/files/ten.txt", fields)
}

fn names() -> Vec<Transcript> {
    let mut table = vec![
        on("a file is served with its validators", "RFC 9110, 8.8")
            .send(ten(""))
            .ok(TEN)
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("ETag", TEN_ETAG)
            .with("Last-Modified", MODIFIED[1])
            .with("Accept-Ranges", "bytes"),
        on("a file's extension decides its Content-Type", "RFC 9110, 8.3")
            .send(get("/files/page.html"))
            .ok("<p>Hello</p>\n")
            .with("Content-Type", "text/html; charset=utf-8"),
        on("a file without an extension has the general Content-Type", "RFC 9110, 8.3")
            .send(get("/files/1k"))
            .reply(200)
            .file("1k")
            .with("Content-Type", "application/octet-stream"),
        on("an empty file is served", "RFC 9110, 8.6").send(get("/files/empty") + &get("/")).ok("").hello(),
        on("a file of 64 KiB is served", "design: /files").send(get("/files/64k")).reply(200).file("64k"),
        on("a file of 10 MiB is served", "design: /files").send(get("/files/10m")).reply(200).file("10m"),
        on("a query does not change which file it is", "RFC 9110, 4.2.3").send(get("/files/ten.txt?v=2")).ok(TEN),
        on("a name is percent-decoded", "RFC 3986, 2.4").send(get("/files/a%20b%2Etxt")).ok("a space\n"),
        on("a name may contain more than ASCII", "RFC 3986, 2.5").send(get("/files/%C3%A9")).ok("not ASCII\n"),
        on("a file in a folder is served", "design: /files").send(get("/files/sub/inner")).ok("inner\n"),
        on("a POST to a file is refused", "RFC 9110, 15.5.6")
            .send(request("POST", "/files/ten.txt", ""))
            .reply(405)
            .with("Allow", "GET, HEAD, OPTIONS"),
        on("an encoded NUL is refused", "RFC 3986, 7.3").send(get("/files/ten.txt%00.html")).reply(400),
        on("an encoded slash is refused", "RFC 3986, 2.2").send(get("/files/sub%2Finner")).reply(400),
        on("an incomplete percent-encoding is refused", "RFC 3986, 2.1").send(get("/files/ten.txt%")).reply(400),
    ];
    for (name, path) in [
        ("a file that does not exist is not found", "none"),
        ("an empty name is not found", ""),
        ("a folder is not found", "sub"),
        ("a folder with a slash is not found", "sub/"),
        ("a file with a slash is not found", "ten.txt/"),
        ("a name is decoded once only", "%2574en.txt"),
        ("two dots do not lead out of the folder", "../outside"),
        ("encoded dots do not lead out of the folder", "%2e%2e/outside"),
        ("two dots within a path are not found", "sub/../ten.txt"),
        ("a dot as a folder is not found", "./ten.txt"),
        ("an absolute path is not found", "/etc/passwd"),
        ("two slashes within a path are not one", "sub//inner"),
        ("a symbolic link is not followed", "link"),
        ("a symbolic link to the outside is not followed", "way-out"),
        ("a symbolic link to a folder is not followed", "sublink/inner"),
        ("a FIFO is not found, and does not block", "fifo"),
        ("an encoded backslash does not lead out of the folder", "..%5coutside"),
        ("a name that is too long for a file is not found", LONG),
    ] {
        table.push(on(name, "RFC 9110, 17.3").send(get(&format!("/files/{path}"))).reply(404));
    }
    table
}

/// 256 bytes: NAME_MAX is 255.
const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn conditions() -> Vec<Transcript> {
    let [before, exact, after] = MODIFIED;
    let mut table = Vec::new();
    let not_modified = |name, source, fields: String| {
        on(name, source).send(ten(&fields)).reply(304).with("ETag", TEN_ETAG).without("Content-Length").body("")
    };
    table.push(not_modified(
        "a file whose tag the client has is not sent",
        "RFC 9110, 13.1.2",
        format!("If-None-Match: {TEN_ETAG}\r\n"),
    ));
    table.push(not_modified(
        "If-None-Match compares weakly",
        "RFC 9110, 13.1.2",
        format!("If-None-Match: W/{TEN_ETAG}\r\n"),
    ));
    table.push(not_modified(
        "If-None-Match with an asterisk matches any file",
        "RFC 9110, 13.1.2",
        "If-None-Match: *\r\n".into(),
    ));
    table.push(not_modified(
        "If-None-Match finds the tag in a list",
        "RFC 9110, 13.1.2",
        format!("If-None-Match: \"a,b\", {TEN_ETAG}\r\n"),
    ));
    table.push(not_modified(
        "If-None-Match finds the tag on a second line",
        "RFC 9110, 5.3",
        format!("If-None-Match: \"x\"\r\nIf-None-Match: {TEN_ETAG}\r\n"),
    ));
    table.push(not_modified(
        "a file whose date the client has is not sent",
        "RFC 9110, 13.1.3",
        format!("If-Modified-Since: {exact}\r\n"),
    ));
    table.push(not_modified(
        "a file that is older than the client's date is not sent",
        "RFC 9110, 13.1.3",
        format!("If-Modified-Since: {after}\r\n"),
    ));
    table.push(not_modified(
        "a date in the form of RFC 850 is understood",
        "RFC 9110, 5.6.7",
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n".into(),
    ));
    table.push(not_modified(
        "a date in the form of asctime is understood",
        "RFC 9110, 5.6.7",
        "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n".into(),
    ));
    for (name, source, fields) in [
        ("a file whose tag the client lacks is sent", "RFC 9110, 13.1.2", "If-None-Match: \"x\"\r\n".to_owned()),
        (
            "a file that is newer than the client's date is sent",
            "RFC 9110, 13.1.3",
            format!("If-Modified-Since: {before}\r\n"),
        ),
        (
            "If-None-Match with an asterisk beside a tag matches no other tag",
            "RFC 9110, 13.1.2",
            "If-None-Match: \"x\"\r\nIf-None-Match: *\r\n".into(),
        ),
        (
            "If-Modified-Since twice is ignored",
            "RFC 9110, 13.1.3",
            format!("If-Modified-Since: {exact}\r\nIf-Modified-Since: {exact}\r\n"),
        ),
        (
            "If-Modified-Since with two dates is ignored",
            "RFC 9110, 13.1.3",
            format!("If-Modified-Since: {exact}, {exact}\r\n"),
        ),
        (
            "If-Unmodified-Since twice is ignored",
            "RFC 9110, 13.1.4",
            format!("If-Unmodified-Since: {before}\r\nIf-Unmodified-Since: {before}\r\n"),
        ),
        ("a date that cannot be parsed is ignored", "RFC 9110, 13.1.3", "If-Modified-Since: today\r\n".into()),
        (
            "If-None-Match takes precedence over If-Modified-Since",
            "RFC 9110, 13.2.2",
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {exact}\r\n"),
        ),
        ("a file whose tag is in If-Match is sent", "RFC 9110, 13.1.1", format!("If-Match: {TEN_ETAG}\r\n")),
        (
            "If-Match finds the tag on a second line",
            "RFC 9110, 5.3",
            format!("If-Match: \"x\"\r\nIf-Match: {TEN_ETAG}\r\n"),
        ),
        ("If-Match with an asterisk matches any file", "RFC 9110, 13.1.1", "If-Match: *\r\n".into()),
        ("a file that was not modified since is sent", "RFC 9110, 13.1.4", format!("If-Unmodified-Since: {exact}\r\n")),
        (
            "If-Match takes precedence over If-Unmodified-Since",
            "RFC 9110, 13.2.2",
            format!("If-Match: {TEN_ETAG}\r\nIf-Unmodified-Since: {before}\r\n"),
        ),
    ] {
        table.push(on(name, source).send(ten(&fields)).ok(TEN));
    }
    for (name, source, fields) in [
        ("a file whose tag is not in If-Match is not sent", "RFC 9110, 13.1.1", "If-Match: \"x\"\r\n".to_owned()),
        (
            "If-Match with an asterisk beside a tag matches no other tag",
            "RFC 9110, 13.1.1",
            "If-Match: *\r\nIf-Match: \"x\"\r\n".into(),
        ),
        ("If-Match compares strongly", "RFC 9110, 13.1.1", format!("If-Match: W/{TEN_ETAG}\r\n")),
        (
            "a file that was modified since is not sent",
            "RFC 9110, 13.1.4",
            format!("If-Unmodified-Since: {before}\r\n"),
        ),
        (
            "If-Match takes precedence over If-None-Match",
            "RFC 9110, 13.2.2",
            format!("If-Match: \"x\"\r\nIf-None-Match: {TEN_ETAG}\r\n"),
        ),
    ] {
        table.push(on(name, source).send(ten(&fields)).reply(412));
    }
    table.push(
        on("a condition on a file that does not exist is ignored", "RFC 9110, 13.2.1")
            .send(request("GET", "/files/none", "If-Match: \"x\"\r\n"))
            .reply(404),
    );
    table.push(
        on("HEAD evaluates conditions, too", "RFC 9110, 13.1.2")
            .send(request("HEAD", "/files/ten.txt", &format!("If-None-Match: {TEN_ETAG}\r\n")))
            .reply(304)
            .for_head(),
    );
    table
}

/// A file whose last modification is in the future. (The check of every reply is that Last-Modified is not later than Date.)
fn future() -> Vec<Transcript> {
    let get = |fields: String| request("GET", "/files/future", &fields);
    vec![
        on("a file of the future has no date that is later than Date", "RFC 9110, 8.8.2.1")
            .send(get(String::new()))
            .ok(TEN)
            .state(),
        on("a file of the future was modified since any earlier date", "RFC 9110, 13.1.3")
            .send(get(format!("If-Modified-Since: {}\r\n", MODIFIED[1])))
            .ok(TEN)
            .state(),
        on("a date that is later than now is a date", "RFC 9110, 13.1.3")
            .send(get(format!("If-Modified-Since: {FUTURE}\r\n")))
            .reply(304)
            .state(),
        on("a date in the future is no strong validator", "RFC 9110, 8.8.2.2")
            .send(get(format!("Range: bytes=2-3\r\nIf-Range: {FUTURE}\r\n")))
            .ok(TEN)
            .state(),
    ]
}

fn ranges() -> Vec<Transcript> {
    let mut table = Vec::new();
    for (name, range, offset, len) in [
        ("the first bytes are served", "bytes=0-3", 0, 4),
        ("one byte is served", "bytes=5-5", 5, 1),
        ("the bytes from an offset to the end are served", "bytes=7-", 7, 3),
        ("the last bytes are served", "bytes=-2", 8, 2),
        ("a range is cut at the end", "bytes=8-99", 8, 2),
        ("more last bytes than the file has are the whole file", "bytes=-99", 0, 10),
        ("a range above 64 bits is cut at the end", "bytes=9-99999999999999999999", 9, 1),
        ("a range of the whole file is answered with 206", "bytes=0-9", 0, 10),
        ("the range's unit is case-insensitive", "Bytes=0-0", 0, 1),
    ] {
        table.push(
            on(name, "RFC 9110, 14.1.2")
                .send(ten(&format!("Range: {range}\r\n")) + &get("/"))
                .reply(206)
                .piece("ten.txt", offset, len)
                .with("Content-Range", format!("bytes {offset}-{}/10", offset + len - 1))
                .with("ETag", TEN_ETAG)
                .hello(),
        );
    }
    for (name, range) in [
        ("several ranges are answered with the whole file", "bytes=0-1, 4-5"),
        ("a range of an unknown unit is ignored", "lines=0-1"),
        ("a range that ends before it starts is ignored", "bytes=5-4"),
        ("a range without a number is ignored", "bytes=-"),
        ("a range with letters is ignored", "bytes=a-b"),
        ("a range with a sign is ignored", "bytes=+0-1"),
    ] {
        table.push(
            on(name, "RFC 9110, 14.2").send(ten(&format!("Range: {range}\r\n"))).ok(TEN).without("Content-Range"),
        );
    }
    for (name, range) in [
        ("a range behind the end cannot be satisfied", "bytes=10-"),
        ("a range far behind the end cannot be satisfied", "bytes=99999999999999999999-"),
        ("a range of the last zero bytes cannot be satisfied", "bytes=-0"),
    ] {
        let request = ten(&format!("Range: {range}\r\n"));
        table.push(on(name, "RFC 9110, 15.5.17").send(request).reply(416).with("Content-Range", "bytes */10"));
    }
    for (name, value) in [
        ("a range is served where If-Range has the file's tag", TEN_ETAG),
        ("a range is served where If-Range has the file's date", MODIFIED[1]),
    ] {
        let fields = format!("Range: bytes=2-3\r\nIf-Range: {value}\r\n");
        table.push(on(name, "RFC 9110, 13.1.5").send(ten(&fields)).reply(206).body("23"));
    }
    for (name, value) in [
        ("the whole file is sent where If-Range has another tag", "\"x\"".to_owned()),
        ("the whole file is sent where If-Range has a weak tag", format!("W/{TEN_ETAG}")),
        ("the whole file is sent where If-Range has an earlier date", MODIFIED[0].into()),
        ("the whole file is sent where If-Range has a later date", MODIFIED[2].into()),
    ] {
        let fields = format!("Range: bytes=2-3\r\nIf-Range: {value}\r\n");
        table.push(on(name, "RFC 9110, 13.1.5").send(ten(&fields)).ok(TEN));
    }
    for (name, source, fields) in [
        ("Range twice is ignored", "RFC 9110, 14.2", "Range: bytes=0-1\r\nRange: bytes=0-1\r\n".to_owned()),
        (
            "the whole file is sent where If-Range comes twice",
            "RFC 9110, 13.1.5",
            format!("Range: bytes=2-3\r\nIf-Range: {TEN_ETAG}\r\nIf-Range: {TEN_ETAG}\r\n"),
        ),
    ] {
        table.push(on(name, source).send(ten(&fields)).ok(TEN).without("Content-Range"));
    }
    table.extend([
        on("a range of an empty file cannot be satisfied", "RFC 9110, 14.1.2")
            .send(request("GET", "/files/empty", "Range: bytes=0-\r\n"))
            .reply(416)
            .with("Content-Range", "bytes */0"),
        on("the last bytes of an empty file are the whole file", "RFC 9110, 14.1.2")
            .send(request("GET", "/files/empty", "Range: bytes=-5\r\n"))
            .ok(""),
        on("a condition takes precedence over a range", "RFC 9110, 13.2.2")
            .send(ten(&format!("Range: bytes=0-1\r\nIf-None-Match: {TEN_ETAG}\r\n")))
            .reply(304),
        on("a range in the middle of a large file is served", "RFC 9110, 14.1.2")
            .send(request("GET", "/files/10m", "Range: bytes=1000000-3000000\r\n"))
            .reply(206)
            .piece("10m", 1_000_000, 2_000_001),
        on("a range of a reply that is no file is ignored", "RFC 9110, 14.2")
            .send(request("GET", "/", "Range: bytes=0-1\r\n"))
            .hello(),
    ]);
    table
}
