//! Compares what a server sent with what a transcript expects.

use std::borrow::Cow;
use std::path::Path;

use crate::hyper::translated;
use crate::response::Response;
use crate::transcript::{Content, End, Expected, Transcript};

/// A request that shows whether the connection is open: it is sent at the end of a transcript that leaves it open.
pub const PROBE: &[u8] = b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";

/// What a server sent until it closed the connection, with the reply to [`PROBE`] if that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Every byte.
    pub bytes: Vec<u8>,
}

/// How many complete responses `bytes` begins with, interim ones included.
pub fn count_replies(transcript: &Transcript, bytes: &[u8]) -> usize {
    let bytes = comparable(transcript, bytes);
    let mut rest = &bytes[..];
    let mut count = 0;
    while let Ok(Some((_, len))) = Response::parse(rest, transcript.replies.get(count).is_some_and(|e| e.to_head)) {
        rest = &rest[len..];
        count += 1;
    }
    count
}

/// Checks a record; the error says what is wrong with it. `files` is the fixture's directory.
pub fn check(transcript: &Transcript, record: &Record, files: &Path) -> Result<(), String> {
    let bytes = comparable(transcript, &record.bytes);
    let mut rest = &bytes[..];
    let mut last_closes = false;
    for (nth, expected) in expected_replies(transcript).iter().enumerate() {
        let nth = nth + 1;
        let mut response = next(&mut rest, expected.to_head).map_err(|e| format!("response {nth}: {e}"))?;
        if transcript.continue_is_optional && response.status == 100 {
            response = next(&mut rest, expected.to_head).map_err(|e| format!("response {nth}: {e}"))?;
        }
        if last_closes {
            return Err(format!("response {nth} comes after one with Connection: close"));
        }
        compare(expected, &response, files).map_err(|e| format!("response {nth}: {e}"))?;
        last_closes = response.closes();
    }
    if !rest.is_empty() {
        return Err(format!("more bytes than expected: {}", excerpt(rest)));
    }
    Ok(())
}

/// The record with every Date overwritten, so that the records of two servers can be compared byte for byte.
pub fn without_dates(record: &Record) -> Vec<u8> {
    const FIELD: &[u8] = b"\r\nDate: ";
    let mut bytes = record.bytes.clone();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(FIELD.len()).position(|w| w == FIELD) {
        at += found + FIELD.len();
        let end = (at + 29).min(bytes.len());
        bytes[at..end].fill(b'-');
    }
    bytes
}

/// The bytes as the other servers would send them, if hyper sent them.
fn comparable<'a>(transcript: &Transcript, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if transcript.for_hyper { translated(transcript, bytes).into() } else { bytes.into() }
}

/// The replies that the transcript expects, and the reply to the probe if it leaves the connection open.
fn expected_replies(transcript: &Transcript) -> Vec<Expected> {
    let mut replies = transcript.replies.clone();
    if transcript.end == End::Open {
        replies.push(Expected {
            status: 200,
            with: vec![("Connection", "close".into())],
            without: Vec::new(),
            content: Content::Exactly(b"Hello World\n".into()),
            to_head: false,
        });
    }
    replies
}

fn next(rest: &mut &[u8], to_head: bool) -> Result<Response, String> {
    match Response::parse(rest, to_head)? {
        Some((response, len)) => {
            *rest = &rest[len..];
            Ok(response)
        }
        None if rest.is_empty() => Err("the connection was closed instead".into()),
        None => Err(format!("the connection was closed in the middle of the response: {}", excerpt(rest))),
    }
}

fn compare(expected: &Expected, response: &Response, files: &Path) -> Result<(), String> {
    if response.status != expected.status {
        let body = excerpt(&response.body);
        return Err(format!("status {} instead of {}: {body}", response.status, expected.status));
    }
    for (name, value) in &expected.with {
        match response.field(name) {
            Some(there) if there == value.as_bytes() => {}
            Some(there) => return Err(format!("{name}: {} instead of {value}", there.escape_ascii())),
            None => return Err(format!("the field {name} is missing, which should be {value}")),
        }
    }
    let date = |name| Some(httpdate::parse_http_date(std::str::from_utf8(response.field(name)?).ok()?));
    if let (Some(modified), Some(now)) = (date("Last-Modified"), date("Date"))
        && !matches!((&modified, &now), (Ok(modified), Ok(now)) if modified <= now)
    {
        return Err(format!("Last-Modified is {modified:?}, and Date {now:?}: RFC 9110, 8.8.2.1"));
    }
    if let Some(name) = expected.without.iter().find(|name| response.field(name).is_some()) {
        return Err(format!("it has the field {name}, which it should not have"));
    }
    if expected.to_head {
        return Ok(());
    }
    let right = match &expected.content {
        Content::Any => true,
        Content::Exactly(bytes) => response.body == *bytes,
        Content::Number => {
            let digits = response.body.strip_suffix(b"\n").unwrap_or_default();
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        Content::File { name, offset, len } => {
            let file = std::fs::read(files.join(name)).map_err(|e| format!("{name}: {e}"))?;
            file[*offset..len.map_or(file.len(), |len| offset + len)] == response.body
        }
    };
    if right { Ok(()) } else { Err(format!("its content is {}", excerpt(&response.body))) }
}

fn excerpt(bytes: &[u8]) -> String {
    format!("{} bytes, \"{}\"", bytes.len(), bytes[..bytes.len().min(300)].escape_ascii())
}
