//! A strict parser of responses, written from RFC 9112 and not from our server.

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its fields, in order, without surrounding white space.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Its content.
    pub body: Vec<u8>,
}

/// Fields that a response may have at most once.
const ONCE: [&str; 11] = [
    "Accept-Ranges",
    "Allow",
    "Connection",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Last-Modified",
    "Location",
    "Server",
];

impl Response {
    /// The field of that name (any case).
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    /// Does it say that the connection ends with it?
    pub fn closes(&self) -> bool {
        self.field("Connection").is_some_and(|value| value == b"close")
    }

    /// Parses the response at the start of `bytes`, and gives its length, too; `None` while it is incomplete.
    ///
    /// An error says what is not HTTP, or what an origin server with a clock may not send.
    pub fn parse(bytes: &[u8], to_head: bool) -> Result<Option<(Response, usize)>, String> {
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
        let mut lines = split_lines(&bytes[..end])?.into_iter();
        let status = status_line(lines.next().unwrap_or_default())?;
        let fields = lines.map(field_line).collect::<Result<Vec<_>, _>>()?;
        let mut response = Response { status, fields, body: Vec::new() };
        let len = response.content_length()?;
        response.check_fields()?;

        let start = end + 4;
        let len = if to_head { 0 } else { len };
        let Some(body) = bytes.get(start..start + len) else { return Ok(None) };
        response.body = body.to_vec();
        Ok(Some((response, start + len)))
    }

    /// RFC 9112, 6.3; RFC 9110, 8.6.
    fn content_length(&self) -> Result<usize, String> {
        if self.field("Transfer-Encoding").is_some() {
            return Err("it has a Transfer-Encoding, which this server never uses".into());
        }
        let value = self.field("Content-Length");
        match (self.status, value) {
            (100..200 | 204, Some(_)) => Err(format!("a {} has a Content-Length", self.status)),
            (100..200 | 204 | 304, None) => Ok(0),
            (304, Some(_)) => Ok(0),
            (_, None) => Err("it has no Content-Length".into()),
            (_, Some(value)) => number(value).ok_or_else(|| format!("Content-Length: {}", value.escape_ascii())),
        }
    }

    fn check_fields(&self) -> Result<(), String> {
        for name in ONCE {
            if self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count() > 1 {
                return Err(format!("it has {name} twice"));
            }
        }
        if self.status == 100 {
            return if self.fields.is_empty() { Ok(()) } else { Err("a 100 has fields".into()) };
        }
        let has = |name| self.field(name).map(drop).ok_or(format!("a {} has no {name}", self.status));
        let date = self.field("Date").ok_or("it has no Date")?;
        if !is_imf_fixdate(date) {
            return Err(format!("Date: {}", date.escape_ascii()));
        }
        has("Server")?;
        match self.status {
            405 => has("Allow"),            // RFC 9110, 15.5.6
            401 => has("WWW-Authenticate"), // 15.5.2
            206 | 416 => self.check_range(),
            204 | 304 => self.field("Content-Type").map_or(Ok(()), |_| Err("no content, but a Content-Type".into())),
            _ => Ok(()),
        }
    }

    /// RFC 9110, 14.4.
    fn check_range(&self) -> Result<(), String> {
        let text = self.field("Content-Range").unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let valid = text.strip_prefix("bytes ").and_then(|text| text.split_once('/')).is_some_and(|(range, size)| {
            let of = |digits: &str| number(digits.as_bytes());
            match (range.split_once('-').map(|(first, last)| (of(first), of(last))), of(size)) {
                (Some((Some(first), Some(last))), Some(size)) => {
                    let len = self.field("Content-Length").and_then(number);
                    self.status == 206 && first <= last && last < size && len == Some(last - first + 1)
                }
                (None, Some(_)) => self.status == 416 && range == "*",
                _ => false,
            }
        });
        if valid { Ok(()) } else { Err(format!("a {} has Content-Range: {text}", self.status)) }
    }
}

/// Splits at CRLF; a CR or LF by itself is an error.
fn split_lines(mut head: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    while let Some(at) = head.windows(2).position(|w| w == b"\r\n") {
        lines.push(&head[..at]);
        head = &head[at + 2..];
    }
    lines.push(head);
    match lines.iter().find(|line| line.iter().any(|b| b"\r\n".contains(b))) {
        Some(line) => Err(format!("a CR or LF by itself: {}", line.escape_ascii())),
        None => Ok(lines),
    }
}

/// `HTTP-version SP status-code SP reason-phrase` (RFC 9112, 4).
fn status_line(line: &[u8]) -> Result<u16, String> {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', code @ .., _] if code.len() > 4 && code[3] == b' ' => {
            let code = number(&code[..3]).filter(|code| (100..600).contains(code));
            code.filter(|_| line.iter().all(is_text)).map(|code| code as u16)
        }
        _ => None,
    }
    .ok_or_else(|| format!("no status line: {}", line.escape_ascii()))
}

/// `field-name ":" OWS field-value OWS` (RFC 9112, 5).
fn field_line(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let bad = || format!("no field line: {}", line.escape_ascii());
    let colon = line.iter().position(|&b| b == b':').ok_or_else(bad)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if name.is_empty() || !name.iter().all(token) || !value.iter().all(is_text) {
        return Err(bad());
    }
    Ok((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}

fn is_text(b: &u8) -> bool {
    *b == b'\t' || (*b >= b' ' && *b != 0x7f)
}

fn number(digits: &[u8]) -> Option<usize> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn is_imf_fixdate(date: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(date) else { return false };
    let parts: Vec<&str> = text.split(' ').collect();
    let [weekday, day, month, year, time, "GMT"] = parts[..] else { return false };
    let digits = |text: &str, len| text.len() == len && number(text.as_bytes()).is_some();
    let clock: Vec<&str> = time.split(':').collect();
    ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"].contains(&weekday)
        && "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(' ').any(|name| name == month)
        && digits(day, 2)
        && digits(year, 4)
        && clock.len() == 3
        && clock.iter().all(|part| digits(part, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    #[test]
    fn a_response_is_read_to_its_end() {
        let bytes = format!("{HEAD}Content-Length: 3\r\n\r\nabcHTTP");
        let (response, len) = Response::parse(bytes.as_bytes(), false).unwrap().unwrap();
        assert_eq!((&response.body[..], len), (&b"abc"[..], bytes.len() - 4));
        assert_eq!(Response::parse(&bytes.as_bytes()[..len - 1], false), Ok(None));
        let (response, len) = Response::parse(bytes.as_bytes(), true).unwrap().unwrap();
        assert_eq!((&response.body[..], len), (&b""[..], bytes.len() - 7));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        for bad in [
            format!("HTTP/1.0 200 OK\r\n{date}Server: s\r\nContent-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 2000 OK\r\n{date}Server: s\r\nContent-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 200\r\n{date}Server: s\r\nContent-Length: 0\r\n\r\n"),
            format!("{HEAD}\r\n"),
            format!("{HEAD}{date}Content-Length: 0\r\n\r\n"),
            format!("{HEAD}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
            format!("{HEAD}Content-Length: 0\r\nA: b\nC: d\r\n\r\n"),
            format!("{HEAD}Content-Length: 0\r\nA b\r\n\r\n"),
            format!("{HEAD}Content-Length: 0\r\nA : b\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n".into(),
            format!("HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 204 No Content\r\n{date}Server: s\r\nContent-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 405 No\r\n{date}Server: s\r\nContent-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 206 P\r\n{date}Server: s\r\nContent-Length: 2\r\nContent-Range: bytes 0-2/9\r\n\r\n"),
            format!("HTTP/1.1 416 R\r\n{date}Server: s\r\nContent-Length: 0\r\nContent-Range: bytes 0-2/9\r\n\r\n"),
        ] {
            assert!(Response::parse(bad.as_bytes(), false).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_have_one_form() {
        assert!(is_imf_fixdate(b"Sun, 06 Nov 1994 08:49:37 GMT"));
        for bad in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", ""]
        {
            assert!(!is_imf_fixdate(bad.as_bytes()), "{bad}");
        }
    }
}
