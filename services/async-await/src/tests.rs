use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use app::{App, Settings};
use http1::{Answer, Job, Reply, Request, Served};
use scoreboard::Scoreboard;

use super::*;

/// The longest that a test waits for a reply.
const TIMEOUT: Duration = Duration::from_secs(120);

/// `/block` waits until `/` was answered on another connection; `/stop` begins the stop while its own request is in progress.
struct Routes {
    answered: Sender<()>,
    answered_elsewhere: Option<Receiver<()>>,
    stopping: Arc<Stopping>,
}

impl Handler for Routes {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        let stopping = Arc::clone(&self.stopping);
        match (request.path, self.answered_elsewhere.take()) {
            ("/block", Some(answered)) => Answer::Block(Job::new(move || {
                answered.recv_timeout(Duration::from_secs(10)).unwrap();
                Reply::text("blocked")
            })),
            ("/stop", _) => Answer::Block(Job::new(move || {
                stopping.begin();
                Reply::text("stopped")
            })),
            _ => {
                self.answered.send(()).unwrap();
                Answer::Reply(Reply::text("hello"))
            }
        }
    }

    fn date(&mut self, _now: Instant) -> [u8; 29] {
        *b"Sun, 06 Nov 1994 08:49:37 GMT"
    }

    fn served(&mut self, _served: Served) {}
}

/// The replies that peers read, each of which sends one request over its own connection. All tasks are on one thread.
fn replies(requests: &[&str]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::new(Settings::with_files(".", "no-store"), Scoreboard::map().unwrap()).unwrap();
    let calls = Calls(app.counters());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let stopping = Stopping::at_sigterm().unwrap();
        let (answered, receiver) = channel();
        let mut receiver = Some(receiver);
        let (mut peers, mut tasks) = (Vec::new(), Vec::new());
        for request in requests {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_read_timeout(Some(TIMEOUT)).unwrap();
            peer.write_all(request.as_bytes()).unwrap();
            let socket = calls.accept(&listener, true).unwrap();
            let handler = Routes {
                answered: answered.clone(),
                answered_elsewhere: receiver.take(),
                stopping: Arc::clone(&stopping),
            };
            let conn = Conn::new(handler, &app.settings().limits, Instant::now());
            let stopping = Arc::clone(&stopping);
            tasks.push(tokio::spawn(async move { serve_connection(socket, conn, calls, &stopping).await }));
            peers.push(thread::spawn(move || {
                let mut reply = String::new();
                peer.read_to_string(&mut reply).unwrap();
                reply
            }));
        }
        for task in tasks {
            tokio::time::timeout(TIMEOUT, task).await.expect("the connection ends").unwrap().unwrap();
        }
        peers.into_iter().map(|peer| peer.join().unwrap()).collect()
    })
}

#[test]
fn a_blocking_call_delays_no_other_connection() {
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let replies = replies(&[&request("/block"), &request("/")]);
    assert!(replies[0].ends_with("blocked"), "{replies:?}");
    assert!(replies[1].ends_with("hello"), "{replies:?}");
}

#[test]
fn a_reply_that_comes_after_sigterm_says_close() {
    let replies = replies(&["GET /stop HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert!(replies[0].contains("Connection: close") && replies[0].ends_with("stopped"), "{replies:?}");
}
