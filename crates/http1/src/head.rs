use std::mem::MaybeUninit;

use httparse::{Error, Header, ParserConfig, Status};

use crate::host::is_host;
use crate::limits::Limits;
use crate::request::{Request, Version};

/// Room for the fields of one head, on the stack.
pub type Fields<'a> = [MaybeUninit<Header<'a>>; Limits::FIELDS];

/// An empty table of fields.
pub const fn no_fields<'a>() -> Fields<'a> {
    [const { MaybeUninit::uninit() }; Limits::FIELDS]
}

/// The status of a reply that ends the connection, since what follows cannot be framed, or must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16);

const BAD_REQUEST: Refusal = Refusal(400);

/// How the content of a request is delimited (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Content-Length, or no content.
    Length(usize),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// A valid head.
#[derive(Debug)]
pub struct Head<'a> {
    /// The request; its body is still empty.
    pub request: Request<'a>,
    /// Bytes that the head took.
    pub len: usize,
    pub framing: Framing,
    /// May the connection stay open after the reply?
    pub keep_alive: bool,
    /// Does the peer wait for `100 Continue`?
    pub expects_continue: bool,
}

/// Parses a head at the start of `bytes`; `None` if it is incomplete.
///
/// The first `scanned` bytes are known to hold no complete head.
pub fn parse<'a>(
    bytes: &'a [u8],
    scanned: usize,
    limits: &Limits,
    fields: &'a mut Fields<'a>,
) -> Result<Option<Head<'a>>, Refusal> {
    // A head ends only at a line's end: without a new LF there is nothing to parse again.
    if memchr::memchr(b'\n', &bytes[scanned..]).is_none() {
        let refusal = too_long(bytes, limits).or_else(|| (!begins_line(bytes, scanned)).then_some(BAD_REQUEST));
        return refusal.map_or(Ok(None), Err);
    }
    let mut raw = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut raw, bytes, fields);
    let len = match parsed {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => {
            only_crlf(bytes)?;
            return too_long(bytes, limits).map_or(Ok(None), Err);
        }
        Err(Error::TooManyHeaders) => return Err(Refusal(431)),
        Err(Error::Version) => return Err(bad_version(bytes)),
        Err(_) => return Err(too_long(bytes, limits).unwrap_or(BAD_REQUEST)),
    };
    let bytes = &bytes[..len];
    only_crlf(bytes)?;
    if let Some(refusal) = too_long(bytes, limits) {
        return Err(refusal);
    }
    validate(raw, len).map(Some)
}

/// Can these bytes, without an LF behind `scanned`, still become a head? Only what is behind `scanned` is looked at.
///
/// A line that cannot become a request line is refused at its first wrong byte: a peer that speaks another protocol, such as
/// TLS, may wait for an answer and send no line's end. Of the lines behind the first, httparse says what is wrong.
fn begins_line(bytes: &[u8], scanned: usize) -> bool {
    if bytes.starts_with(b"\r") {
        return bytes.len() == 1; // an empty line may begin: RFC 9112, 2.2
    }
    let unseen = |from: usize, to: usize| &bytes[from.max(scanned.min(to))..to];
    let space = |from: usize| memchr::memchr(b' ', &bytes[from..]).map(|at| from + at);
    if memchr::memchr(b'\n', &bytes[..scanned]).is_some() {
        return true; // the request line is complete
    }
    let Some(method) = space(0) else { return unseen(0, bytes.len()).iter().all(|&b| is_tchar(b)) };
    let Some(target) = space(method + 1) else {
        return method > 0
            && unseen(0, method).iter().all(|&b| is_tchar(b))
            && unseen(method + 1, bytes.len()).iter().all(|&b| is_target(b));
    };
    let version = &bytes[target + 1..];
    let form = b"HTTP/0.0\r".iter().zip(version);
    method > 0
        && target > method + 1
        && unseen(0, method).iter().all(|&b| is_tchar(b))
        && unseen(method + 1, target).iter().all(|&b| is_target(b))
        && version.len() <= b"HTTP/1.1\r".len()
        && { form }.all(|(&form, &b)| if form == b'0' { b.is_ascii_digit() } else { form == b })
}

/// The status with which a request line is refused, or its beginning, where its LF is not here yet: for a server that leaves
/// the rest of a head to another parser.
pub fn refused_line(line: &[u8], limits: &Limits) -> Option<u16> {
    let Some(whole) = line.strip_suffix(b"\n") else {
        let refusal = too_long(line, limits).or_else(|| (!begins_line(line, 0)).then_some(BAD_REQUEST));
        return refusal.map(|Refusal(status)| status);
    };
    if !whole.ends_with(b"\r") || !begins_line(whole, 0) {
        return Some(400);
    }
    if whole.len() - 1 > limits.request_line {
        return Some(414);
    }
    match whole.splitn(3, |&b| b == b' ').nth(2) {
        Some(b"HTTP/1.1\r" | b"HTTP/1.0\r") => None,
        Some(version) if version.len() == b"HTTP/1.1\r".len() => Some(505),
        _ => Some(400),
    }
}

/// May this byte be in a token, such as a method (RFC 9110, 5.6.2)?
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// May this byte be in a target? A fragment is no part of it (RFC 9112, 3.2).
fn is_target(b: u8) -> bool {
    matches!(b, b'!'..=b'~') && b != b'#'
}

/// Refuses a bare LF, which httparse takes for a line's end. RFC 9112, 2.2 permits the refusal, and request smuggling
/// uses bare LFs.
fn only_crlf(bytes: &[u8]) -> Result<(), Refusal> {
    let [first, rest @ ..] = bytes else { return Ok(()) };
    // All pairs are compared, without an early exit: so the compiler can compare many at a time.
    let pairs = bytes.iter().zip(rest);
    let bare = pairs.fold(*first == b'\n', |bare, (&before, &b)| bare | (b == b'\n' && before != b'\r'));
    (!bare).then_some(()).ok_or(BAD_REQUEST)
}

/// The refusal of a head, complete or not, that exceeds a limit.
fn too_long(bytes: &[u8], limits: &Limits) -> Option<Refusal> {
    if bytes.len() <= limits.request_line {
        return None; // then the request line and the head are within their limits, too
    }
    let start = bytes.iter().position(|&b| b != b'\r' && b != b'\n').unwrap_or(0);
    let line = bytes[start..].split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > limits.request_line {
        Some(Refusal(414))
    } else if bytes.len() > limits.head {
        Some(Refusal(431))
    } else {
        None
    }
}

/// The refusal of a version that httparse does not accept: `HTTP/2.0` is not supported (505), `HTTP/x` and `FTP/1.1`
/// are no HTTP versions (400).
fn bad_version(bytes: &[u8]) -> Refusal {
    let line = bytes.trim_ascii_start();
    let line = &line[..memchr::memchr(b'\r', line).unwrap_or(line.len())];
    let mut parts = line.split(|&b| b == b' ').skip(2);
    match (parts.next(), parts.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal(505)
        }
        _ => BAD_REQUEST,
    }
}

/// Checks what httparse does not, and derives framing and persistence.
fn validate<'a>(raw: httparse::Request<'a, 'a>, len: usize) -> Result<Head<'a>, Refusal> {
    let fields: &'a [Header<'a>] = raw.headers;
    let (Some(method), Some(target), Some(version)) = (raw.method, raw.path, raw.version) else {
        return Err(BAD_REQUEST);
    };
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    let (path, query) = split_target(method, target)?;

    let mut hosts = 0;
    let mut length = None;
    let mut chunked = false;
    let (mut close, mut keep_alive) = (false, false);
    let mut expects_continue = false;
    for Header { name, value } in fields {
        // Names are compared only if their lengths are equal, which rules most fields out.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                hosts += 1;
                is_host(value).then_some(()).ok_or(BAD_REQUEST)?;
            }
            6 if name.eq_ignore_ascii_case("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal(417));
                }
                expects_continue = version == Version::Http11; // RFC 9110, 10.1.1: an HTTP/1.0 client gets no 100
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => match length {
                None => length = Some(content_length(value)?),
                Some(_) => return Err(BAD_REQUEST), // even the same value twice, as RFC 9112, 6.3 permits
            },
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || version == Version::Http10 {
                    return Err(BAD_REQUEST); // RFC 9112, 6.1: in HTTP/1.0 such framing is faulty
                }
                only_chunked(value)?;
                chunked = true;
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && version == Version::Http11) {
        return Err(BAD_REQUEST);
    }
    let framing = match (chunked, length) {
        (true, Some(_)) => return Err(BAD_REQUEST), // request smuggling: RFC 9112, 6.1
        (true, None) => Framing::Chunked,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    let keep_alive = !close && (keep_alive || version == Version::Http11);
    let request = Request { method, path, query, version, body: &[], fields };
    Ok(Head { request, len, framing, keep_alive, expects_continue })
}

/// The path and the query of a target in origin, absolute or asterisk form (RFC 9112, 3.2).
fn split_target<'a>(method: &str, target: &'a str) -> Result<(&'a str, Option<&'a str>), Refusal> {
    if !target.bytes().all(is_target) {
        return Err(BAD_REQUEST);
    }
    if method == "CONNECT" {
        // Its target is an authority, and what follows it is not HTTP. A port that cannot be is 400: RFC 9110, 9.3.6.
        let port = target.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let is_valid = port.is_some_and(|port| port > 0) && is_host(target.as_bytes());
        return Err(if is_valid { Refusal(501) } else { BAD_REQUEST });
    }
    let origin = if target.starts_with('/') {
        target
    } else if target == "*" && method == "OPTIONS" {
        return Ok((target, None));
    } else {
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|s| target.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)))
            .ok_or(BAD_REQUEST)?;
        let rest = &target[scheme.len()..];
        let authority = rest.find(['/', '?']).unwrap_or(rest.len());
        is_host(&rest.as_bytes()[..authority]).then_some(()).ok_or(BAD_REQUEST)?;
        &rest[authority..]
    };
    let (path, query) = match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    };
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// Parses a Content-Length: only digits, no sign and no list (RFC 9110, 8.6).
fn content_length(value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD_REQUEST);
    }
    let digits = std::str::from_utf8(value).map_err(|_| BAD_REQUEST)?;
    digits.parse().map_err(|_| Refusal(413)) // more than a usize can hold is above any limit
}

/// Checks that a Transfer-Encoding is `chunked`, once, and no other coding (RFC 9112, 6.1).
fn only_chunked(value: &[u8]) -> Result<(), Refusal> {
    let mut codings = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    match (codings.next(), codings.next()) {
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(coding), _) if coding.is_empty() || coding.eq_ignore_ascii_case(b"chunked") => Err(BAD_REQUEST),
        _ => Err(Refusal(501)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The facts of a head that the connection depends on.
    #[derive(Debug, PartialEq)]
    struct Facts {
        path: String,
        query: Option<String>,
        len: usize,
        framing: Framing,
        keep_alive: bool,
        expects_continue: bool,
    }

    fn facts(bytes: &[u8], scanned: usize, limits: &Limits) -> Result<Option<Facts>, Refusal> {
        let mut fields = no_fields();
        let head = parse(bytes, scanned, limits, &mut fields)?;
        Ok(head.map(|head| Facts {
            path: head.request.path.to_owned(),
            query: head.request.query.map(str::to_owned),
            len: head.len,
            framing: head.framing,
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
        }))
    }

    /// The facts of a complete head, made of a request line and fields.
    fn complete(line: &str, fields: &str) -> Result<Facts, Refusal> {
        let head = format!("{line}\r\n{fields}\r\n");
        facts(head.as_bytes(), 0, &Limits::default()).map(|facts| facts.expect("it is complete"))
    }

    #[test]
    fn a_head_is_its_request_line_and_fields_and_nothing_behind_them() {
        let head = b"POST /a?b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        let expected = Facts {
            path: "/a".into(),
            query: Some("b?c".into()),
            len: head.len(),
            framing: Framing::Length(5),
            keep_alive: true,
            expects_continue: true,
        };
        let parsed = facts(&[&head[..], b"helloGET / HTTP/1.1\r\n"].concat(), 0, &Limits::default());
        assert_eq!(parsed, Ok(Some(expected)));
    }

    #[test]
    fn no_prefix_of_a_head_is_refused_or_complete_wherever_it_was_cut_before() {
        let head = b"GET /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        for end in 0..head.len() {
            for scanned in 0..=end {
                assert_eq!(facts(&head[..end], scanned, &Limits::default()), Ok(None), "{scanned} of {end}");
            }
            let parsed = facts(head, end, &Limits::default()).unwrap().expect("it is complete");
            assert_eq!(parsed.len, head.len(), "{end} bytes were scanned");
        }
    }

    #[test]
    fn a_line_that_cannot_become_a_request_line_is_refused_at_its_first_wrong_byte() {
        for line in [
            &b"\x16"[..],
            b"\0",
            b" ",
            b"\rG",
            b"G(",
            b"G\xc3",
            b"GET\t",
            b"GET\r",
            b"GET  ",
            b"GET /\r",
            b"GET /#",
            b"GET /\0",
            b"GET /\x7f",
            b"GET /\x80",
            b"GET / h",
            b"GET / HTTP/x",
            b"GET / HTTP/11",
            b"GET / HTTP/1,",
            b"GET / HTTP/1.x",
            b"GET / HTTP/1.1 ",
            b"GET / HTTP/1.10",
            b"GET / HTTP/1.1\r\r",
            b"SSH-2.0-OpenSSH_9.9\r",
        ] {
            let limits = Limits::default();
            let (wrong, before) = (line.len(), line.len() - 1);
            for scanned in 0..wrong {
                assert_eq!(facts(line, scanned, &limits), Err(BAD_REQUEST), "{} {scanned}", line.escape_ascii());
                let possible = facts(&line[..before], scanned, &limits);
                assert_eq!(possible, Ok(None), "{} {scanned}", line.escape_ascii());
            }
        }
        assert_eq!(facts(b"PRI * HTTP/2.0\r", 0, &Limits::default()), Ok(None), "it is answered with 505 at its end");
    }

    #[test]
    fn a_line_alone_is_refused_as_a_head_with_that_line() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "GET / HTTP/1.1\n",
            "GET / HTTP/2.0\r\n",
            "PRI * HTTP/2.0\r\n",
            "GET /#a HTTP/1.1\r\n",
            "GET / HTTP/1.\r\n",
            "GET /\r\n",
            "\n",
        ] {
            let head = facts(format!("{line}Host: a\r\n\r\n").as_bytes(), 0, &Limits::default());
            assert_eq!(
                refused_line(line.as_bytes(), &Limits::default()),
                head.err().map(|refusal| refusal.0),
                "{line:?}"
            );
        }
        let limits = Limits { request_line: 20, ..Limits::default() };
        assert_eq!(refused_line(b"GET /1234567 HTTP/1.1", &limits), Some(414));
        assert_eq!(refused_line(b"GET /1234567 HTTP/1.1\r\n", &limits), Some(414));
        assert_eq!(refused_line(b"GET /123456 HTTP/1.1\r\n", &limits), None);
    }

    #[test]
    fn the_version_and_the_connection_options_decide_about_keep_alive() {
        for (version, options, keep_alive) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: keep-alive, Close\r\n", false),
            ("1.1", "Connection: keep-alive\r\nConnection: x,close\r\n", false),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            let head = complete(&format!("GET / HTTP/{version}"), &format!("Host: a\r\n{options}")).unwrap();
            assert_eq!(head.keep_alive, keep_alive, "HTTP/{version} {options}");
        }
    }

    #[test]
    fn targets_of_every_form_have_their_path() {
        for (line, path, query) in [
            ("GET /a/b", "/a/b", None),
            ("GET /?", "/", Some("")),
            ("GET //a?/b", "//a", Some("/b")),
            ("GET http://a", "/", None),
            ("GET HTTPS://a:80/b?c", "/b", Some("c")),
            ("GET http://[::1]?c", "/", Some("c")),
            ("OPTIONS *", "*", None),
        ] {
            let head = complete(&format!("{line} HTTP/1.1"), "Host: a\r\n").unwrap();
            assert_eq!((head.path.as_str(), head.query.as_deref()), (path, query), "{line}");
        }
    }

    #[test]
    fn targets_that_are_no_path_are_refused() {
        for (line, status) in [
            ("GET *", 400),
            ("GET a", 400),
            ("GET /a#b", 400),
            ("GET ftp://a/", 400),
            ("GET http:///a", 400),
            ("GET http://a b", 400),
            ("GET http://u@a/", 400),
            ("GET /\u{e9}", 400),
            ("GET http://[zz]/", 400),
            ("GET http://a%zz/", 400),
            ("CONNECT a:80", 501),
            ("CONNECT [::1]:80", 501),
            ("CONNECT a", 400),
            ("CONNECT a:", 400),
            ("CONNECT a:0", 400),
            ("CONNECT a:65536", 400),
            ("CONNECT [zz]:80", 400),
            ("CONNECT /", 400),
        ] {
            assert_eq!(complete(&format!("{line} HTTP/1.1"), "Host: a\r\n"), Err(Refusal(status)), "{line}");
        }
    }

    #[test]
    fn a_request_line_above_its_limit_goes_before_a_head_above_its_own() {
        let limits = Limits { request_line: 20, head: 40, ..Limits::default() };
        assert_eq!(facts(b"GET /1234567 HTTP/1.", 0, &limits), Ok(None));
        assert_eq!(facts(b"GET /1234567 HTTP/1.1", 0, &limits), Err(Refusal(414)), "before its end");
        assert_eq!(facts(b"GET / HTTP/1.1\r\nHost: a\r\nA: bcdefghijklm", 0, &limits), Ok(None));
        assert_eq!(facts(b"GET / HTTP/1.1\r\nHost: a\r\nA: bcdefghijklmn", 0, &limits), Err(Refusal(431)));
    }
}
