use crate::head::{Framing, Refusal};
use crate::limits::Limits;

const BAD_REQUEST: Refusal = Refusal(400);
const TOO_LARGE: Refusal = Refusal(413);

/// Decodes the content of one request from the byte stream.
#[derive(Debug)]
pub struct Decoder {
    expected: Expected,
    /// The decoded content so far. A caller that does not need it any more may clear it.
    pub content: Vec<u8>,
    /// The sum of the chunks' sizes so far.
    size: usize,
    /// The current chunk line, or the trailers so far.
    line: Vec<u8>,
}

/// What comes next in the byte stream.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// That many further bytes of a Content-Length.
    Length(usize),
    /// A chunk's size line, or its rest.
    ChunkLine,
    /// That many further bytes of the chunk.
    ChunkData(usize),
    /// The CRLF behind a chunk, of which that many bytes are here.
    ChunkEnd(usize),
    /// Trailer fields, or the empty line that ends them.
    Trailers,
    Nothing,
}

impl Decoder {
    /// A decoder for content in this framing.
    ///
    /// # Errors
    /// A Content-Length above the limit is refused before a byte is read.
    pub fn new(framing: Framing, limits: &Limits) -> Result<Decoder, Refusal> {
        let expected = match framing {
            Framing::Length(len) if len > limits.body => return Err(TOO_LARGE),
            Framing::Length(0) => Expected::Nothing,
            Framing::Length(len) => Expected::Length(len),
            Framing::Chunked => Expected::ChunkLine,
        };
        Ok(Decoder { expected, content: Vec::new(), size: 0, line: Vec::new() })
    }

    /// Is the content complete?
    pub fn is_done(&self) -> bool {
        matches!(self.expected, Expected::Nothing)
    }

    /// Decodes what belongs to this content from the front of `bytes`. Returns how many bytes that was.
    ///
    /// # Errors
    /// The refusal of framing that is bad or above a limit; the decoder is of no use any more.
    pub fn push(&mut self, bytes: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            let taken = match self.expected {
                Expected::Length(missing) | Expected::ChunkData(missing) => self.take_data(missing, rest),
                Expected::ChunkLine => self.take_chunk_line(rest, limits)?,
                Expected::ChunkEnd(at) => self.take_chunk_end(at, rest)?,
                Expected::Trailers => self.take_trailers(rest, limits)?,
                Expected::Nothing => 0,
            };
            rest = &rest[taken..];
        }
        Ok(bytes.len() - rest.len())
    }

    fn take_data(&mut self, missing: usize, rest: &[u8]) -> usize {
        let taken = missing.min(rest.len());
        self.content.extend_from_slice(&rest[..taken]);
        self.expected = match (self.expected, missing - taken) {
            (Expected::Length(_), 0) => Expected::Nothing,
            (Expected::Length(_), missing) => Expected::Length(missing),
            (_, 0) => Expected::ChunkEnd(0),
            (_, missing) => Expected::ChunkData(missing),
        };
        taken
    }

    fn take_chunk_line(&mut self, rest: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let Some(taken) = self.take_line(rest, limits.chunk_line, BAD_REQUEST)? else {
            return Ok(rest.len());
        };
        let size = chunk_size(&self.line)?;
        self.line.clear();
        if size > limits.body - self.size {
            return Err(TOO_LARGE);
        }
        self.size += size;
        self.expected = if size == 0 { Expected::Trailers } else { Expected::ChunkData(size) };
        Ok(taken)
    }

    fn take_chunk_end(&mut self, at: usize, rest: &[u8]) -> Result<usize, Refusal> {
        if rest[0] != b"\r\n"[at] {
            return Err(BAD_REQUEST);
        }
        self.expected = if at == 0 { Expected::ChunkEnd(1) } else { Expected::ChunkLine };
        Ok(1)
    }

    /// Checks the trailer fields and drops them: none of them means anything to this server (RFC 9110, 6.5.1).
    fn take_trailers(&mut self, rest: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let Some(taken) = self.take_line(rest, limits.trailers, Refusal(431))? else {
            return Ok(rest.len());
        };
        let last_line = memchr::memrchr(b'\n', &self.line[..self.line.len() - 1]).map_or(0, |at| at + 1);
        if &self.line[last_line..] == b"\r\n" {
            let mut fields = [httparse::EMPTY_HEADER; Limits::FIELDS];
            match httparse::parse_headers(&self.line, &mut fields) {
                Ok(httparse::Status::Complete(_)) => {}
                Err(httparse::Error::TooManyHeaders) => return Err(Refusal(431)),
                _ => return Err(BAD_REQUEST),
            }
            self.line = Vec::new();
            self.expected = Expected::Nothing;
        }
        Ok(taken)
    }

    /// Appends `rest` to `line`, up to and including its first LF. Returns where that ends; `None` if there is no LF.
    fn take_line(&mut self, rest: &[u8], limit: usize, too_long: Refusal) -> Result<Option<usize>, Refusal> {
        let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
        let piece = &rest[..end.unwrap_or(rest.len())];
        if self.line.len() + piece.len() > limit {
            return Err(too_long);
        }
        self.line.extend_from_slice(piece);
        if end.is_some() && !self.line.ends_with(b"\r\n") {
            return Err(BAD_REQUEST); // a bare LF does not end a line
        }
        Ok(end)
    }
}

/// Parses `chunk-size [ chunk-ext ] CRLF` (RFC 9112, 7.1). Of extensions only the characters are checked.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let line = &line[..line.len() - 2];
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(digits);
    let extension_ok = match extension.trim_ascii_start() {
        [] => extension.is_empty(), // white space alone is no extension
        [b';', text @ ..] => text.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f)),
        _ => false,
    };
    if digits.is_empty() || !extension_ok {
        return Err(BAD_REQUEST);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BAD_REQUEST)?;
    usize::from_str_radix(digits, 16).map_err(|_| TOO_LARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked() -> Decoder {
        Decoder::new(Framing::Chunked, &Limits::default()).unwrap()
    }

    /// Decodes `bytes` in pieces of at most `size` bytes. Returns the content and how many bytes were its own.
    fn decode(framing: Framing, bytes: &[u8], size: usize) -> Result<(Vec<u8>, usize), Refusal> {
        let limits = Limits::default();
        let mut decoder = Decoder::new(framing, &limits)?;
        let mut used = 0;
        for piece in bytes.chunks(size) {
            let taken = decoder.push(piece, &limits)?;
            used += taken;
            if taken < piece.len() {
                assert!(decoder.is_done(), "only a decoder that is done leaves bytes");
                break;
            }
        }
        assert!(decoder.is_done(), "{decoder:?}");
        Ok((decoder.content, used))
    }

    #[test]
    fn the_pieces_in_which_bytes_come_do_not_matter() {
        let bytes = b"5;a=b\r\nhello\r\n00A\r\n0123\r\n6789\r\n0\r\nTrailer: a\r\nB: c\r\n\r\n";
        let next = b"GET / HTTP/1.1\r\n";
        for size in 1..=bytes.len() + next.len() {
            let decoded = decode(Framing::Chunked, &[&bytes[..], next].concat(), size);
            assert_eq!(decoded, Ok((b"hello0123\r\n6789".to_vec(), bytes.len())), "in pieces of {size}");
        }
    }

    #[test]
    fn a_content_length_takes_that_many_bytes_and_leaves_the_next_request() {
        for size in 1..12 {
            assert_eq!(decode(Framing::Length(5), b"helloGET / ", size), Ok((b"hello".to_vec(), 5)));
        }
        assert_eq!(decode(Framing::Length(0), b"GET / ", 6), Ok((vec![], 0)));
    }

    #[test]
    fn the_limit_of_a_body_counts_all_chunks_before_their_bytes_come() {
        let limits = Limits { body: 10, ..Limits::default() };
        assert_eq!(Decoder::new(Framing::Length(11), &limits).unwrap_err(), Refusal(413));
        assert_eq!(chunked().push(b"b\r\n", &limits), Err(Refusal(413)));
        assert_eq!(chunked().push(b"6\r\nabcdef\r\n5\r\n", &limits), Err(Refusal(413)));
        assert_eq!(chunked().push(b"6\r\nabcdef\r\n4\r\n", &limits), Ok(14));
        assert_eq!(chunked().push(b"fffffffffffffffff\r\n", &limits), Err(Refusal(413)), "more than a usize");
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_its_limit() {
        let limits = Limits { chunk_line: 8, trailers: 8, ..Limits::default() };
        let mut decoder = chunked();
        assert_eq!(decoder.push(b"5;aaaaaa", &limits), Ok(8));
        assert_eq!(decoder.push(b"a", &limits), Err(Refusal(400)));
        let mut decoder = chunked();
        assert_eq!(decoder.push(b"0\r\nA: bbbbb", &limits), Ok(11));
        assert_eq!(decoder.push(b"b", &limits), Err(Refusal(431)));
    }

    #[test]
    fn framing_that_parsers_could_read_differently_is_refused() {
        for bytes in
            [&b"5\nhello"[..], b"+5\r\n", b" 5\r\n", b"5 \r\n", b"0x5\r\n", b"\r\n", b"1\r\nab", b"0\r\nA b\r\n\r\n"]
        {
            assert_eq!(decode(Framing::Chunked, bytes, usize::MAX), Err(Refusal(400)), "{}", bytes.escape_ascii());
        }
    }
}
