use crate::head::{Framing, Refusal};
use crate::limits::Limits;

const BAD_REQUEST: Refusal = Refusal(400);
const TOO_LARGE: Refusal = Refusal(413);

/// Takes the content of one request out of the byte stream.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The decoded content so far.
    pub content: Vec<u8>,
    /// The current chunk line, or the trailers so far.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// That much of a Content-Length is missing.
    Length(usize),
    /// In a chunk's size line.
    ChunkLine,
    /// That much of the chunk is missing.
    ChunkData(usize),
    /// At the CRLF behind a chunk; that many of its two bytes are here.
    ChunkEnd(usize),
    /// In the trailer section, or at the empty line that ends it.
    Trailers,
    Done,
}

impl Decoder {
    /// Refuses a length above the limit before a byte of it is read.
    pub fn new(framing: Framing, limits: &Limits) -> Result<Decoder, Refusal> {
        let state = match framing {
            Framing::Length(len) if len > limits.body => return Err(TOO_LARGE),
            Framing::Length(0) => State::Done,
            Framing::Length(len) => State::Length(len),
            Framing::Chunked => State::ChunkLine,
        };
        Ok(Decoder { state, content: Vec::new(), line: Vec::new() })
    }

    /// Is the content complete?
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what belongs to this content from the front of `bytes` and says how much that was.
    pub fn push(&mut self, bytes: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            let taken = match self.state {
                State::Length(missing) | State::ChunkData(missing) => self.take_data(missing, rest),
                State::ChunkLine => self.take_chunk_line(rest, limits)?,
                State::ChunkEnd(at) => self.take_chunk_end(at, rest)?,
                State::Trailers => self.take_trailers(rest, limits)?,
                State::Done => 0,
            };
            rest = &rest[taken..];
        }
        Ok(bytes.len() - rest.len())
    }

    fn take_data(&mut self, missing: usize, rest: &[u8]) -> usize {
        let taken = missing.min(rest.len());
        self.content.extend_from_slice(&rest[..taken]);
        self.state = match (self.state, missing - taken) {
            (State::Length(_), 0) => State::Done,
            (State::Length(_), missing) => State::Length(missing),
            (_, 0) => State::ChunkEnd(0),
            (_, missing) => State::ChunkData(missing),
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
        self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
        Ok(taken)
    }

    fn take_chunk_end(&mut self, at: usize, rest: &[u8]) -> Result<usize, Refusal> {
        if rest[0] != b"\r\n"[at] {
            return Err(BAD_REQUEST);
        }
        self.state = if at == 0 { State::ChunkEnd(1) } else { State::ChunkLine };
        Ok(1)
    }

    /// The fields are checked and dropped: none of them means anything here (RFC 9110, 6.5.1).
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
            self.state = State::Done;
        }
        Ok(taken)
    }

    /// Appends up to and including the next LF to `line`; `None` while there is none in `rest`.
    fn take_line(&mut self, rest: &[u8], limit: usize, too_long: Refusal) -> Result<Option<usize>, Refusal> {
        let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
        let piece = &rest[..end.unwrap_or(rest.len())];
        if self.line.len() + piece.len() > limit {
            return Err(too_long);
        }
        self.line.extend_from_slice(piece);
        if end.is_some() && !self.line.ends_with(b"\r\n") {
            return Err(BAD_REQUEST); // a bare LF ends no line
        }
        Ok(end)
    }
}

/// `chunk-size [ chunk-ext ] CRLF` (RFC 9112, 7.1); extensions are checked by their characters and ignored.
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
