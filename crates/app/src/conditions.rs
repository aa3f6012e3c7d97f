//! Conditional requests (RFC 9110, 13), decided from field values alone.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The validators of a representation.
#[derive(Clone, Debug)]
pub struct Validators {
    /// A strong entity tag, quotes included.
    pub etag: String,
    /// The last modification, in whole seconds. It may be later than now: a clock was set back, or the file was copied.
    pub modified: SystemTime,
    /// The present, in whole seconds: the reply's Date.
    pub now: SystemTime,
}

/// The value of a field, from its lines; `None` if it has none.
pub type Value<'a> = Option<Cow<'a, [u8]>>;

/// The value of a field that may have several lines (RFC 9110, 5.2 and 5.3): they are one list.
///
/// So a field that is no list, such as a date or Range, has no valid value where it comes twice, and is ignored.
pub fn value<'a>(lines: &[&'a [u8]]) -> Value<'a> {
    match lines {
        [] => None,
        [line] => Some(Cow::Borrowed(line)),
        lines => Some(Cow::Owned(lines.join(&b", "[..]))),
    }
}

/// The conditional fields of a request.
#[derive(Clone, Debug, Default)]
pub struct Conditions<'a> {
    /// If-Match.
    pub if_match: Value<'a>,
    /// If-None-Match.
    pub if_none_match: Value<'a>,
    /// If-Modified-Since.
    pub if_modified_since: Value<'a>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Value<'a>,
    /// If-Range.
    pub if_range: Value<'a>,
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
    /// The validators of a file at `now`, from its size in bytes and its last modification, in nanoseconds after the epoch.
    ///
    /// The inode is no part of them, so that copies of a file, for instance in several containers, have the same.
    pub fn of(size: u64, modified_ns: i128, now: SystemTime) -> Validators {
        let etag = format!("\"{size:x}-{modified_ns:x}\"");
        // Beyond the year 9999 there is no HTTP date, and formatting one panics.
        let seconds = modified_ns.div_euclid(1_000_000_000).clamp(0, 253_402_300_799) as u64;
        Validators { etag, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), now }
    }

    /// Last-Modified's value. It is never later than Date: of a time in the future, Date takes the place (RFC 9110, 8.8.2.1).
    ///
    /// Conditions compare the true time. A Date that took its place is earlier, so it never says that a file is unchanged.
    pub fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.modified.min(self.now))
    }

    /// Does the list name this representation? A weak tag counts only if `weak_counts`.
    fn is_listed(&self, list: &[u8], weak_counts: bool) -> bool {
        list == b"*" || tags(list).any(|(weak, tag)| (weak_counts || !weak) && tag == self.etag.as_bytes())
    }
}

impl Conditions<'_> {
    /// Evaluates the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2.
    pub fn evaluate(&self, validators: &Validators) -> Verdict {
        if let Some(list) = &self.if_match {
            if !validators.is_listed(list, false) {
                return Verdict::Failed;
            }
        } else if let Some(date) = date(&self.if_unmodified_since)
            && validators.modified > date
        {
            return Verdict::Failed;
        }
        if let Some(list) = &self.if_none_match {
            if validators.is_listed(list, true) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = date(&self.if_modified_since)
            && validators.modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Does If-Range, if present, let the server honour a Range field (RFC 9110, 13.1.5)?
    pub fn range_counts(&self, validators: &Validators) -> bool {
        match &self.if_range {
            None => true,
            Some(value) if value.ends_with(b"\"") => **value == *validators.etag.as_bytes(), // weak tags never match
            // Until its second is over, the file may change once more without a change of its date, so a date is a weak
            // validator (RFC 9110, 8.8.2.2).
            value => validators.modified < validators.now && date(value) == Some(validators.modified),
        }
    }
}

/// Parses an HTTP-date in any of its three forms; `None` if it is absent or not valid, for both mean the same.
fn date(value: &Value<'_>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value.as_deref()?).ok()?).ok()
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
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        Validators { etag: "\"a,b\"".into(), modified, now: modified + Duration::from_secs(60) }
    }

    fn one(line: &[u8]) -> Value<'_> {
        Some(line.into())
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
            assert_eq!(validators().is_listed(list, false), found, "{}", list.escape_ascii());
        }
        let lines = value(&[b"\"x\"", b"W/\"a,b\""]).unwrap();
        assert!(validators().is_listed(&lines, true), "weak comparison, second line");
        let lines = value(&[b"\"x\"", b"*"]).unwrap();
        assert!(!validators().is_listed(&lines, true), "an asterisk is no member of a list");
    }

    #[test]
    fn a_date_on_two_lines_is_none() {
        assert_eq!(value(&[]), None);
        for lines in [&[EXACT, EXACT][..], &[AFTER, b"yesterday"], &[b"", EXACT], &[b"Sun, 06 Nov 1994 08:49:37 GMT, "]]
        {
            assert_eq!(date(&value(lines)), None, "{:?}", value(lines));
        }
        let conditions = Conditions { if_range: value(&[EXACT, EXACT]), ..no_conditions() };
        assert!(!conditions.range_counts(&validators()), "the whole file is always right");
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
            let modified_since = Conditions { if_modified_since: one(date), ..no_conditions() };
            assert_eq!(modified_since.evaluate(&validators()), since, "{}", date.escape_ascii());
            let unmodified_since = Conditions { if_unmodified_since: one(date), ..no_conditions() };
            assert_eq!(unmodified_since.evaluate(&validators()), unmodified, "{}", date.escape_ascii());
        }
    }

    #[test]
    fn tags_take_precedence_over_dates() {
        let mut conditions =
            Conditions { if_none_match: one(b"\"old\""), if_modified_since: one(AFTER), ..no_conditions() };
        assert_eq!(conditions.evaluate(&validators()), Verdict::Proceed);
        conditions.if_match = one(b"\"a,b\"");
        conditions.if_unmodified_since = one(BEFORE);
        assert_eq!(conditions.evaluate(&validators()), Verdict::Proceed);
        conditions.if_match = one(b"\"old\"");
        conditions.if_none_match = one(b"*");
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
            let conditions = Conditions { if_range: one(value), ..no_conditions() };
            assert_eq!(conditions.range_counts(&validators()), counts, "{}", value.escape_ascii());
        }
        assert!(no_conditions().range_counts(&validators()));
    }

    #[test]
    fn a_file_of_the_future_was_modified_now_and_has_always_changed_since() {
        let now = validators().now;
        let future = Validators { modified: now + Duration::from_secs(3600), ..validators() };
        let (said, late) = (future.last_modified(), httpdate::fmt_http_date(future.modified + Duration::from_secs(1)));
        assert_eq!(said, httpdate::fmt_http_date(now));
        let since = Conditions { if_modified_since: one(said.as_bytes()), ..no_conditions() };
        assert_eq!(since.evaluate(&future), Verdict::Proceed);
        let unmodified = Conditions { if_unmodified_since: one(said.as_bytes()), ..no_conditions() };
        assert_eq!(unmodified.evaluate(&future), Verdict::Failed);
        let range = Conditions { if_range: one(said.as_bytes()), ..no_conditions() };
        assert!(!range.range_counts(&future));
        let later = Conditions { if_modified_since: one(late.as_bytes()), ..no_conditions() };
        assert_eq!(later.evaluate(&future), Verdict::NotModified, "a date that is later than now is a date");
    }

    #[test]
    fn a_date_is_no_strong_validator_before_its_second_is_over() {
        let conditions = Conditions { if_range: one(EXACT), ..no_conditions() };
        let modified = validators().modified;
        assert!(!conditions.range_counts(&Validators { now: modified, ..validators() }));
        assert!(conditions.range_counts(&Validators { now: modified + Duration::from_secs(1), ..validators() }));
    }

    #[test]
    fn every_modification_time_has_a_date() {
        let of = |modified_ns| Validators::of(1, modified_ns, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert_eq!(of(-5).last_modified(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(of(i128::MAX).last_modified(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_ne!(of(1_000_000_001).etag, of(1_000_000_002).etag);
    }
}
