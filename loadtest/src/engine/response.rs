//! A parser without I/O that finds where an HTTP/1.x response ends. It keeps only the status, and hands on the body.
//!
//! The parser is tolerant where a deviation does no harm to a measurement (a bare LF ends a line, unknown fields are
//! skipped), and strict where tolerance would hide a wrong answer (framing). RFC 9112 section 6.3 defines where a body
//! ends.

/// The largest head that is accepted, in bytes; a longer one is a protocol error.
pub const MAX_HEAD: usize = 64 * 1024;
/// The longest chunk-size line or trailer line that is accepted, in bytes.
const MAX_LINE: u32 = 8 * 1024;

/// The state of the response after a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseProgress {
    /// More input is needed.
    Incomplete,
    /// The response is complete; this number of bytes of the piece belonged to it.
    Complete(usize),
    /// This is not a valid HTTP response; why.
    Invalid(&'static str),
}

/// A response that is being received.
#[derive(Debug, Default)]
pub struct Response {
    state: ParseState,
    /// Status of the response, 0 until its head is complete.
    status: u16,
    /// The server will close the connection after this response.
    close: bool,
    /// The received bytes of an incomplete head. It needs no memory while heads come in one piece.
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ParseState {
    #[default]
    Head,
    /// Bytes of the body that are still to come.
    Length(u64),
    Chunked(Chunk),
    /// The body ends when the server closes the connection.
    UntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In a chunk-size line: the size so far, its digits so far, the length of the line, and whether an extension has
    /// begun.
    Size {
        size: u64,
        digits: u8,
        length: u32,
        extension: bool,
    },
    Data(u64),
    /// In the line end that follows the data of a chunk.
    DataEnd,
    /// In the trailers: the length of the line so far, without its end, and the length of all trailers.
    Trailer {
        length: u32,
        total: u32,
    },
}

const CHUNK_START: Chunk = Chunk::Size { size: 0, digits: 0, length: 0, extension: false };

/// The parts of a head that the parser needs.
struct Head {
    length: usize,
    status: u16,
    framing: ParseState,
    close: bool,
}

impl Response {
    /// Status of the response, 0 until its head is complete.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection can carry no further request after this response.
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Prepares for the next response.
    pub fn reset(&mut self) {
        self.state = ParseState::Head;
        self.status = 0;
        self.close = false;
        self.partial.clear();
    }

    /// Parses the next piece of the stream. `to_head` says that the request was a HEAD, whose answer has no body. `sink`
    /// gets the bytes of the body in it, without those of the chunked coding; it may be called several times.
    pub fn feed(&mut self, bytes: &[u8], to_head: bool, sink: impl FnMut(&[u8])) -> ParseProgress {
        if self.state != ParseState::Head {
            return self.body(bytes, 0, sink);
        }
        if self.partial.is_empty() {
            return match parse_head(bytes, to_head) {
                Ok(Some(head)) => {
                    self.begin(&head);
                    self.body(bytes, head.length, sink)
                }
                Ok(None) => self.collect_head(bytes, to_head, sink),
                Err(why) => ParseProgress::Invalid(why),
            };
        }
        self.collect_head(bytes, to_head, sink)
    }

    /// Whether the response is complete if the stream ends here.
    pub fn is_complete_at_eof(&self) -> bool {
        self.state == ParseState::UntilClose
    }

    fn begin(&mut self, head: &Head) {
        self.status = head.status;
        self.close = head.close;
        self.state = head.framing;
    }

    /// The slow path: collects a head that comes in pieces.
    fn collect_head(&mut self, bytes: &[u8], to_head: bool, sink: impl FnMut(&[u8])) -> ParseProgress {
        let before = self.partial.len();
        let room = MAX_HEAD.saturating_sub(before).min(bytes.len());
        // The head can only be complete at a line end, so a piece without one is not parsed.
        self.partial.extend_from_slice(&bytes[..room]);
        if !bytes[..room].contains(&b'\n') {
            if before == 0 && !could_be_http(&self.partial) {
                return ParseProgress::Invalid("not an HTTP response");
            }
            return if self.partial.len() >= MAX_HEAD {
                ParseProgress::Invalid("endless head")
            } else {
                ParseProgress::Incomplete
            };
        }
        match parse_head(&self.partial, to_head) {
            Ok(Some(head)) => {
                let used = head.length - before.min(head.length);
                self.begin(&head);
                self.partial.clear();
                self.body(bytes, used, sink)
            }
            Ok(None) if self.partial.len() >= MAX_HEAD => ParseProgress::Invalid("endless head"),
            Ok(None) => ParseProgress::Incomplete,
            Err(why) => ParseProgress::Invalid(why),
        }
    }

    fn body(&mut self, bytes: &[u8], from: usize, mut sink: impl FnMut(&[u8])) -> ParseProgress {
        let here = &bytes[from..];
        match &mut self.state {
            ParseState::Head => unreachable!("the head is complete"),
            ParseState::Length(left) if *left <= here.len() as u64 => {
                let length = *left as usize;
                *left = 0;
                sink(&here[..length]);
                ParseProgress::Complete(from + length)
            }
            ParseState::Length(left) => {
                *left -= here.len() as u64;
                sink(here);
                ParseProgress::Incomplete
            }
            ParseState::UntilClose => {
                sink(here);
                ParseProgress::Incomplete
            }
            ParseState::Chunked(chunk) => match chunks(chunk, here, sink) {
                ParseProgress::Complete(used) => ParseProgress::Complete(from + used),
                other => other,
            },
        }
    }
}

fn chunks(chunk: &mut Chunk, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> ParseProgress {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match chunk {
            Chunk::Data(left) => {
                let take = (*left).min((bytes.len() - at) as u64);
                sink(&bytes[at..at + take as usize]);
                *left -= take;
                at += take as usize;
                if *left == 0 {
                    *chunk = Chunk::DataEnd;
                }
                continue;
            }
            Chunk::DataEnd => match byte {
                b'\r' => {}
                b'\n' => *chunk = CHUNK_START,
                _ => return ParseProgress::Invalid("a chunk is longer than announced"),
            },
            Chunk::Size { size, digits, length, extension } => {
                *length += 1;
                if *length > MAX_LINE {
                    return ParseProgress::Invalid("endless chunk-size line");
                }
                match (byte as char).to_digit(16) {
                    _ if byte == b'\n' => {
                        if *digits == 0 {
                            return ParseProgress::Invalid("a chunk without a size");
                        }
                        *chunk = match *size {
                            0 => Chunk::Trailer { length: 0, total: 0 },
                            n => Chunk::Data(n),
                        };
                    }
                    _ if *extension || byte == b'\r' => {}
                    Some(digit) if *digits < 15 => {
                        *size = *size * 16 + u64::from(digit);
                        *digits += 1;
                    }
                    None if matches!(byte, b';' | b' ' | b'\t') => *extension = true,
                    _ => return ParseProgress::Invalid("a chunk size that is no number"),
                }
            }
            Chunk::Trailer { length, total } => {
                *total += 1;
                match byte {
                    b'\n' if *length == 0 => return ParseProgress::Complete(at + 1),
                    b'\n' => *length = 0,
                    b'\r' => {}
                    _ => *length += 1,
                }
                if *total > MAX_LINE {
                    return ParseProgress::Invalid("endless trailers");
                }
            }
        }
        at += 1;
    }
    ParseProgress::Incomplete
}

fn could_be_http(bytes: &[u8]) -> bool {
    let known = bytes.len().min(7);
    bytes[..known] == b"HTTP/1."[..known]
}

/// Parses the head of the final response at the start of `bytes`. Interim (1xx) responses before it count as part of
/// it.
fn parse_head(bytes: &[u8], to_head: bool) -> Result<Option<Head>, &'static str> {
    let mut at = 0;
    loop {
        match parse_one_head(&bytes[at..], to_head)? {
            // RFC 9110 section 15.2: a client reads interim responses before the final one, expected or not.
            Some(head) if (100..200).contains(&head.status) && head.status != 101 => at += head.length,
            Some(head) if head.status == 101 => return Err("switched protocols without being asked"),
            Some(head) => return Ok(Some(Head { length: at + head.length, ..head })),
            None => return Ok(None),
        }
    }
}

fn parse_one_head(bytes: &[u8], to_head: bool) -> Result<Option<Head>, &'static str> {
    if !could_be_http(bytes) {
        return Err("not an HTTP response");
    }
    let Some((line, mut at)) = next_line(bytes, 0) else { return Ok(None) };
    let &[_, _, _, _, _, _, _, minor, b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref reason @ ..] = line
    else {
        return Err("a broken status line");
    };
    if !minor.is_ascii_digit() || reason.first().is_some_and(|&byte| byte != b' ') {
        return Err("a broken status line");
    }
    let status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    let mut close = minor == b'0';
    let mut length = None;
    let mut chunked = false;
    let mut coded = false;
    loop {
        let Some((line, next)) = next_line(bytes, at) else { return Ok(None) };
        at = next;
        let Some(&first) = line.first() else { break };
        // Only three fields matter. Their first letters already rule out nearly all other fields.
        match first | 0x20 {
            b'c' => {
                if let Some(value) = field(line, b"content-length") {
                    let value = number(value).ok_or("a Content-Length that is no number")?;
                    if length.is_some_and(|other| other != value) {
                        return Err("two different Content-Lengths");
                    }
                    length = Some(value);
                } else if let Some(value) = field(line, b"connection") {
                    if has_token(value, b"close") {
                        close = true;
                    } else if has_token(value, b"keep-alive") {
                        close = false;
                    }
                }
            }
            b't' => {
                if let Some(value) = field(line, b"transfer-encoding") {
                    coded = true;
                    chunked = value.len() >= 7 && value[value.len() - 7..].eq_ignore_ascii_case(b"chunked");
                }
            }
            _ => {}
        }
    }
    let framing = if to_head || status < 200 || status == 204 || status == 304 {
        ParseState::Length(0)
    } else if chunked {
        ParseState::Chunked(CHUNK_START)
    } else if coded {
        ParseState::UntilClose
    } else {
        length.map_or(ParseState::UntilClose, ParseState::Length)
    };
    Ok(Some(Head { length: at, status, framing, close: close || framing == ParseState::UntilClose }))
}

/// The line at `from` without its end, and where the next one begins.
fn next_line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let length = bytes[from..].iter().position(|&byte| byte == b'\n')?;
    let line = &bytes[from..from + length];
    Some((line.strip_suffix(b"\r").unwrap_or(line), from + length + 1))
}

/// The trimmed value of the line if it is the field `name` (lower case).
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if line.get(name.len()) != Some(&b':') || !line[..name.len()].eq_ignore_ascii_case(name) {
        return None;
    }
    Some(line[name.len() + 1..].trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |n, digit| digit.is_ascii_digit().then(|| n * 10 + u64::from(digit - b'0')))
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
