//! Waits for the first answer of a server that was just started.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use loadtest::target::Url;
use loadtest::{probe, unless_stopped};
use results::content::NOTHING;

use crate::limit::Limit;

/// How soon a server that does not answer yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// The time for an answer where the limit is over before the server was asked for the first time.
const LAST_CHANCE: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The server has ended.
    Ended,
    /// No process listens, as far as was seen until the limit.
    NotListening,
    /// The lab shall end.
    Interrupted,
    /// How the last attempt has failed, or the one before, if the last one got nothing in its time.
    Failed(io::Error),
}

/// Waits until the server at this address answers GET / with any status.
///
/// # Errors
/// It has ended, or it does not answer within the limit, or the lab shall end.
pub fn wait(address: SocketAddr, limit: &Limit, mut has_ended: impl FnMut() -> bool) -> Result<(), NoAnswer> {
    let url: Url =
        format!("http://{address}").parse().map_err(|why: String| NoAnswer::Failed(io::Error::other(why)))?;
    let mut last: Option<NoAnswer> = None;
    loop {
        if has_ended() {
            return Err(NoAnswer::Ended);
        }
        let left = match limit.left() {
            Ok(left) => left,
            Err(_) if limit.is_stopped() => return Err(NoAnswer::Interrupted),
            Err(_) => match last {
                Some(why) => return Err(why),
                None => LAST_CHANCE, // it was never asked
            },
        };
        let url = url.clone();
        let asked = unless_stopped(limit.stop(), Duration::ZERO, move || probe::check(&url, "/", &NOTHING, left));
        let failed = match asked {
            Ok(Some(Ok(_status))) => return Ok(()),
            Ok(Some(Err(error))) if error.kind() == io::ErrorKind::ConnectionRefused => NoAnswer::NotListening,
            Ok(Some(Err(error))) | Err(error) => NoAnswer::Failed(error),
            Ok(None) => return Err(NoAnswer::Interrupted),
        };
        last = Some(more_telling(last, failed));
        thread::sleep(ASK_AGAIN);
    }
}

/// The new failure; but the one before if the new one only says that the time was over.
fn more_telling(before: Option<NoAnswer>, new: NoAnswer) -> NoAnswer {
    match (before, new) {
        (Some(before @ NoAnswer::Failed(_)), NoAnswer::Failed(new)) if new.kind() == io::ErrorKind::TimedOut => before,
        (_, new) => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::AtomicBool;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn limit(time: Duration) -> Limit {
        Limit::new(time, &GO_ON)
    }

    #[test]
    fn any_status_is_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            // The first connection gets no answer, as from a server that is not ready.
            let _ = listener.accept();
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        wait(address, &limit(Duration::from_secs(60)), || false).expect("an answer");
    }

    #[test]
    fn a_server_that_has_ended_or_does_not_listen_gives_no_answer() {
        // It is bound, so that no other process gets the port, but nothing listens.
        let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let address: SockaddrIn = getsockname(bound.as_raw_fd()).unwrap();
        let address = SocketAddr::from((address.ip(), address.port()));
        assert!(matches!(wait(address, &limit(Duration::from_secs(60)), || true), Err(NoAnswer::Ended)));
        let none = wait(address, &limit(Duration::from_secs(2)), || false);
        assert!(matches!(none, Err(NoAnswer::NotListening)), "{none:?}");
    }

    #[test]
    fn a_server_that_accepts_and_does_not_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let none = wait(listener.local_addr().unwrap(), &limit(Duration::from_secs(2)), || false);
        assert!(matches!(&none, Err(NoAnswer::Failed(error)) if error.kind() == io::ErrorKind::TimedOut), "{none:?}");
        static STOP: AtomicBool = AtomicBool::new(true);
        let none = wait(listener.local_addr().unwrap(), &Limit::new(Duration::from_secs(60), &STOP), || false);
        assert!(matches!(none, Err(NoAnswer::Interrupted)), "{none:?}");
    }

    #[test]
    fn a_server_that_does_not_speak_http_is_told_from_one_that_is_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(b"220 mail ready\r\n").unwrap();
            drop(stream);
            // The next ones wait for their answer.
            let _waiting: Vec<_> = listener.incoming().collect();
        });
        let none = wait(address, &limit(Duration::from_secs(2)), || false);
        assert!(matches!(&none, Err(NoAnswer::Failed(error)) if error.kind() != io::ErrorKind::TimedOut), "{none:?}");
    }
}
