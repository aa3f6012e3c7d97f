//! Where the `framework` service, which leaves HTTP to hyper, differs from the others: a list of transcripts by name.
//!
//! Three differences are in every reply, and [translated](translated) away: hyper answers HTTP/1.0 with HTTP/1.0, its
//! own refusals have no Server field and no content, and its fields come in another order.

use std::collections::HashMap;

use crate::response::Response;
use crate::transcript::{Content, End, Expected, Transcript};

/// What hyper does instead.
enum Instead {
    /// Answers with this status, and closes.
    Closes(u16),
    /// Accepts the request: these are the statuses of the replies.
    Takes(&'static [u16]),
}
use Instead::{Closes, Takes};

const CODINGS: &str = "hyper refuses with 400 any transfer coding that does not end in chunked";
const ROUTES: &str = "axum matches a path as it was sent, and a parameter may not be empty";
const LENGTH: &str = "hyper lets chunked override a length and then closes, as RFC 9112, 6.3 allows";

/// The transcripts that hyper does not pass, the reason, and what hyper does instead.
const DIFFERENCES: &[(&str, &str, Instead)] = &[
    ("an unknown major version is answered with 505", "hyper has no 505", Closes(400)),
    ("the preface of HTTP/2 is refused", "hyper has no 505", Closes(400)),
    ("a request line that says HTTP/0.9 is answered with 505", "hyper has no 505", Closes(400)),
    ("percent-encoding of a letter changes nothing", ROUTES, Takes(&[404])),
    ("a sleep without a time is refused", ROUTES, Takes(&[404])),
    ("a length above 64 bits is too large", "to hyper it is not a number", Closes(400)),
    ("the same length on two lines is refused", "hyper merges equal lengths, as RFC 9112, 6.3 allows", Takes(&[200])),
    ("Content-Length before chunked is refused", LENGTH, Closes(200)),
    ("chunked before Content-Length is refused", LENGTH, Closes(200)),
    ("the transfer coding gzip is not implemented", CODINGS, Closes(400)),
    ("the obsolete transfer coding identity is not implemented", CODINGS, Closes(400)),
    ("a coding whose name only ends in chunked is not implemented", CODINGS, Closes(400)),
    ("chunked with a parameter is not implemented", CODINGS, Closes(400)),
    ("chunked in quotes is not implemented", CODINGS, Closes(400)),
    ("a misspelt coding is not implemented", CODINGS, Closes(400)),
];

/// All transcripts, changed so that hyper passes them.
pub fn table() -> Vec<Transcript> {
    let mut differences: HashMap<_, _> = DIFFERENCES.iter().map(|(name, _, instead)| (*name, instead)).collect();
    let mut table = crate::table();
    for transcript in &mut table {
        transcript.for_hyper = true;
        if let Some(instead) = differences.remove(transcript.name) {
            instead.apply(transcript);
        }
    }
    assert!(differences.is_empty(), "no such transcripts: {:?}", differences.keys());
    table
}

/// Is it a transcript that hyper does not pass unchanged?
pub fn differs(transcript: &Transcript) -> bool {
    transcript.for_hyper && DIFFERENCES.iter().any(|(name, ..)| *name == transcript.name)
}

impl Instead {
    fn apply(&self, transcript: &mut Transcript) {
        match self {
            Closes(status) => last(transcript).status = *status,
            Takes(statuses) => {
                let any = |&status| Expected {
                    status,
                    with: Vec::new(),
                    without: Vec::new(),
                    content: Content::Any,
                    to_head: false,
                };
                transcript.replies = statuses.iter().map(any).collect();
                transcript.end = End::Open;
            }
        }
    }
}

fn last(transcript: &mut Transcript) -> &mut Expected {
    transcript.replies.last_mut().expect("a refusal is a reply")
}

/// What hyper has sent, made comparable: HTTP/1.1 where hyper says HTTP/1.0, and a Server field in hyper's own
/// refusals.
pub fn translated(transcript: &Transcript, bytes: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    let mut rest = bytes;
    let mut nth = 0;
    while let Some(end) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
        let (head, behind) = rest.split_at(end);
        let head = String::from_utf8_lossy(head);
        let head = head.replacen("HTTP/1.0 ", "HTTP/1.1 ", 1);
        said.extend_from_slice(head.as_bytes());
        let lower = head.to_ascii_lowercase();
        if !lower.contains("\r\nserver: ") && !head.starts_with("HTTP/1.1 100 ") {
            said.extend_from_slice(b"\r\nServer: ");
            said.extend_from_slice(HYPER);
        }
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let to_head = transcript.replies.get(nth).is_some_and(|reply| reply.to_head);
        let content = 4 + if to_head { 0 } else { length };
        let (content, next) = behind.split_at(content.min(behind.len()));
        said.extend_from_slice(content);
        rest = next;
        nth += 1;
    }
    said.extend_from_slice(rest);
    said
}

/// The Server field that [`translated`] gives to hyper's own refusals, which have none.
const HYPER: &[u8] = b"hyper";

/// Does hyper say what the bare connection says? Fields may come in any order and case. Of hyper's own refusals only
/// the status is compared.
pub fn says_the_same(transcript: &Transcript, bare: &[u8], hypers: &[u8]) -> bool {
    let hypers = translated(transcript, hypers);
    let (mut bare, mut hypers) = (bare, &hypers[..]);
    for nth in 0.. {
        let to_head = transcript.replies.get(nth).is_some_and(|reply| reply.to_head);
        let (ours, theirs) = match (Response::parse(bare, to_head), Response::parse(hypers, to_head)) {
            (Ok(Some((ours, n))), Ok(Some((theirs, m)))) => {
                (bare, hypers) = (&bare[n..], &hypers[m..]);
                (ours, theirs)
            }
            _ => break,
        };
        let is_own = theirs.field("Server") == Some(HYPER);
        let same = match is_own {
            true => ours.status == theirs.status && theirs.closes(),
            false => ours.status == theirs.status && ours.body == theirs.body && fields(&ours) == fields(&theirs),
        };
        if !same {
            return false;
        }
    }
    bare.is_empty() && hypers.is_empty()
}

fn fields(response: &Response) -> Vec<(String, &[u8])> {
    let mut fields: Vec<_> =
        response.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), &value[..])).collect();
    fields.retain(|(name, _)| name != "date");
    fields.sort();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So a server that passes one of the two transcripts fails the other, and a difference that no longer exists is
    /// noticed.
    #[test]
    fn every_difference_changes_the_statuses() {
        let mut differences = 0;
        for (ours, hypers) in crate::table().iter().zip(table()) {
            let statuses = |t: &Transcript| t.replies.iter().map(|reply| reply.status).collect::<Vec<_>>();
            assert_eq!(statuses(ours) != statuses(&hypers), differs(&hypers), "{}", ours.name);
            differences += usize::from(differs(&hypers));
        }
        assert_eq!(differences, DIFFERENCES.len());
    }

    #[test]
    fn replies_of_hyper_are_translated() {
        let transcript = &crate::table()[0];
        let bytes = b"HTTP/1.0 200 OK\r\nserver: s\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 400 Bad\r\n\r\nHTTP/1.1";
        let said = b"HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 400 Bad\r\nServer: hyper\r\n\r\nHTTP/1.1";
        assert_eq!(translated(transcript, bytes).escape_ascii().to_string(), said.escape_ascii().to_string());
    }
}
