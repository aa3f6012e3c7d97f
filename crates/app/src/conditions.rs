//! Conditional requests (RFC 9110, 13), decided from field values alone.

use std::time::{Duration, SystemTime};

/// The validators of a representation.
#[derive(Clone, Debug)]
pub struct Validators {
    /// A strong entity tag, quotes included.
    pub etag: String,
    /// The last modification, in whole seconds.
    pub modified: SystemTime,
}

/// The conditional fields of a request. A field that is a list may have several lines.
#[derive(Clone, Debug, Default)]
pub struct Conditions<'a> {
    /// If-Match, line by line.
    pub if_match: Vec<&'a [u8]>,
    /// If-None-Match, line by line.
    pub if_none_match: Vec<&'a [u8]>,
    /// If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<&'a [u8]>,
    /// If-Range.
    pub if_range: Option<&'a [u8]>,
}

/// The outcome of the conditions of a GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server performs the request.
    Proceed,
    /// The reply is 304.
    NotModified,
    /// The reply is 412.
    Failed,
}

impl Validators {
    /// The validators of a file, from its size in bytes and its last modification, in nanoseconds after the epoch.
    ///
    /// The inode is no part of them, so that copies of a file, for instance in several containers, have the same.
    pub fn of(size: u64, modified_ns: i128) -> Validators {
        let etag = format!("\"{size:x}-{modified_ns:x}\"");
        // Beyond the year 9999 there is no HTTP date, and formatting one panics.
        let seconds = modified_ns.div_euclid(1_000_000_000).clamp(0, 253_402_300_799) as u64;
        Validators { etag, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
    }

    /// Last-Modified's value.
    pub fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }

    /// Does the list name this representation on any of its lines? A weak tag counts only if `weak_counts`.
    fn is_listed(&self, lines: &[&[u8]], weak_counts: bool) -> bool {
        lines.iter().any(|&line| {
            line == b"*" || tags(line).any(|(weak, tag)| (weak_counts || !weak) && tag == self.etag.as_bytes())
        })
    }
}

impl Conditions<'_> {
    /// Evaluates the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2.
    pub fn evaluate(&self, validators: &Validators) -> Verdict {
        if !self.if_match.is_empty() {
            if !validators.is_listed(&self.if_match, false) {
                return Verdict::Failed;
            }
        } else if let Some(date) = date(self.if_unmodified_since)
            && validators.modified > date
        {
            return Verdict::Failed;
        }
        if !self.if_none_match.is_empty() {
            if validators.is_listed(&self.if_none_match, true) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = date(self.if_modified_since)
            && validators.modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Does If-Range, if present, let the server honour a Range field (RFC 9110, 13.1.5)?
    pub fn range_counts(&self, validators: &Validators) -> bool {
        match self.if_range {
            None => true,
            Some(value) if value.ends_with(b"\"") => value == validators.etag.as_bytes(), // weak tags never match
            Some(value) => date(Some(value)) == Some(validators.modified),
        }
    }
}

/// Parses an HTTP-date in any of its three forms; `None` if it is absent or not valid, for both mean the same.
fn date(value: Option<&[u8]>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value?).ok()?).ok()
}

/// The entity tags of a list, each with its weakness, up to the first error in the list.
fn tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        // A comma may stand inside a tag, so the list cannot be split at commas: RFC 9110, 8.8.3.
        let start = list.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
        let (weak, rest) = match list[start..].strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, &list[start..]),
        };
        let end = rest.strip_prefix(b"\"")?.iter().position(|&b| b == b'"')? + 2;
        let tag;
        (tag, list) = rest.split_at(end);
        Some((weak, tag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &[u8] = b"Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators { etag: "\"a,b\"".into(), modified: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777) }
    }

    fn no_conditions() -> Conditions<'static> {
        Conditions::default()
    }

    #[test]
    fn entity_tags_are_found_in_lists() {
        for (list, found) in [
            (&b"\"a,b\""[..], true),
            (b"\"x\", \"a,b\"", true),
            (b", ,\t\"x\",,\"a,b\" ,", true),
            (b"*", true),
            (b"W/\"a,b\"", false),
            (b"\"a\"", false),
            (b"a,b", false),
            (b"\"a,b", false),
            (b"\"x\" junk \"a,b\"", false),
            (b"", false),
        ] {
            assert_eq!(validators().is_listed(&[list], false), found, "{}", list.escape_ascii());
        }
        assert!(validators().is_listed(&[b"\"x\"", b"W/\"a,b\""], true), "weak comparison, second line");
    }

    #[test]
    fn dates_decide_if_there_are_no_tags() {
        for (date, since, unmodified) in [
            (BEFORE, Verdict::Proceed, Verdict::Failed),
            (EXACT, Verdict::NotModified, Verdict::Proceed),
            (AFTER, Verdict::NotModified, Verdict::Proceed),
            (b"Sunday, 06-Nov-94 08:49:38 GMT", Verdict::NotModified, Verdict::Proceed),
            (b"Sun Nov  6 08:49:38 1994", Verdict::NotModified, Verdict::Proceed),
            (b"yesterday", Verdict::Proceed, Verdict::Proceed),
            (b"\xff", Verdict::Proceed, Verdict::Proceed),
        ] {
            let modified_since = Conditions { if_modified_since: Some(date), ..no_conditions() };
            assert_eq!(modified_since.evaluate(&validators()), since, "{}", date.escape_ascii());
            let unmodified_since = Conditions { if_unmodified_since: Some(date), ..no_conditions() };
            assert_eq!(unmodified_since.evaluate(&validators()), unmodified, "{}", date.escape_ascii());
        }
    }

    #[test]
    fn tags_take_precedence_over_dates() {
        let changed: Vec<&[u8]> = vec![b"\"old\""];
        let same: Vec<&[u8]> = vec![b"\"a,b\""];
        let mut conditions = Conditions { if_none_match: changed, if_modified_since: Some(AFTER), ..no_conditions() };
        assert_eq!(conditions.evaluate(&validators()), Verdict::Proceed);
        conditions.if_match = same;
        conditions.if_unmodified_since = Some(BEFORE);
        assert_eq!(conditions.evaluate(&validators()), Verdict::Proceed);
        conditions.if_match = vec![b"\"old\""];
        conditions.if_none_match = vec![b"*"];
        assert_eq!(conditions.evaluate(&validators()), Verdict::Failed);
    }

    #[test]
    fn if_range_matches_only_the_exact_validator() {
        for (value, counts) in [
            (&b"\"a,b\""[..], true),
            (b"W/\"a,b\"", false),
            (b"\"x\"", false),
            (EXACT, true),
            (BEFORE, false),
            (AFTER, false),
            (b"never", false),
        ] {
            let conditions = Conditions { if_range: Some(value), ..no_conditions() };
            assert_eq!(conditions.range_counts(&validators()), counts, "{}", value.escape_ascii());
        }
        assert!(no_conditions().range_counts(&validators()));
    }

    #[test]
    fn every_modification_time_has_a_date() {
        assert_eq!(Validators::of(1, -5).last_modified(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Validators::of(1, i128::MAX).last_modified(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_ne!(Validators::of(1, 1_000_000_001).etag, Validators::of(1, 1_000_000_002).etag);
    }
}
