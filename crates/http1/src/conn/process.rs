//! From bytes to answers: finds the requests in what was received, and asks the handler.

use std::time::Instant;

use super::{Conn, Current, State, Upload};
use crate::body::Decoder;
use crate::handler::Handler;
use crate::head::{self, Framing, Head, Refusal};
use crate::reply::{Answer, Reply};
use crate::request::Request;

/// With that many bytes of output, a connection answers no further pipelined request before the output is sent.
const ENOUGH_OUTPUT: usize = 16 << 10;

impl<H: Handler> Conn<H> {
    /// Processes the bytes that were kept in `input`.
    pub(super) fn process_input(&mut self, now: Instant) {
        if self.input.is_empty() {
            return;
        }
        let mut input = std::mem::take(&mut self.input);
        let used = self.process(&input, self.scanned, now);
        input.drain(..used);
        if !input.is_empty() {
            self.input = input; // otherwise the memory is freed: an idle connection holds no buffer
        }
    }

    /// Answers as many requests as `bytes` holds and the output has room for. Returns how many bytes it used.
    pub(super) fn process(&mut self, bytes: &[u8], scanned: usize, now: Instant) -> usize {
        let mut at = 0;
        let mut scanned = scanned;
        self.scanned = 0;
        while matches!(self.state, State::Read) && !self.last && self.output.len() < ENOUGH_OUTPUT && at < bytes.len() {
            match self.process_one(&bytes[at..], scanned, now) {
                Ok(0) => {
                    // A head has begun. Its time counts from its first byte, so only its first piece sets the deadline.
                    // Half an empty line begins none: a peer that sends one now and then could stay forever.
                    if scanned == 0 && self.output.is_empty() && bytes[at..] != *b"\r" {
                        self.deadline = Some(now + self.limits.head_time);
                    }
                    self.scanned = bytes.len() - at;
                    break;
                }
                Ok(used) => at += used,
                Err(refusal) => {
                    self.refuse(refusal, now);
                    return bytes.len();
                }
            }
            scanned = 0;
        }
        at
    }

    /// Takes an empty line, a head (with its body, if that is here too) or a piece of the upload from the front of
    /// `bytes`. Returns how many bytes that was; 0 if the head is incomplete.
    fn process_one(&mut self, bytes: &[u8], scanned: usize, now: Instant) -> Result<usize, Refusal> {
        if self.upload.is_some() {
            return self.process_upload(bytes, now);
        }
        if bytes.starts_with(b"\r\n") {
            return Ok(2); // an empty line before a request line is skipped: RFC 9112, 2.2
        }
        self.current.head_only = bytes.starts_with(b"HEAD "); // in case the request is refused
        let mut fields = head::no_fields();
        let Some(head) = head::parse(bytes, scanned, self.limits, &mut fields)? else {
            return Ok(0);
        };
        if let Framing::Length(len) = head.framing
            && len <= self.limits.body
            && let Some(body) = bytes[head.len..].get(..len)
        {
            let request = Request { body, ..head.request };
            self.set_current(&head, now);
            self.answer(&request, now);
            return Ok(head.len + len);
        }
        let decoder = Decoder::new(head.framing, self.limits)?;
        if head.expects_continue && bytes.len() == head.len {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.set_current(&head, now);
        let deadline = now + self.limits.body_time;
        self.deadline = Some(deadline);
        self.upload = Some(Box::new(Upload { head: bytes[..head.len].to_vec(), decoder, deadline }));
        Ok(head.len)
    }

    fn process_upload(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Refusal> {
        let Some(mut upload) = self.upload.take() else { return Ok(0) };
        let used = upload.decoder.push(bytes, self.limits)?;
        if upload.decoder.is_done() {
            let mut fields = head::no_fields();
            let head = head::parse(&upload.head, 0, self.limits, &mut fields)?.ok_or(Refusal(400))?;
            let request = Request { body: &upload.decoder.content, ..head.request };
            self.current.since = now;
            self.answer(&request, now);
        } else {
            self.upload = Some(upload);
        }
        Ok(used)
    }

    fn set_current(&mut self, head: &Head<'_>, now: Instant) {
        self.current = Current {
            since: now,
            head_only: head.request.method == "HEAD",
            version: head.request.version,
            keep_alive: head.keep_alive,
        };
    }

    fn answer(&mut self, request: &Request<'_>, now: Instant) {
        match self.handler.answer(request, now) {
            Answer::Reply(reply) => self.compose(reply, now),
            Answer::Sleep(time, reply) => self.state = State::Sleep(now + time, Box::new(reply)),
            Answer::Block(job) => self.state = State::Job(Some(job)),
            Answer::Later => self.state = State::Job(None),
        }
        if self.output.is_empty() {
            self.deadline = None; // otherwise the peer must still take the replies before this one
        }
    }

    /// Composes a reply that had to wait, and answers the requests that were pipelined behind it.
    pub(super) fn resume(&mut self, reply: Reply, now: Instant) {
        self.compose(reply, now);
        if self.output.len() < ENOUGH_OUTPUT {
            self.process_input(now);
        }
    }
}
