use std::borrow::Cow;
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http1::{Answer, Body, Job, Reply, Request, reason};
use percent_encoding::percent_decode_str;
use scoreboard::Route;

use crate::{Shared, nods};

/// The longest `/sleep`, in milliseconds.
const MAX_SLEEP: u64 = 60_000;
/// The most iterations of `/work`; they take a few seconds.
const MAX_WORK: u64 = 1_000_000_000;

/// The resource that a request's path names.
enum Target<'a> {
    /// `*` names the server itself.
    Server,
    Root,
    File(&'a [u8]),
    Sleep(&'a [u8]),
    Work(&'a [u8]),
    Counter,
    Nod,
    Nods,
}

/// Answers any request. The time is asked for only where the reply depends on it.
pub fn answer(shared: &'static Shared, request: &Request<'_>, now: impl FnOnce() -> Instant) -> Answer {
    if !is_known(request.method) {
        return Answer::Reply(Reply::status(501));
    }
    let Some(path) = percent_decoded(request.path) else {
        return Answer::Reply(undecodable());
    };
    let Some(target) = Target::parse(&path) else {
        return Answer::Reply(Reply::status(404));
    };
    let mark = target.route() as u8;
    let reply = match (request.method, &target) {
        ("GET" | "HEAD", Target::Root) => hello(),
        ("GET" | "HEAD", Target::File(name)) => {
            shared.files.answer(name, request.method, &|name| request.fields(name).collect(), now())
        }
        ("GET" | "HEAD", Target::Sleep(ms)) => match sleep(ms) {
            Ok((time, reply)) => return Answer::Sleep(time, reply.marked(mark)),
            Err(reply) => reply,
        },
        ("GET" | "HEAD", Target::Work(iterations)) => work(iterations),
        ("GET" | "HEAD", Target::Counter) => counter(shared.board.counter().load(Ordering::Relaxed)),
        ("POST", Target::Counter) => counter(increment(shared)),
        ("POST", Target::Nod) => {
            let account = nods::account(request.fields("cookie")).map(str::to_owned);
            let content_type = request.field("content-type").map(<[u8]>::to_owned);
            let form = request.body.to_owned();
            return Answer::Block(Job::new(move || {
                nods::nod(shared, account.as_deref(), content_type.as_deref(), &form).marked(mark)
            }));
        }
        ("GET" | "HEAD", Target::Nods) => return Answer::Block(Job::new(move || nods::nods(shared).marked(mark))),
        (method, target) => without_handler(method, target),
    };
    Answer::Reply(reply.marked(mark))
}

/// Answers a request for which a framework's router has no handler.
///
/// A router may be stricter about paths than [`Target::parse`]. If it has no handler for a method that the path allows,
/// it did not know the path: 404.
pub fn unhandled(method: &str, path: &str) -> Reply {
    match percent_decoded(path).as_deref().map(Target::parse) {
        None => undecodable(),
        Some(None) => Reply::status(404),
        Some(Some(target)) if method != "OPTIONS" && target.allows().split(", ").any(|allowed| allowed == method) => {
            Reply::status(404)
        }
        Some(Some(target)) => without_handler(method, &target),
    }
}

/// The route under which a request is counted; a reply if its method is unknown or its path cannot be decoded.
pub fn route(method: &str, path: &str) -> Result<Route, Reply> {
    if !is_known(method) {
        return Err(Reply::status(501));
    }
    let path = percent_decoded(path).ok_or_else(undecodable)?;
    Ok(Target::parse(&path).map_or(Route::Other, |target| target.route()))
}

/// Answers a method that the target has no handler for.
fn without_handler(method: &str, target: &Target<'_>) -> Reply {
    match method {
        "OPTIONS" => no_content().with("Allow", target.allows()),
        _ => Reply::status(405).with("Allow", target.allows()),
    }
}

pub fn hello() -> Reply {
    Reply::text("Hello World\n")
}

/// The time to sleep and the reply after it; or the reply that explains the error.
pub fn sleep(ms: &[u8]) -> Result<(Duration, Reply), Reply> {
    let ms =
        number(ms, MAX_SLEEP).ok_or_else(|| bad_request("expected /sleep/<ms>: whole milliseconds from 0 to 60000"))?;
    Ok((Duration::from_millis(ms), Reply::text(format!("slept {ms} ms\n"))))
}

pub fn work(iterations: &[u8]) -> Reply {
    match number(iterations, MAX_WORK) {
        Some(iterations) => Reply::text(format!("{:016x}\n", xorshift(iterations))),
        None => bad_request("expected /work/<iterations>: a whole number from 0 to 1000000000"),
    }
}

impl<'a> Target<'a> {
    fn parse(path: &'a [u8]) -> Option<Target<'a>> {
        Some(match path {
            b"/" => Target::Root,
            b"/counter" => Target::Counter,
            b"/nod" => Target::Nod,
            b"/nods" => Target::Nods,
            b"*" => Target::Server,
            _ => {
                if let Some(name) = path.strip_prefix(b"/files/") {
                    Target::File(name)
                } else if let Some(ms) = path.strip_prefix(b"/sleep/") {
                    Target::Sleep(ms)
                } else {
                    Target::Work(path.strip_prefix(b"/work/")?)
                }
            }
        })
    }

    fn route(&self) -> Route {
        match self {
            Target::Server => Route::Other,
            Target::Root => Route::Root,
            Target::File(_) => Route::Files,
            Target::Sleep(_) => Route::Sleep,
            Target::Work(_) => Route::Work,
            Target::Counter => Route::Counter,
            Target::Nod => Route::Nod,
            Target::Nods => Route::Nods,
        }
    }

    /// The Allow field's value (RFC 9110, 10.2.1).
    fn allows(&self) -> &'static str {
        match self {
            Target::Server | Target::Counter => "GET, HEAD, POST, OPTIONS",
            Target::Nod => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

/// Is it a method of RFC 9110, 9.3 or RFC 5789? Any other is answered with 501, not with 405 (RFC 9110, 9.1).
fn is_known(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH")
}

/// The path, percent-decoded once; `None` if two hexadecimal digits do not follow a `%`, or if they encode a NUL.
///
/// An encoded slash is refused, too: decoded, it would separate segments, which it does not (RFC 3986, 2.2).
fn percent_decoded(path: &str) -> Option<Cow<'_, [u8]>> {
    if !path.contains('%') {
        return Some(path.as_bytes().into()); // most paths
    }
    for (at, _) in path.match_indices('%') {
        let digits = path.as_bytes().get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) || digits == b"00" || digits.eq_ignore_ascii_case(b"2f") {
            return None;
        }
    }
    Some(percent_decode_str(path).into())
}

/// Parses a decimal number up to `max`, of digits and nothing else.
fn number(digits: &[u8], max: u64) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= max).then_some(number)
}

/// Marsaglia's xorshift64. Each step needs the result of the one before it, so the loop keeps a core busy, and the
/// compiler cannot leave it out.
fn xorshift(iterations: u64) -> u64 {
    let mut x = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..iterations {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

/// Adds one to the shared counter. Returns its new value.
pub fn increment(shared: &Shared) -> u64 {
    let counter = shared.board.counter();
    if !shared.settings.racy {
        return counter.fetch_add(1, Ordering::Relaxed) + 1;
    }
    let value = counter.load(Ordering::Relaxed) + 1;
    std::thread::yield_now(); // if another worker reads the same value here, one of the two updates is lost
    counter.store(value, Ordering::Relaxed);
    value
}

pub fn counter(value: u64) -> Reply {
    Reply::text(format!("{value}\n"))
}

/// 204 has neither content nor a Content-Length (RFC 9110, 8.6).
fn no_content() -> Reply {
    Reply { status: 204, mark: 0, content_type: "", fields: Vec::new(), body: Body::None }
}

pub fn bad_request(why: &str) -> Reply {
    error(400, why)
}

/// A status with its name and the reason as text.
pub fn error(status: u16, why: &str) -> Reply {
    Reply { status, ..Reply::text(format!("{status} {}: {why}\n", reason(status))) }
}

fn undecodable() -> Reply {
    bad_request("the path's percent-encoding is not valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_iterations_have_equal_results() {
        assert_eq!(xorshift(0), 0x9e37_79b9_7f4a_7c15);
        assert_eq!(xorshift(1000), xorshift(1000));
        assert_ne!(xorshift(1000), xorshift(1001));
    }

    #[test]
    fn paths_are_percent_decoded_once() {
        assert_eq!(percent_decoded("/a%20b").as_deref(), Some(&b"/a b"[..]));
        assert_eq!(percent_decoded("/%2541").as_deref(), Some(&b"/%41"[..]));
        assert_eq!(percent_decoded("/%C3%a9").as_deref(), Some("/é".as_bytes()));
        for bad in ["%", "/%", "/%4", "/%4g", "/%%41", "/%00", "/a%2fb", "/a%2Fb", "/%+1"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits_up_to_the_maximum() {
        assert_eq!(number(b"0", 9), Some(0));
        assert_eq!(number(b"9", 9), Some(9));
        assert_eq!(number(b"007", 9), Some(7));
        for bad in [&b""[..], b"10", b"-1", b"+1", b"1 ", b"1e3", b"0x1", b"99999999999999999999999999"] {
            assert_eq!(number(bad, 9), None, "{}", bad.escape_ascii());
        }
    }
}
