//! Byte ranges (RFC 9110, 14). One range is served; a list of ranges is ignored, as section 14.2 permits.

/// The part of a representation that a Range field requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// All of it: there is no Range field, or it is to be ignored.
    Whole,
    /// `len` bytes from `offset` on; never empty.
    Part {
        /// Where it starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
    /// No byte that the representation has: the reply is 416.
    Unsatisfiable,
}

impl Span {
    /// Parses a Range field's value for a representation of `size` bytes.
    pub fn parse(value: &[u8], size: u64) -> Span {
        let spec = std::str::from_utf8(value).ok().and_then(|value| value.split_once('='));
        let Some((unit, range)) = spec else { return Span::Whole };
        if !unit.eq_ignore_ascii_case("bytes") {
            return Span::Whole;
        }
        match range.split_once('-') {
            Some(("", suffix)) => Span::suffix(number(suffix), size),
            Some((first, "")) => Span::between(number(first), Some(u64::MAX), size),
            Some((first, last)) => Span::between(number(first), number(last), size),
            None => Span::Whole,
        }
    }

    fn between(first: Option<u64>, last: Option<u64>, size: u64) -> Span {
        match (first, last) {
            (Some(first), Some(last)) if first > last => Span::Whole, // invalid: 14.1.1
            (Some(first), Some(_)) if first >= size => Span::Unsatisfiable,
            (Some(first), Some(last)) => Span::Part { offset: first, len: last.min(size - 1) - first + 1 },
            _ => Span::Whole,
        }
    }

    fn suffix(len: Option<u64>, size: u64) -> Span {
        match len.map(|len| len.min(size)) {
            None => Span::Whole,
            Some(0) if len == Some(0) => Span::Unsatisfiable,
            Some(0) => Span::Whole, // satisfiable, but no Content-Range can express no bytes of none
            Some(len) => Span::Part { offset: size - len, len },
        }
    }
}

/// Parses digits and nothing else. A number that is too large for a `u64` becomes the largest one.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, len: u64) -> Span {
        Span::Part { offset, len }
    }

    #[test]
    fn ranges_of_ten_bytes() {
        for (value, span) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=0-10", part(0, 10)),
            ("bytes=9-", part(9, 1)),
            ("bytes=3-5", part(3, 3)),
            ("bytes=-1", part(9, 1)),
            ("bytes=-10", part(0, 10)),
            ("bytes=-11", part(0, 10)),
            ("BYTES=1-1", part(1, 1)),
            ("bytes=0-99999999999999999999999", part(0, 10)),
            ("bytes=10-", Span::Unsatisfiable),
            ("bytes=99999999999999999999999-", Span::Unsatisfiable),
            ("bytes=-0", Span::Unsatisfiable),
            ("bytes=5-4", Span::Whole),
            ("bytes=-", Span::Whole),
            ("bytes=", Span::Whole),
            ("bytes", Span::Whole),
            ("lines=0-1", Span::Whole),
            ("bytes=0-1,3-4", Span::Whole),
            ("bytes= 0-1", Span::Whole),
            ("bytes=+1-2", Span::Whole),
            ("bytes=1-2-3", Span::Whole),
            ("bytes=--1", Span::Whole),
        ] {
            assert_eq!(Span::parse(value.as_bytes(), 10), span, "{value}");
        }
    }

    #[test]
    fn ranges_of_an_empty_file() {
        assert_eq!(Span::parse(b"bytes=0-", 0), Span::Unsatisfiable);
        assert_eq!(Span::parse(b"bytes=0-0", 0), Span::Unsatisfiable);
        assert_eq!(Span::parse(b"bytes=-1", 0), Span::Whole);
        assert_eq!(Span::parse(b"bytes=\xff-", 10), Span::Whole);
    }
}
