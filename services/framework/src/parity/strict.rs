//! Requests that hyper lets through, and that the other models refuse.

use app::Settings;
use axum::http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderValue, Method, Request, Uri, Version};

/// Refuses a head that hyper takes and the other models do not.
///
/// # Errors
/// The status of the refusal, which ends the connection.
pub fn check<B>(request: &Request<B>, settings: &Settings) -> Result<(), u16> {
    check_target(request.method(), request.uri())?;
    let (mut hosts, mut size) = (0, 0);
    for (name, value) in request.headers() {
        size += name.as_str().len() + value.len() + ": \r\n".len();
        if *name == HOST {
            hosts += 1;
            app::is_host(value.as_bytes()).then_some(()).ok_or(400u16)?;
        } else if *name == EXPECT && !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(417); // RFC 9110, 15.5.18
        }
    }
    // RFC 9112, 3.2: HTTP/1.0 may have none.
    if hosts != 1 && !(hosts == 0 && request.version() == Version::HTTP_10) {
        return Err(400);
    }
    if request.headers().contains_key(TRANSFER_ENCODING) {
        check_codings(request.headers().get_all(TRANSFER_ENCODING).iter())?;
    }
    let line = "GET / HTTP/1.1".len() - 1 + request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if line > settings.limits.request_line {
        return Err(414);
    }
    if line + size + "\r\n\r\n".len() > settings.limits.head { Err(431) } else { Ok(()) }
}

/// RFC 9112, 3.2: a path, or `http://host/path`, or `*` where OPTIONS asks for the server.
fn check_target(method: &Method, uri: &Uri) -> Result<(), u16> {
    let is_path = match (uri.scheme(), uri.authority()) {
        (_, host) if method == Method::CONNECT => {
            let has_port = host.and_then(Authority::port_u16).is_some_and(|port| port > 0);
            return Err(if has_port && host.is_some_and(|host| app::is_host(host.as_str().as_bytes())) {
                501
            } else {
                400
            });
        }
        (None, None) => uri.path().starts_with('/') || (uri.path() == "*" && method == Method::OPTIONS),
        (Some(scheme), Some(host)) => {
            (*scheme == Scheme::HTTP || *scheme == Scheme::HTTPS) && app::is_host(host.as_str().as_bytes())
        }
        _ => false,
    };
    let is_ascii = uri.path_and_query().is_none_or(|path| path.as_str().is_ascii());
    if is_path && is_ascii { Ok(()) } else { Err(400) }
}

/// Only `chunked`, once; any other coding is not implemented: RFC 9112, 6.1.
fn check_codings<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> Result<(), u16> {
    let (mut chunked, mut others) = (0, 0);
    for coding in lines.flat_map(|line| line.as_bytes().split(|&b| b == b',')) {
        match coding.trim_ascii() {
            b"" => {}
            coding if coding.eq_ignore_ascii_case(b"chunked") => chunked += 1,
            _ => others += 1,
        }
    }
    match (chunked, others) {
        (1, 0) => Ok(()),
        (_, 0) => Err(400),
        _ => Err(501),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_chunked_alone() {
        for (lines, outcome) in [
            (&["chunked"][..], Ok(())),
            (&["cHuNkEd"], Ok(())),
            (&["chunked, chunked"], Err(400)),
            (&["chunked", "chunked"], Err(400)),
            (&["gzip, chunked"], Err(501)),
            (&["identity", "chunked"], Err(501)),
            (&[""], Err(400)),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
            assert_eq!(check_codings(lines.iter()), outcome, "{lines:?}");
        }
    }
}
