use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::body::Decoder;
use crate::head::{self, Framing, Head, Refusal};
use crate::limits::Limits;
use crate::reply::{Answer, Body, Job, Reply, reason};
use crate::request::{Request, Version};

/// Replies are gathered up to that many bytes before they are written, when a peer pipelines.
const GATHER: usize = 16 << 10;
/// A buffer that outgrew this is given back when its connection falls idle.
const IDLE_BUFFER: usize = 512;

/// What is served. One lives in every connection, so it is best a small handle.
pub trait Handler {
    /// Answers a complete, valid request.
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Answer;

    /// The Date field's value (RFC 9110, 5.6.7).
    fn date(&mut self, now: Instant) -> [u8; 29];

    /// Is told of each reply when the socket has taken its last byte.
    fn served(&mut self, _served: Served) {}
}

/// A reply that is out.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Its status code.
    pub status: u16,
    /// The handler's mark; 0 where the handler was never asked, as for a request that cannot be parsed.
    pub mark: u8,
    /// From the bytes that completed the request to the last byte of the reply.
    pub took: Duration,
}

/// What a connection wants next. It repeats itself until it is answered.
#[derive(Debug)]
pub enum Want<'a> {
    /// Bytes from the peer. Answer with [`Conn::received`]; no bytes mean end of stream.
    Read,
    /// These bytes written; `more` follows at once (a file), so they need not be sent alone. Answer with
    /// [`Conn::sent`]; they stay where they are until then.
    Write {
        /// What to write.
        bytes: &'a [u8],
        /// Does a [`Want::SendFile`] follow?
        more: bool,
    },
    /// A piece of a file written. Answer with [`Conn::sent`]; 0 bytes mean that the file has shrunk.
    SendFile(FileRange<'a>),
    /// To be left alone until then. Answer with [`Conn::woke`].
    Sleep(Instant),
    /// A call that blocks. Answer with [`Conn::done`]; [`Want::Pending`] until then.
    Block(Job),
    /// Nothing: a job is out, or the reply comes later.
    Pending,
    /// The write side shut down, so that the peer sees the reply's end. Answer with [`Conn::shut`].
    Shut,
    /// To be closed.
    Close,
}

/// A piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRange<'a> {
    /// The open file.
    pub file: &'a Arc<File>,
    /// Where the piece starts, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; never 0.
    pub len: u64,
}

/// An HTTP/1.1 server connection without its socket.
#[derive(Debug)]
pub struct Conn<H> {
    handler: H,
    limits: &'static Limits,
    step: Step,
    deadline: Option<Instant>,
    /// Bytes received and not yet used: an unfinished head, or what was pipelined behind an unfinished reply.
    input: Vec<u8>,
    /// That much of `input` is known to hold no whole head.
    seen: usize,
    upload: Option<Box<Upload>>,
    output: Vec<u8>,
    written: usize,
    /// The replies in `output` and behind it, for [`Handler::served`].
    replies: Vec<Sent>,
    /// What the reply under way needs to know of its request.
    current: Current,
    stopping: bool,
    /// After what is being written, the connection ends.
    last: bool,
    ended: bool,
}

#[derive(Debug)]
enum Step {
    Read,
    File { file: Arc<File>, offset: u64, len: u64 },
    Sleep(Instant, Box<Reply>),
    Job(Option<Job>),
    Shut,
    Drain,
    Close,
}

/// A request whose body is still coming.
#[derive(Debug)]
struct Upload {
    head: Vec<u8>,
    decoder: Decoder,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    status: u16,
    mark: u8,
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    since: Instant,
    head_only: bool,
    version: Version,
    keep_alive: bool,
}

impl<H: Handler> Conn<H> {
    /// A connection that was just accepted.
    pub fn new(handler: H, limits: &'static Limits, now: Instant) -> Conn<H> {
        Conn {
            handler,
            limits,
            step: Step::Read,
            deadline: Some(now + limits.idle_time),
            input: Vec::new(),
            seen: 0,
            upload: None,
            output: Vec::new(),
            written: 0,
            replies: Vec::new(),
            current: Current { since: now, head_only: false, version: Version::Http11, keep_alive: true },
            stopping: false,
            last: false,
            ended: false,
        }
    }

    /// What to do next.
    pub fn want(&mut self) -> Want<'_> {
        if self.written < self.output.len() && !matches!(self.step, Step::Close) {
            let more = matches!(self.step, Step::File { .. });
            return Want::Write { bytes: &self.output[self.written..], more };
        }
        match &mut self.step {
            Step::Read | Step::Drain => Want::Read,
            Step::File { file, offset, len } => Want::SendFile(FileRange { file, offset: *offset, len: *len }),
            Step::Sleep(until, _) => Want::Sleep(*until),
            Step::Job(job) => job.take().map_or(Want::Pending, Want::Block),
            Step::Shut => Want::Shut,
            Step::Close => Want::Close,
        }
    }

    /// When [`expired`](Conn::expired) is to be called, unless something moves before.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The peer sent these bytes; none mean that it sends no more.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        match (&self.step, bytes) {
            (Step::Drain, []) => self.close(),
            (Step::Drain, _) => {}
            (_, []) => {
                self.ended = true;
                if self.has_begun() {
                    self.refuse(Refusal(400), now); // RFC 9112, 8: an incomplete request
                } else {
                    self.close();
                }
            }
            _ if self.input.is_empty() => {
                let used = self.process(bytes, 0, now);
                self.input.extend_from_slice(&bytes[used..]);
            }
            _ => {
                self.input.extend_from_slice(bytes);
                self.process_input(now);
            }
        }
    }

    /// The socket took `n` bytes of what was wanted written.
    pub fn sent(&mut self, n: usize, now: Instant) {
        if self.written < self.output.len() {
            self.written += n;
        } else if let Step::File { offset, len, .. } = &mut self.step {
            if n == 0 {
                return self.close(); // the length that was promised cannot be kept
            }
            *offset += n as u64;
            *len -= n as u64;
            if *len == 0 {
                self.step = Step::Read;
            }
        }
        if self.written < self.output.len() || matches!(self.step, Step::File { .. }) {
            self.deadline = Some(now + self.limits.write_time);
            return;
        }
        self.output.clear();
        self.written = 0;
        for Sent { status, mark, since } in self.replies.drain(..) {
            self.handler.served(Served { status, mark, took: now.saturating_duration_since(since) });
        }
        match self.step {
            Step::Read => self.all_sent(now),
            Step::Shut => self.deadline = Some(now + self.limits.drain_time),
            _ => self.deadline = None, // asleep, or at a job
        }
    }

    /// The next piece of the file had to be waited for, and is here: from now on the peer has its time to take it.
    pub fn file_ready(&mut self, now: Instant) {
        if matches!(self.step, Step::File { .. }) {
            self.deadline = Some(now + self.limits.write_time);
        }
    }

    /// The time that it wanted to sleep until has come; earlier, it sleeps on.
    pub fn woke(&mut self, now: Instant) {
        if matches!(self.step, Step::Sleep(until, _) if until <= now)
            && let Step::Sleep(_, reply) = std::mem::replace(&mut self.step, Step::Read)
        {
            self.resume(*reply, now);
        }
    }

    /// The job gave this reply.
    pub fn done(&mut self, reply: Reply, now: Instant) {
        if matches!(self.step, Step::Job(_)) {
            self.step = Step::Read;
            self.resume(reply, now);
        }
    }

    /// The write side is shut down.
    pub fn shut(&mut self, now: Instant) {
        if self.ended {
            return self.close();
        }
        self.step = Step::Drain;
        self.deadline = Some(now + self.limits.drain_time);
    }

    /// Does what is to be done at the [`deadline`](Conn::deadline), if it has passed.
    pub fn expired(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let reading = matches!(self.step, Step::Read) && self.output.is_empty();
        if reading && self.has_begun() {
            self.refuse(Refusal(408), now);
        } else {
            self.close();
        }
    }

    /// The server stops: what is under way is finished, with `Connection: close`, and nothing new is begun.
    ///
    /// An idle connection is closed at once, unless it was busy within [`Limits::grace_time`].
    pub fn stop(&mut self, now: Instant) {
        let first = !std::mem::replace(&mut self.stopping, true);
        if first
            && self.is_idle()
            && let Some(deadline) = self.deadline
        {
            let grace = deadline - self.limits.idle_time + self.limits.grace_time;
            self.deadline = Some(grace.min(deadline));
            self.expired(now);
        }
    }

    /// Is it between requests?
    fn is_idle(&self) -> bool {
        matches!(self.step, Step::Read) && self.output.is_empty() && !self.has_begun()
    }

    /// Is part of a request here? Half an empty line is none.
    fn has_begun(&self) -> bool {
        self.upload.is_some() || !matches!(self.input[..], [] | [b'\r'])
    }

    fn close(&mut self) {
        self.step = Step::Close;
        self.deadline = None;
    }

    /// Everything is written: goes on with what was pipelined, or waits for more, or ends.
    fn all_sent(&mut self, now: Instant) {
        if self.last && self.input.is_empty() && !self.stopping {
            self.close();
        } else if self.last {
            // Closing with bytes unread would reset the reply away, and while we stop the peer may yet be sending more.
            self.step = Step::Shut;
        } else if let Some(upload) = &self.upload {
            self.deadline = Some(upload.until); // that was `100 Continue`
        } else if !self.has_begun() {
            let idle = if self.stopping { self.limits.grace_time } else { self.limits.idle_time };
            self.deadline = Some(now + idle);
            if self.output.capacity() > IDLE_BUFFER {
                self.output = Vec::new();
            }
        } else {
            self.deadline = Some(now + self.limits.head_time);
            self.process_input(now);
        }
    }

    fn process_input(&mut self, now: Instant) {
        if self.input.is_empty() {
            return;
        }
        let mut input = std::mem::take(&mut self.input);
        let used = self.process(&input, self.seen, now);
        input.drain(..used);
        if !input.is_empty() {
            self.input = input; // else its memory goes: an idle connection holds no buffer
        }
    }

    /// Answers as many requests as `bytes` holds and the output has room for; says how many bytes it used.
    fn process(&mut self, bytes: &[u8], seen: usize, now: Instant) -> usize {
        let mut at = 0;
        let mut seen = seen;
        self.seen = 0;
        while matches!(self.step, Step::Read) && !self.last && self.output.len() < GATHER && at < bytes.len() {
            match self.process_one(&bytes[at..], seen, now) {
                Ok(0) => {
                    // A head is begun. Its time counts from the first byte on, so only the first piece sets it; half
                    // an empty line begins none, or a peer could stay forever by sending one now and then.
                    if seen == 0 && self.output.is_empty() && bytes[at..] != *b"\r" {
                        self.deadline = Some(now + self.limits.head_time);
                    }
                    self.seen = bytes.len() - at;
                    break;
                }
                Ok(used) => at += used,
                Err(refusal) => {
                    self.refuse(refusal, now);
                    return bytes.len();
                }
            }
            seen = 0;
        }
        at
    }

    /// One step: a head, with its body if that is here too, or a piece of the body under way. 0: no whole head.
    fn process_one(&mut self, bytes: &[u8], seen: usize, now: Instant) -> Result<usize, Refusal> {
        if self.upload.is_some() {
            return self.process_upload(bytes, now);
        }
        if bytes.starts_with(b"\r\n") {
            return Ok(2); // an empty line before a request line is skipped: RFC 9112, 2.2
        }
        self.current.head_only = bytes.starts_with(b"HEAD "); // should it be refused
        let mut fields = head::no_fields();
        let Some(head) = head::parse(bytes, seen, self.limits, &mut fields)? else {
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
        let until = now + self.limits.body_time;
        self.deadline = Some(until);
        self.upload = Some(Box::new(Upload { head: bytes[..head.len].to_vec(), decoder, until }));
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
            Answer::Sleep(time, reply) => self.step = Step::Sleep(now + time, Box::new(reply)),
            Answer::Block(job) => self.step = Step::Job(Some(job)),
            Answer::Later => self.step = Step::Job(None),
        }
        if self.output.is_empty() {
            self.deadline = None; // else the peer must still take the replies before this one
        }
    }

    /// A reply that had to wait is here; what was pipelined behind it goes on when it is out.
    fn resume(&mut self, reply: Reply, now: Instant) {
        self.compose(reply, now);
        if self.output.len() < GATHER {
            self.process_input(now);
        }
    }

    /// Answers what cannot be framed, and ends: what follows is read and thrown away.
    fn refuse(&mut self, Refusal(status): Refusal, now: Instant) {
        self.current = Current { since: now, keep_alive: false, ..self.current };
        self.compose(Reply::status(status), now);
        self.input = Vec::new();
        self.upload = None;
        self.step = Step::Shut;
    }

    /// Appends a reply's head, and its body where that is in memory, to the output.
    fn compose(&mut self, reply: Reply, now: Instant) {
        let Current { since, head_only, version, keep_alive } = self.current;
        let keep_alive = keep_alive && !self.stopping;
        self.last = !keep_alive;
        self.deadline = Some(now + self.limits.write_time);
        self.replies.push(Sent { status: reply.status, mark: reply.mark, since });

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
            push_field(out, b"Content-Type", reply.content_type.as_bytes());
        }
        if !matches!(reply.body, Body::None) {
            push_field(out, b"Content-Length", number.format(reply.body.len()).as_bytes());
        }
        for (name, value) in &reply.fields {
            push_field(out, name.as_bytes(), value.as_bytes());
        }
        match (keep_alive, version) {
            (true, Version::Http10) => push_field(out, b"Connection", b"keep-alive"),
            (false, _) => push_field(out, b"Connection", b"close"),
            (true, Version::Http11) => {}
        }
        out.extend_from_slice(b"\r\n\r\n");
        match reply.body {
            Body::Bytes(bytes) if !head_only => out.extend_from_slice(&bytes),
            Body::File { file, offset, len } if !head_only && len > 0 => {
                self.step = Step::File { file, offset, len };
            }
            _ => {}
        }
    }
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
}
