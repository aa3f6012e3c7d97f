//! Waits for the first answer of a server that was just started.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use loadtest::target::Url;
use loadtest::{probe, unless_stopped};
use results::content::NOTHING;

use crate::addresses::Limit;

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
    /// How the last attempt has failed; or the lab shall end.
    Failed(io::Error),
}

/// Waits until the server at this address answers GET / with any status.
///
/// # Errors
/// It has ended, or it does not answer within the limit.
pub fn wait(address: SocketAddr, limit: &Limit, mut has_ended: impl FnMut() -> bool) -> Result<(), NoAnswer> {
    let url: Url =
        format!("http://{address}").parse().map_err(|why: String| NoAnswer::Failed(io::Error::other(why)))?;
    let mut last = None;
    loop {
        if has_ended() {
            return Err(NoAnswer::Ended);
        }
        let left = match (limit.left(), last) {
            (Ok(left), _) => left,
            (Err(over), _) if over.kind() != io::ErrorKind::TimedOut => return Err(NoAnswer::Failed(over)),
            (Err(_), Some(why)) => return Err(why),
            (Err(_), None) => LAST_CHANCE, // it was never asked
        };
        let url = url.clone();
        let asked = unless_stopped(limit.stop, Duration::ZERO, move || probe::check(&url, "/", &NOTHING, left));
        last = match asked {
            Ok(Some(Ok(_status))) => return Ok(()),
            Ok(Some(Err(error))) if error.kind() == io::ErrorKind::ConnectionRefused => Some(NoAnswer::NotListening),
            Ok(Some(Err(error))) | Err(error) => Some(NoAnswer::Failed(error)),
            Ok(None) => None, // the limit says that the lab shall end
        };
        thread::sleep(ASK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
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
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
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
        assert!(matches!(&none, Err(NoAnswer::Failed(error)) if error.to_string() == "interrupted"), "{none:?}");
    }
}
