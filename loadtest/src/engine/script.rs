//! What every connection of a trial sends, and the limits that it has.

use super::clock::Nanos;
use super::expected::Expected;
use results::content::{Content, carries_body, method_and_path};
use std::num::NonZeroU32;
use std::time::Duration;

/// What every connection of a trial does: the prepared request bytes and the limits.
#[derive(Debug)]
pub struct Script {
    request: Box<[u8]>,
    last_request: Box<[u8]>,
    to_head: bool,
    is_get: bool,
    expected: Option<Expected>,
    per_connection: Option<NonZeroU32>,
    timeout: Nanos,
    connect_timeout: Nanos,
    open_loop: bool,
}

impl Script {
    /// Prepares the request for `workload` to the server whose Host field is `authority`. The workload is a `/path`, or
    /// has a method before it, as in `POST /counter`. With `per_connection`, the last request of each connection asks the
    /// server to close it.
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
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if content.count_headers("Host") == 0 {
            head += &format!("Host: {authority}\r\n");
        }
        content.headers.iter().for_each(|field| head += &format!("{field}\r\n"));
        if !body.is_empty() || carries_body(method) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let request = |last: &str| [head.as_bytes(), last.as_bytes(), b"\r\n", body].concat().into_boxed_slice();
        Script {
            request: request(""),
            last_request: request("Connection: close\r\n"),
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

    /// The request, if it is not the last one of its connection.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The request that asks the server to close the connection after the answer.
    pub fn closing_request(&self) -> &[u8] {
        &self.last_request
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
