use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http1::{Answer, Body, Handler, Job, Limits, Reply, Request, Served};

/// Limits so small that an input can exceed each of them.
pub static LIMITS: Limits = Limits {
    request_line: 64,
    head: 300,
    body: 64,
    chunk_line: 16,
    trailers: 40,
    head_time: Duration::from_millis(100),
    body_time: Duration::from_millis(200),
    idle_time: Duration::from_millis(150),
    write_time: Duration::from_millis(200),
    drain_time: Duration::from_millis(50),
    grace_time: Duration::from_millis(20),
};

/// The requests that the handler was asked to answer, and the replies that were served.
#[derive(Clone, Debug, Default)]
pub struct Log(Rc<RefCell<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    requests: Vec<LoggedRequest>,
    served: Vec<u16>,
}

/// A request as the handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    pub method: String,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
    hosts: Vec<Vec<u8>>,
}

impl Log {
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.0.borrow().requests.clone()
    }

    pub fn served(&self) -> Vec<u16> {
        self.0.borrow().served.clone()
    }
}

/// Answers in every way that a handler can, by the path's second character.
#[derive(Clone, Debug)]
pub struct FuzzHandler(pub Log);

impl Handler for FuzzHandler {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        assert!(request.body.len() <= LIMITS.body && request.path.len() <= LIMITS.request_line);
        self.0.0.borrow_mut().requests.push(LoggedRequest {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            body: request.body.to_vec(),
            hosts: request.fields("host").map(<[u8]>::to_vec).collect(),
        });
        let echo = Reply::text(format!("{} {}\n", request.path, request.body.len()));
        match request.path.as_bytes().get(1) {
            Some(b's') => Answer::Sleep(Duration::from_millis(30), echo),
            Some(b'b') => Answer::Block(Job::new(move || echo)),
            Some(b'l') => Answer::Reply(Reply::text("x".repeat(20_000))),
            Some(b'f') => Answer::Reply(Reply { body: file(), ..echo }),
            Some(b'n') => Answer::Reply(Reply { status: 304, body: Body::None, ..echo }.with("ETag", "\"n\"")),
            _ => Answer::Reply(echo),
        }
    }

    fn date(&mut self, _now: Instant) -> [u8; 29] {
        *b"Sun, 06 Nov 1994 08:49:37 GMT"
    }

    fn served(&mut self, served: Served) {
        self.0.0.borrow_mut().served.push(served.status);
    }
}

fn file() -> Body {
    static FILE: OnceLock<Arc<File>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("http1-fuzz-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(&[b'f'; 1000]).unwrap();
        Arc::new(file)
    });
    Body::File { file: file.clone(), offset: 100, len: 900 }
}
