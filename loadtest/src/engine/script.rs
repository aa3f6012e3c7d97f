//! What every connection of a trial sends, and the limits that it has.

use super::clock::Nanos;
use super::expected::Expected;
use super::turns::Turns;
use results::content::{Content, carries_body, method_and_path};
use std::num::NonZeroU32;
use std::time::Duration;

/// What every connection of a trial does: the prepared request bytes and the limits.
#[derive(Debug)]
pub struct Script {
    requests: Requests,
    last_requests: Requests,
    turns: Turns,
    to_head: bool,
    is_get: bool,
    expected: Option<Expected>,
    per_connection: Option<NonZeroU32>,
    timeout: Nanos,
    connect_timeout: Nanos,
    open_loop: bool,
}

/// Requests for one path after another.
#[derive(Debug)]
struct Requests {
    bytes: Box<[u8]>,
    /// Where each ends.
    ends: Box<[usize]>,
}

impl Requests {
    fn new<'p>(paths: impl Iterator<Item = &'p str>, make: impl Fn(&mut Vec<u8>, &str)) -> Requests {
        let mut bytes = Vec::new();
        let ends = paths.map(|path| {
            make(&mut bytes, path);
            bytes.len()
        });
        let ends = ends.collect();
        Requests { bytes: bytes.into(), ends }
    }

    fn get(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

impl Script {
    /// Prepares the requests for `workload` to the server whose Host field is `authority`. The workload is a `/path`, or
    /// has a method before it, as in `POST /counter`, or stands for a list of paths, which the content has. With
    /// `per_connection`, the last request of each connection asks the server to close it.
    pub fn new(
        authority: &str,
        workload: &str,
        content: &Content,
        per_connection: Option<NonZeroU32>,
        timeout: Duration,
        connect_timeout: Duration,
    ) -> Script {
        let (method, path) = method_and_path(workload);
        let body = &content.body.0;
        let mut fields = String::new();
        if content.count_headers("Host") == 0 {
            fields += &format!("Host: {authority}\r\n");
        }
        content.headers.iter().for_each(|field| fields += &format!("{field}\r\n"));
        if !body.is_empty() || carries_body(method) {
            fields += &format!("Content-Length: {}\r\n", body.len());
        }
        let paths = || match &content.paths {
            Some(list) => list.paths.iter().map(String::as_str).collect(),
            None => vec![path],
        };
        let requests = |last: &str| {
            Requests::new(paths().into_iter(), |bytes, path| {
                bytes.extend_from_slice(format!("{method} {path} HTTP/1.1\r\n{fields}{last}\r\n").as_bytes());
                bytes.extend_from_slice(body);
            })
        };
        Script {
            requests: requests(""),
            last_requests: requests("Connection: close\r\n"),
            turns: Turns::in_order(paths().len() as u32),
            to_head: method == "HEAD",
            is_get: method == "GET",
            expected: None,
            per_connection,
            timeout: timeout.as_nanos() as Nanos,
            connect_timeout: connect_timeout.as_nanos() as Nanos,
            open_loop: false,
        }
    }

    /// Makes this the script of an open loop: after each answer a connection waits until it is given its next request.
    pub fn open_loop(self) -> Script {
        Script { open_loop: true, ..self }
    }

    /// Shuffles the paths.
    pub fn shuffled(self, seed: u64) -> Script {
        Script { turns: self.turns.shuffled(seed), ..self }
    }

    /// Makes answers that differ from `expected` errors.
    pub fn expecting(self, expected: Expected) -> Script {
        Script { expected: Some(expected), ..self }
    }

    /// What answers are compared with.
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }

    /// The longest time that a request may take, and also that it may wait for a connection.
    pub fn timeout(&self) -> Nanos {
        self.timeout
    }

    /// The longest time that establishing a connection may take.
    pub fn connect_timeout(&self) -> Nanos {
        self.connect_timeout
    }

    /// Whether the schedule says when requests are sent, not the answers to earlier requests.
    pub fn is_open_loop(&self) -> bool {
        self.open_loop
    }

    /// How many requests a connection carries, if their number is limited.
    pub fn per_connection(&self) -> Option<NonZeroU32> {
        self.per_connection
    }

    /// The number of the path that has its turn: each call gives another one, until all had theirs.
    #[inline]
    pub fn next_path(&self) -> u32 {
        self.turns.next()
    }

    /// The number of the last path.
    pub fn last_path(&self) -> u32 {
        self.turns.paths() - 1
    }

    /// The request for a path, if it is not the last one of its connection.
    pub fn request(&self, path: u32) -> &[u8] {
        self.requests.get(path)
    }

    /// The request for a path that asks the server to close the connection after the answer.
    pub fn closing_request(&self, path: u32) -> &[u8] {
        self.last_requests.get(path)
    }

    /// Whether it may be sent once more without any effect on the server, and its answers have a body.
    pub fn is_get(&self) -> bool {
        self.is_get
    }

    /// Whether answers have no body because the request is a HEAD.
    pub fn is_head(&self) -> bool {
        self.to_head
    }
}
