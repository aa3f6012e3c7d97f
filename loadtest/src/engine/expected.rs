//! What the answers to a request are expected to be, and how an answer differs from that.
//!
//! The length of every answer is compared. The content is compared in every answer whose body is small, and in one of
//! sixteen if it is large: comparing takes memory bandwidth and cache that the load needs.

use results::{AnswerSeen, hash};
use std::fmt;

/// The longest body that is compared in every answer, in bytes.
const SMALL: usize = 1024;
/// Of larger bodies, each client compares one in this number of its answers.
const SAMPLE: u32 = 16;
/// The most of a body that is kept, in bytes. Of a longer one only this beginning is compared, besides the length.
pub const KEPT: usize = 1 << 20;

/// What the answers to a request have in common, as far as it was learned before the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    status: u16,
    /// Length of the body in bytes; `None` if it varies.
    length: Option<u64>,
    /// The first [`KEPT`] bytes of the body; `None` if they vary.
    body: Option<Box<[u8]>>,
}

impl Expected {
    /// Only the status is known, so answers are not compared.
    pub fn status_only(status: u16) -> Expected {
        Expected { status, length: None, body: None }
    }

    /// What one answer was: its status, the length of its body, and the first [`KEPT`] bytes of that.
    pub fn as_in(status: u16, length: u64, body: Vec<u8>) -> Expected {
        Expected { status, length: Some(length), body: Some(body.into()) }
    }

    /// The status of the answers.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What results.json says of them; nothing of errors, which are counted as such.
    pub fn seen(&self) -> Option<AnswerSeen> {
        let hash = |body: &[u8]| hash::shown(hash::fnv_1a(hash::BASIS, body));
        let seen = || AnswerSeen { bytes: self.length, hash: self.body.as_deref().map(hash) };
        (200..400).contains(&self.status).then(seen)
    }

    /// What these and the `other` answers have in common. Answers of another status have nothing in common with these.
    pub fn common(self, other: &Expected) -> Expected {
        if self.status != other.status || self.length != other.length {
            return Expected::status_only(self.status);
        }
        Expected { body: self.body.filter(|body| other.body.as_ref() == Some(body)), ..self }
    }
}

/// How an answer differs from the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The body has another length, in bytes.
    Length {
        /// The length that it has.
        found: u64,
        /// The length that it should have.
        expected: u64,
    },
    /// A byte of the body is another one.
    Byte {
        /// The offset of the first such byte, from 0.
        at: u64,
        /// Length of the body.
        of: u64,
        /// The byte that came.
        found: u8,
        /// The byte that should have come.
        expected: u8,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Mismatch::Length { found, expected } => write!(f, "its body has {found} bytes instead of {expected}"),
            Mismatch::Byte { at, of, found, expected } => {
                write!(f, "byte {} of {of} is {found:#04x} instead of {expected:#04x}", at + 1)
            }
        }
    }
}

/// Answers that differed from the expected one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mismatches {
    /// How the first one differed, and which answer it was.
    first: Option<(Mismatch, WrongAnswer)>,
    vary: bool,
}

impl Mismatches {
    /// Such an answer has come.
    pub fn note(&mut self, mismatch: Mismatch, answer: WrongAnswer) {
        let (_, first) = self.first.get_or_insert((mismatch, answer));
        self.vary |= first.is_another_than(&answer);
    }

    /// Adds the answers that another thread has got.
    pub fn add(&mut self, other: &Mismatches) {
        other.first.into_iter().for_each(|(mismatch, answer)| self.note(mismatch, answer));
        self.vary |= other.vary;
    }

    /// How the first one differed.
    pub fn first(&self) -> Option<Mismatch> {
        self.first.map(|(mismatch, _)| mismatch)
    }

    /// Whether they differ from one another, too.
    pub fn vary(&self) -> bool {
        self.vary
    }
}

/// Tells one wrong answer from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongAnswer {
    length: u64,
    /// Of what differs from the expected content, if that was compared.
    hash: Option<u64>,
}

impl WrongAnswer {
    fn is_another_than(&self, other: &WrongAnswer) -> bool {
        self.length != other.length || self.hash.zip(other.hash).is_some_and(|(mine, theirs)| mine != theirs)
    }
}

/// The comparison of one answer with the expected one, while its body comes in pieces.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Whether the content is compared, and not only the length.
    content: bool,
    /// Bytes of the body so far.
    length: u64,
    /// The first byte that differs: its offset, and the byte itself.
    difference: Option<(u64, u8)>,
    /// Of all bytes from there on: FNV-1a.
    hash: u64,
}

impl Comparison {
    /// Begins the comparison of the client's answer number `number`.
    #[inline]
    pub fn begin(expected: Option<&Expected>, number: u32) -> Comparison {
        let body = expected.and_then(|expected| expected.body.as_ref());
        let content = body.is_some_and(|body| match body.len() {
            0 => false,
            1..=SMALL => true,
            _ => number.is_multiple_of(SAMPLE),
        });
        Comparison { content, ..Comparison::default() }
    }

    /// The next piece of the body has come.
    #[inline]
    pub fn add(&mut self, piece: &[u8], expected: Option<&Expected>) {
        let from = self.length;
        self.length += piece.len() as u64;
        if self.content && self.difference.is_none() {
            let body = expected.and_then(|expected| expected.body.as_deref()).unwrap_or_default();
            let rest = &body[body.len().min(from as usize)..];
            let both = rest.len().min(piece.len());
            let is_longer = || expected.is_some_and(|expected| expected.length < Some(self.length));
            if piece[..both] != rest[..both] || is_longer() {
                let at = piece.iter().zip(rest).position(|(found, expected)| found != expected).unwrap_or(both);
                self.difference = Some((from + at as u64, piece[at]));
                self.add_to_hash(&piece[at..]);
            }
        } else if self.content {
            self.add_to_hash(piece);
        }
    }

    fn add_to_hash(&mut self, bytes: &[u8]) {
        self.hash = hash::fnv_1a(self.hash, bytes);
    }

    /// Which answer this is, now that it is complete.
    pub fn answer(&self) -> WrongAnswer {
        WrongAnswer { length: self.length, hash: self.content.then_some(self.hash) }
    }

    /// Whether the content of the answer, which has this status, was compared.
    #[inline]
    pub fn covers_content(&self, status: u16, expected: Option<&Expected>) -> bool {
        self.content && expected.is_some_and(|expected| expected.status == status)
    }

    /// How the answer differs from the expected one, now that it is complete. An answer of another status is not
    /// compared.
    #[inline]
    pub fn mismatch(&self, status: u16, expected: Option<&Expected>) -> Option<Mismatch> {
        let expected = expected.filter(|expected| expected.status == status)?;
        let length = expected.length?;
        if self.length != length {
            return Some(Mismatch::Length { found: self.length, expected: length });
        }
        let (at, found) = self.difference?;
        Some(Mismatch::Byte { at, of: length, found, expected: expected.body.as_ref()?[at as usize] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(body: &[u8]) -> Expected {
        Expected::as_in(200, body.len() as u64, body[..body.len().min(KEPT)].into())
    }

    /// Compares an answer that comes in pieces of this size, as the client's answer number `number`.
    fn compare(expected: &Expected, body: &[u8], piece: usize, number: u32) -> (bool, Option<Mismatch>) {
        let expected = Some(expected);
        let mut comparison = Comparison::begin(expected, number);
        body.chunks(piece).for_each(|piece| comparison.add(piece, expected));
        (comparison.covers_content(200, expected), comparison.mismatch(200, expected))
    }

    #[test]
    fn one_wrong_byte_is_found_wherever_it_stands_and_however_the_body_is_split() {
        let right = b"Hello World\n";
        for at in 0..right.len() {
            let mut wrong = right.to_vec();
            wrong[at] ^= 1;
            for piece in 1..=right.len() {
                assert_eq!(compare(&expected(right), right, piece, 7), (true, None));
                let found = Mismatch::Byte { at: at as u64, of: 12, found: wrong[at], expected: right[at] };
                assert_eq!(compare(&expected(right), &wrong, piece, 7), (true, Some(found)));
            }
        }
        assert_eq!(
            compare(&expected(right), b"Hello world\n", 12, 7).1.unwrap().to_string(),
            "byte 7 of 12 is 0x77 instead of 0x57"
        );
    }

    #[test]
    fn another_length_is_found_even_where_the_content_is_not_compared() {
        for right in [&[b'x'; 12][..], &[b'x'; 5000]] {
            for wrong in [vec![b'x'; right.len() - 1], vec![b'x'; right.len() + 1], vec![]] {
                let mismatch = compare(&expected(right), &wrong, 7, 1).1;
                let (found, expected) = (wrong.len() as u64, right.len() as u64);
                assert_eq!(mismatch, Some(Mismatch::Length { found, expected }));
            }
        }
        let words = compare(&expected(b"hi"), b"h", 1, 1).1.unwrap().to_string();
        assert_eq!(words, "its body has 1 bytes instead of 2");
    }

    #[test]
    fn of_large_bodies_one_answer_in_sixteen_is_compared_and_of_very_large_ones_the_beginning() {
        for (length, compared) in [(SMALL, 64), (SMALL + 1, 4), (KEPT + 5000, 4)] {
            let right: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let expected = expected(&right);
            let mut wrong = right.clone();
            wrong[length.min(KEPT) - 1] ^= 0x80;
            let found = (0..64).map(|number| compare(&expected, &wrong, 60_000, number));
            assert_eq!(found.filter(|found| found.0 && found.1.is_some()).count(), compared, "{length}");
            assert_eq!(compare(&expected, &right, 60_000, 0), (true, None), "{length}");
            let mut wrong = right.clone();
            *wrong.last_mut().unwrap() ^= 0x80;
            assert_eq!(compare(&expected, &wrong, 60_000, 0).1.is_some(), length <= KEPT, "{length}");
        }
    }

    #[test]
    fn wrong_answers_are_told_from_one_another_however_they_are_split() {
        let answer = |right: &Expected, body: &[u8], piece, number| {
            let mut comparison = Comparison::begin(Some(right), number);
            body.chunks(piece).for_each(|piece| comparison.add(piece, Some(right)));
            comparison.answer()
        };
        let nine = expected(b"count: 9");
        let first = answer(&nine, b"count: 10", 3, 0);
        for piece in 1..=9 {
            assert!(!first.is_another_than(&answer(&nine, b"count: 10", piece, 1)));
            for other in [&b"count: 11"[..], b"count: 20", b"count: 8", b"Count: 10", b"count: 100", b"count:"] {
                assert!(first.is_another_than(&answer(&nine, other, piece, 1)), "{piece}");
            }
        }
        // Of a large body it is known in one answer of sixteen only.
        let large = expected(&[b'x'; 5000]);
        let [wrong, other] = [[b'y'; 5000], [b'z'; 5000]];
        assert!(answer(&large, &wrong, 999, 0).is_another_than(&answer(&large, &other, 999, 16)));
        assert!(!answer(&large, &wrong, 999, 0).is_another_than(&answer(&large, &other, 999, 1)));

        let mismatch = Mismatch::Length { found: 9, expected: 8 };
        let mut mine = Mismatches::default();
        (0..2).for_each(|_| mine.note(mismatch, first));
        assert!(!mine.vary());
        let mut theirs = Mismatches::default();
        theirs.note(mismatch, answer(&nine, b"count: 11", 3, 0));
        assert!(!theirs.vary());
        mine.add(&theirs);
        assert!(mine.vary());
    }

    #[test]
    fn results_have_the_length_and_a_hash_of_what_does_not_vary() {
        let hello = expected(b"hello");
        let seen = |bytes, hash: Option<&str>| Some(AnswerSeen { bytes, hash: hash.map(str::to_owned) });
        // FNV-1a of "hello", as published with the algorithm's test vectors.
        assert_eq!(hello.seen(), seen(Some(5), Some("a430d84680aabd0b")));
        assert_eq!(expected(b"").seen(), seen(Some(0), Some("cbf29ce484222325")));
        assert_eq!(hello.clone().common(&expected(b"hallo")).seen(), seen(Some(5), None));
        assert_eq!(hello.common(&expected(b"hell")).seen(), seen(None, None));
        assert_eq!(Expected::as_in(301, 2, b"to".into()).seen().unwrap().bytes, Some(2));
        assert_eq!(Expected::as_in(404, 2, b"no".into()).seen(), None);
    }

    #[test]
    fn only_what_answers_have_in_common_is_expected() {
        let hello = expected(b"hello");
        assert_eq!(hello.clone().common(&hello), hello);
        let length_alone = hello.clone().common(&expected(b"hallo"));
        assert_eq!(compare(&length_alone, b"jello", 5, 0), (false, None));
        assert!(compare(&length_alone, b"hell", 5, 0).1.is_some());
        assert_eq!(length_alone.clone().common(&hello), length_alone);
        assert_eq!(hello.clone().common(&expected(b"hell")), Expected::status_only(200));
        assert_eq!(hello.clone().common(&Expected::as_in(503, 5, b"hello".into())), Expected::status_only(200));
        assert_eq!(compare(&Expected::status_only(200), b"whatever", 3, 0), (false, None));
        // An empty body has no content to compare, and an answer of another status is not compared.
        assert_eq!(compare(&expected(b""), b"", 1, 0), (false, None));
        let mut comparison = Comparison::begin(Some(&hello), 0);
        comparison.add(b"busy", Some(&hello));
        assert_eq!(
            (comparison.covers_content(503, Some(&hello)), comparison.mismatch(503, Some(&hello))),
            (false, None)
        );
    }
}
