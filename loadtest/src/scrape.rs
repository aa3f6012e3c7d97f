//! A small blocking HTTP client for single requests, and a reader of Prometheus text.

use crate::response::{ParseProgress, Response};
use crate::target::Url;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The largest part of an answer that is kept, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Requests `url` with GET and returns the status and the body. `timeout` is for the whole exchange.
///
/// # Errors
/// No connection, no complete answer in time, or an answer that is not HTTP.
pub fn get(url: &Url, timeout: Duration) -> io::Result<(u16, Vec<u8>)> {
    // HTTP/1.0, so that the answer is not chunked.
    let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", url.path(), url.authority());
    let (status, answer) = exchange(url, request.as_bytes(), false, timeout, LARGEST)?;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    Ok((status, answer[head..].to_vec()))
}

/// Sends `request` and reads the complete answer. Returns the status, and the first `keep` bytes of the answer
/// including its head.
///
/// # Errors
/// As [`get`].
pub fn exchange(
    url: &Url,
    request: &[u8],
    to_head: bool,
    timeout: Duration,
    keep: usize,
) -> io::Result<(u16, Vec<u8>)> {
    let until = Instant::now() + timeout;
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "no complete answer in time")),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&url.resolve()?, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(request)?;
    let mut response = Response::default();
    let mut kept = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The kernel reports a socket's time-out as "try again". socket(7), SO_RCVTIMEO
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no complete answer in time"));
            }
            Err(error) => return Err(error),
        };
        if read == 0 {
            return match response.is_complete_at_eof() {
                true => Ok((response.status(), kept)),
                false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a complete answer")),
            };
        }
        let room = keep.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
        match response.feed(&buffer[..read], to_head) {
            ParseProgress::Incomplete => {}
            ParseProgress::Complete(_) => return Ok((response.status(), kept)),
            ParseProgress::Invalid(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}

/// The samples of a metric in Prometheus text: each sample's labels (as written, without braces) and value.
pub fn samples<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = (&'t str, f64)> + 't {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None if rest.starts_with([' ', '\t']) => ("", rest),
            None => return None,
        };
        Some((labels, value.split_ascii_whitespace().next()?.parse().ok()?))
    })
}

/// The sum over the samples of a metric whose labels contain `label`; `None` if there are no such samples.
pub fn total(text: &str, name: &str, label: &str) -> Option<f64> {
    let matching = samples(text, name).filter(|(labels, _)| labels.contains(label));
    matching.map(|(_, value)| value).reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_from_prometheus_text() {
        let text =
            "# HELP a b\n# TYPE a counter\na 1.5\nab 7\na_total{kind=\"x\"} 2\na_total{kind=\"y\"} 3 1700000000000\n";
        assert_eq!(total(text, "a", ""), Some(1.5));
        assert_eq!(total(text, "a_total", ""), Some(5.0));
        assert_eq!(total(text, "a_total", "kind=\"y\""), Some(3.0));
        assert_eq!(total(text, "missing", ""), None);
    }
}
