mod compose;
mod process;

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use crate::body::Decoder;
use crate::handler::{Handler, Served};
use crate::head::Refusal;
use crate::limits::Limits;
use crate::reply::{Job, Reply};
use crate::request::Version;
use crate::want::{FileRange, Want};

/// A buffer that outgrew this is given back when its connection falls idle.
const IDLE_BUFFER: usize = 512;

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
}
