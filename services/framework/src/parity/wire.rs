//! The bytes that pass a socket, before hyper reads them: it does not look at all that the other models look at.

use app::{Decoder, Framing, Limits, Refusal};
use memchr::memchr_iter;

use super::line::{Lines, is_usual};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Follows the bytes of a connection from request to request: looks at request lines as far as [`Lines`] can, and decodes all
/// content as the other models do. Which requests have content it learns from hyper's calls, so it parses no heads.
pub struct Wire {
    /// Heads that hyper has read, and what has come behind the last of them.
    kept: Vec<u8>,
    /// The decoder of the content that comes now.
    content: Option<Decoder>,
    lines: Lines,
    /// Where the next request line begins is known: the last read ended with a head, or with the end of content.
    at_boundary: bool,
    /// A bare LF is in `kept`, in a head or in what has come behind it.
    has_bare_lf: bool,
}

impl Wire {
    /// The wire of a connection that was just accepted.
    pub fn new() -> Wire {
        Wire { kept: Vec::new(), content: None, lines: Lines::default(), at_boundary: true, has_bare_lf: false }
    }

    /// Does content come now?
    pub fn is_in_content(&self) -> bool {
        self.content.is_some()
    }

    /// Does the next byte begin a request, with nothing before it that matters?
    pub fn is_fresh(&self) -> bool {
        self.at_boundary && self.kept.is_empty() && !self.is_in_content()
    }

    /// Is a bare LF in the heads, or in what has come behind them? Then `look_for_bare_lf` has to look into them.
    pub fn has_bare_lf(&self) -> bool {
        self.has_bare_lf
    }

    /// These bytes have come. A [usual head](is_usual_head) that comes while the wire is fresh need not be told.
    pub fn received(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if self.is_in_content() {
            return self.decode(bytes, limits);
        }
        self.keep(bytes);
        if self.at_boundary {
            if let Some(status) = self.lines.look(bytes, limits) {
                return Err(Refusal(status));
            }
            if bytes.ends_with(END_OF_HEAD) {
                self.lines.next();
            }
        }
        Ok(())
    }

    /// hyper has called the service for every whole head that it has read, for `heads` since the last such call.
    pub fn forget(&mut self, heads: usize) {
        if self.kept.ends_with(END_OF_HEAD) {
            self.kept.clear(); // the usual case
            self.has_bare_lf = false;
        } else {
            self.forget_heads(heads);
        }
    }

    /// hyper has called the service for a request behind `heads` others, all without content, and a bare LF has come.
    pub fn look_for_bare_lf(&mut self, heads: usize) -> Result<(), Refusal> {
        self.forget_heads(heads);
        self.check_head().map(|_| ())
    }

    /// hyper has called the service for a request with content, behind `heads` without. Some of the content may have come with
    /// its head.
    pub fn content_begins(&mut self, heads: usize, framing: Framing, limits: &Limits) -> Result<(), Refusal> {
        self.at_boundary = false;
        self.forget_heads(heads);
        let end = if self.kept.is_empty() { 0 } else { self.check_head()? }; // or it was a usual head
        let kept = std::mem::take(&mut self.kept);
        self.has_bare_lf = false;
        self.content = Some(Decoder::new(framing, limits)?);
        self.decode(&kept[end..], limits)
    }

    /// Where the first head ends. A bare LF ends neither a line nor a head: hyper may have taken it for the end.
    fn check_head(&self) -> Result<usize, Refusal> {
        end_of_head(&self.kept).filter(|&end| !has_bare_lf(&self.kept[..end])).ok_or(Refusal(400))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let new = self.kept.len().saturating_sub(1);
        self.kept.extend_from_slice(bytes);
        self.has_bare_lf |= has_bare_lf(&self.kept[new..]);
    }

    fn decode(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let Some(decoder) = &mut self.content else { return Ok(()) };
        let used = decoder.push(bytes, limits)?;
        decoder.content.clear(); // hyper decodes it, too
        if decoder.is_done() {
            self.content = None;
            self.keep(&bytes[used..]);
            self.at_boundary = self.kept.is_empty();
            self.lines.next();
        }
        Ok(())
    }

    fn forget_heads(&mut self, heads: usize) {
        let behind = |at: usize, _| end_of_head(&self.kept[at..]).map(|end| at + end);
        let end = (0..heads).try_fold(0, behind).unwrap_or(self.kept.len());
        self.kept.drain(..end);
    }
}

/// Where the first head ends. Empty lines before it belong to it: RFC 9112, 2.2.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let end = bytes[begin..].windows(END_OF_HEAD.len()).position(|w| w == END_OF_HEAD)?;
    Some(begin + end + END_OF_HEAD.len())
}

/// Is that one whole head and nothing else, with a usual request line, and without a bare LF?
pub fn is_usual_head(bytes: &[u8]) -> bool {
    let Some(lines) = bytes.strip_suffix(b"\r\n") else { return false };
    let mut ends = memchr_iter(b'\n', lines);
    let Some(first) = ends.next() else { return false };
    // Each line ends with CR LF, and none is empty: that would be the end of the head.
    is_usual(&lines[..=first])
        && lines.ends_with(b"\r\n")
        && lines.get(first + 1) != Some(&b'\r')
        && ends.all(|at| lines[at - 1] == b'\r' && lines.get(at + 1) != Some(&b'\r'))
}

fn has_bare_lf(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes).any(|at| at > 0 && bytes[at - 1] != b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /counter HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Receives a chunked request, of which the first piece has the head and `first` bytes of the content.
    fn receive(wire: &mut Wire, before: &str, heads: usize, content: &str, first: usize) -> Result<(), Refusal> {
        let limits = Limits::default();
        let (first, rest) = content.as_bytes().split_at(first);
        wire.received(&[before.as_bytes(), HEAD.as_bytes(), first].concat(), &limits)?;
        wire.content_begins(heads, Framing::Chunked, &limits)?;
        rest.chunks(3).try_for_each(|piece| wire.received(piece, &limits))
    }

    #[test]
    fn content_is_refused_wherever_its_pieces_are_cut() {
        for (content, outcome) in [
            ("5;a=b\r\nhello\r\n0\r\n\r\n", Ok(())),
            ("5;a=\0b\r\nhello\r\n0\r\n\r\n", Err(Refusal(400))),
            ("5;a=\x7fb\r\nhello\r\n0\r\n\r\n", Err(Refusal(400))),
            ("5\r\nhello\r\n0\r\nA: b\n\r\n", Err(Refusal(400))),
            ("100001\r\n", Err(Refusal(413))),
        ] {
            let pipelined = "GET /a HTTP/1.1\r\n\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
            for (first, (before, heads)) in (0..=content.len()).flat_map(|n| [(n, ("", 0)), (n, (pipelined, 2))]) {
                let mut wire = Wire::new();
                assert_eq!(
                    receive(&mut wire, before, heads, content, first),
                    outcome,
                    "{content:?}, {first} bytes first"
                );
            }
        }
    }

    #[test]
    fn a_usual_head_is_whole_and_alone() {
        for (bytes, usual) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nA: b\n\r\n", false),
            ("GET / HTTP/1.1\r\nA: b\r\n", false),
            ("\r\nGET / HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.1\r\n\r\n\r\n", false),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", false),
            ("POST / HTTP/1.1\r\n\r\n0\r\n\r\n", false),
            ("GET /#a HTTP/1.1\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("\r\n\r\n", false),
            ("\r\n", false),
        ] {
            assert_eq!(is_usual_head(bytes.as_bytes()), usual, "{bytes:?}");
        }
    }

    #[test]
    fn a_bare_lf_is_found_in_the_head_that_has_it() {
        let heads = "GET /a HTTP/1.1\r\nA: b\r\n\r\nGET /b HTTP/1.1\r\nA: b\n\r\n";
        for size in 1..=heads.len() {
            let (mut wire, limits) = (Wire::new(), Limits::default());
            assert_eq!(heads.as_bytes().chunks(size).find_map(|piece| wire.received(piece, &limits).err()), None);
            assert!(wire.has_bare_lf());
            assert_eq!(wire.look_for_bare_lf(0), Ok(()));
            assert_eq!(wire.look_for_bare_lf(1), Err(Refusal(400)));
        }
    }

    #[test]
    fn requests_behind_content_are_looked_at() {
        let (mut wire, limits) = (Wire::new(), Limits::default());
        for _ in 0..2 {
            assert_eq!(receive(&mut wire, "", 0, "1\r\na\r\n0\r\n\r\n", 4), Ok(()));
            wire.forget(0);
        }
        assert_eq!(receive(&mut wire, "", 0, "0\r\n\r\nGET / HTTP/1.1\r\n", 21), Ok(()), "the next has begun");
        wire.forget(0);
        assert_eq!(wire.received(b"\r\n", &limits), Ok(()));
        wire.forget(1);
        assert_eq!(receive(&mut wire, "", 0, "1;\0\r\n", 0), Err(Refusal(400)));
    }
}
