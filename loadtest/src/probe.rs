//! The request before a load, which shows whether the target answers the workload at all. It has the load's own bytes
//! and parser, and not those of an HTTP client, which could accept what the load does not, or refuse what it accepts.

use crate::engine::{ParseProgress, Response, Script};
use crate::target::Url;
use results::content::Content;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Sends one request of a workload to the target, waits for the complete answer and returns its status. `timeout` is for
/// the whole exchange.
///
/// # Errors
/// No connection, no complete answer in time, or an answer that is not HTTP.
pub fn check(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<u16> {
    find(url, workload, content, timeout).map(|(_, status)| status)
}

/// As [`check`]; returns also which address of the host has answered. The addresses are tried in order. An address that
/// is silent leaves some of the time to connect to the next ones.
///
/// # Errors
/// As [`check`]: of each address.
pub(crate) fn find(url: &Url, workload: &str, content: &Content, timeout: Duration) -> io::Result<(SocketAddr, u16)> {
    let script = Script::new(url.authority(), workload, content, None, timeout, timeout);
    let until = Instant::now() + timeout;
    first_that_answers(&url.resolve()?, &script, until)
}

fn first_that_answers(addresses: &[SocketAddr], script: &Script, until: Instant) -> io::Result<(SocketAddr, u16)> {
    let mut errors = Vec::new();
    for (tried, &address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        match status(address, script, left / (addresses.len() - tried) as u32, until) {
            Ok(status) => return Ok((address, status)),
            Err(error) => errors.push((address, error)),
        }
    }
    if errors.len() == 1 {
        return Err(errors.remove(0).1);
    }
    let each: Vec<String> = errors.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    Err(io::Error::new(errors[0].1.kind(), each.join("; ")))
}

fn status(target: SocketAddr, script: &Script, connect_timeout: Duration, until: Instant) -> io::Result<u16> {
    let too_late = || io::Error::new(io::ErrorKind::TimedOut, "no complete answer in time");
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(too_late()),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&target, left()?.min(connect_timeout).max(Duration::from_millis(1)))?;
    let mut request = script.closing_request();
    let mut cut_off = None; // by a target that answers before it has read all
    while !request.is_empty() {
        stream.set_write_timeout(Some(left()?))?;
        match stream.write(request) {
            Ok(written) => request = &request[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late()),
            Err(error) => {
                cut_off = Some(error);
                break;
            }
        }
    }
    let mut response = Response::default();
    let mut buffer = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let read = match stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The kernel reports a socket's time-out as "try again". socket(7), SO_RCVTIMEO
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(too_late()),
            Err(error) => return Err(cut_off.unwrap_or(error)),
        };
        if read == 0 {
            return match response.is_complete_at_eof() {
                true => Ok(response.status()),
                false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a complete answer")),
            };
        }
        match response.feed(&buffer[..read], script.is_head()) {
            ParseProgress::Incomplete => {}
            ParseProgress::Complete(_) => return Ok(response.status()),
            ParseProgress::Invalid(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn the_addresses_of_a_host_are_tried_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // No machine has a route to this address, or the machine has no IPv6 at all. RFC 6666
        let unroutable: SocketAddr = "[100::1]:80".parse().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        let limit = Duration::from_secs(60);
        let script = Script::new("a", "/", &Content::default(), None, limit, limit);
        let first = |addresses: &[SocketAddr], limit| first_that_answers(addresses, &script, Instant::now() + limit);
        assert_eq!(first(&[good], limit).unwrap(), (good, 204));
        assert_eq!(first(&[refused, good], limit).unwrap(), (good, 204));
        assert_eq!(first(&[unroutable, refused, good], limit).unwrap(), (good, 204));
        let why = first(&[refused], limit).unwrap_err().to_string();
        assert!(why.starts_with("Connection refused"), "{why}");
        let why = first(&[refused, unroutable], Duration::from_secs(4)).unwrap_err().to_string();
        assert!(why.contains(&format!("{refused}: Connection refused")) && why.contains("; [100::1]:80: "), "{why}");
    }
}
