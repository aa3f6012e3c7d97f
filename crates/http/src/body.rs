use crate::head::{Framing, Refusal};
use crate::limits::Limits;

const BAD_REQUEST: Refusal = Refusal(400);
const TOO_LARGE: Refusal = Refusal(413);

/// Decodes the content of one request from the byte stream.
#[derive(Debug)]
pub struct Decoder {
    expected: Expected,
    /// The decoded content so far.
    pub content: Vec<u8>,
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
    /// A decoder for content in this framing. A Content-Length above the limit is refused before a byte is read.
    pub fn new(framing: Framing, limits: &Limits) -> Result<Decoder, Refusal> {
        let expected = match framing {
            Framing::Length(len) if len > limits.body => return Err(TOO_LARGE),
            Framing::Length(0) => Expected::Nothing,
            Framing::Length(len) => Expected::Length(len),
            Framing::Chunked => Expected::ChunkLine,
        };
        Ok(Decoder { expected, content: Vec::new(), line: Vec::new() })
    }

    /// Is the content complete?
    pub fn is_done(&self) -> bool {
        matches!(self.expected, Expected::Nothing)
    }

    /// Decodes what belongs to this content from the front of `bytes`. Returns how many bytes that was.
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
        if size > limits.body - self.content.len() {
            return Err(TOO_LARGE);
        }
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
