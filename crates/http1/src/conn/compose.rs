//! From replies to bytes: appends them to the output.

use std::time::Instant;

use super::{Conn, Current, State, Unserved};
use crate::handler::Handler;
use crate::head::Refusal;
use crate::reply::{Body, Reply, reason};
use crate::request::Version;

impl<H: Handler> Conn<H> {
    /// Refuses a request that cannot be framed or is late, and ends the connection: what the peer still sends is read
    /// and dropped.
    pub(super) fn refuse(&mut self, Refusal(status): Refusal, now: Instant) {
        self.current = Current { since: now, keep_alive: false, ..self.current };
        self.compose(Reply::status(status), now);
        self.input = Vec::new();
        self.upload = None;
        self.state = State::Shut;
    }

    /// Appends a reply's head to the output, and its body if that is in memory.
    pub(super) fn compose(&mut self, reply: Reply, now: Instant) {
        let Current { since, head_only, version, keep_alive } = self.current;
        let keep_alive = keep_alive && !self.stopping;
        self.last = !keep_alive;
        self.deadline = Some(now + self.limits.write_time);
        self.unserved.push(Unserved { status: reply.status, mark: reply.mark, since });

        let out = &mut self.output;
        let mut number = itoa::Buffer::new();
        if reply.status == 200 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: io-models\r\nDate: ");
        } else {
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(number.format(reply.status).as_bytes());
            out.push(b' ');
            out.extend_from_slice(reason(reply.status).as_bytes());
            out.extend_from_slice(b"\r\nServer: io-models\r\nDate: ");
        }
        out.extend_from_slice(&self.handler.date(now));
        if !reply.content_type.is_empty() && !matches!(reply.body, Body::None) {
            out.extend_from_slice(b"\r\nContent-Type: ");
            out.extend_from_slice(reply.content_type.as_bytes());
        }
        if !matches!(reply.body, Body::None) {
            out.extend_from_slice(b"\r\nContent-Length: ");
            out.extend_from_slice(number.format(reply.body.len()).as_bytes());
        }
        for (name, value) in &reply.fields {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
        }
        match (keep_alive, version) {
            (true, Version::Http10) => out.extend_from_slice(b"\r\nConnection: keep-alive"),
            (false, _) => out.extend_from_slice(b"\r\nConnection: close"),
            (true, Version::Http11) => {}
        }
        out.extend_from_slice(b"\r\n\r\n");
        match reply.body {
            Body::Bytes(bytes) if !head_only => out.extend_from_slice(&bytes),
            Body::File { file, offset, len } if !head_only && len > 0 => {
                self.state = State::File { file, offset, len };
            }
            _ => {}
        }
    }
}
