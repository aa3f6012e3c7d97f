//! The line in which a service says on which addresses it listens.

use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use crate::limit::Limit;

/// How often a wait looks whether the lab shall end, in milliseconds.
const TICK: u8 = 50;

/// A pipe on which reads wait no longer than the limit, if there is one.
pub struct Limited<P> {
    pub pipe: P,
    pub limit: Option<Limit>,
}

impl<P: Read + AsFd> Read for Limited<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(limit) = &self.limit {
            limit.left()?;
            match poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)], TICK) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        self.pipe.read(buffer)
    }
}

/// Reads until the line in which the service `name` says its own address and that of its admin endpoint. Returns both, and the
/// lines before.
///
/// # Errors
/// What the service has said, if it has ended without that line; the kernel's error, or that of the limit.
pub fn addresses(lines: &mut impl BufRead, name: &str) -> io::Result<(SocketAddr, SocketAddr, Vec<String>)> {
    let mut before = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            let why = if before.is_empty() { "it ended without a message".to_owned() } else { before.join("\n") };
            return Err(io::Error::other(why));
        }
        let line = String::from_utf8_lossy(&line);
        if let Some((rest, listen, admin)) = parse(&line, name) {
            before.extend((!rest.is_empty()).then(|| rest.to_owned()));
            return Ok((listen, admin, before));
        }
        before.push(line.trim_end().to_owned());
    }
}

/// The addresses in a line, and what stands before them: a guest may have written the beginning of a line of its own.
fn parse<'l>(line: &'l str, name: &str) -> Option<(&'l str, SocketAddr, SocketAddr)> {
    let (before, said) = line.trim_end().split_once(&format!("{name}: listening on http://"))?;
    let (listen, admin) = said.split_once(", admin on http://")?;
    Some((before, listen.parse().ok()?, admin.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    #[test]
    fn only_the_line_of_the_service_has_its_addresses() {
        let said = "GET http://127.0.0.1:1, http://127.0.0.1:2\nmine: listening on http://localhost\n\
                    starts mine: listening on http://127.0.0.1:3, admin on http://127.0.0.1:4\nmore\n";
        let (listen, admin, before) = addresses(&mut said.as_bytes(), "mine").unwrap();
        assert_eq!((listen.port(), admin.port(), before.len()), (3, 4, 3));
        assert_eq!(before[2], "starts ");
        assert_eq!(addresses(&mut said.as_bytes(), "other").unwrap_err().to_string().lines().count(), 4);
        assert_eq!(addresses(&mut &b""[..], "mine").unwrap_err().to_string(), "it ended without a message");
    }

    #[test]
    fn a_service_that_says_nothing_is_not_waited_for() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let (pipe, _writer) = io::pipe().unwrap();
        let limited = |pipe| BufReader::new(Limited { pipe, limit: Some(Limit::new(Duration::from_millis(1), &STOP)) });
        let error = addresses(&mut limited(pipe.try_clone().unwrap()), "mine").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        STOP.store(true, Relaxed);
        assert_eq!(addresses(&mut limited(pipe), "mine").unwrap_err().to_string(), "interrupted");
    }
}
