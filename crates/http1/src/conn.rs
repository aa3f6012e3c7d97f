//! A connection: its states, the calls that lead from one to the next, and its deadlines. `conn/process.rs` goes from bytes to
//! answers, and `conn/compose.rs` from replies to bytes.

mod compose;
mod process;

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::body::Decoder;
use crate::handler::{Handler, Served};
use crate::head::Refusal;
use crate::limits::Limits;
use crate::reply::{Job, Reply};
use crate::request::Version;
use crate::want::{FileRange, Want};

/// The most bytes of output that an idle connection keeps allocated.
const IDLE_OUTPUT: usize = 512;
/// Time for a last look at an idle connection when the server stops: the kernel may hold a request that came before the stop.
/// The model waits for bytes that long, as for any deadline, so what is in the receive buffer is read and answered.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// An HTTP/1.1 server connection without its socket.
#[derive(Debug)]
pub struct Conn<H> {
    handler: H,
    limits: &'static Limits,
    state: State,
    deadline: Option<Instant>,
    /// Bytes received and not yet used: an incomplete head, or requests that were pipelined behind an unfinished reply.
    input: Vec<u8>,
    /// The first `scanned` bytes of `input` are known to hold no complete head.
    scanned: usize,
    /// The request whose body is incomplete.
    upload: Option<Box<Upload>>,
    /// Composed replies, of which the first `written` bytes were sent.
    output: Vec<u8>,
    written: usize,
    /// The replies in `output`, and the one whose file follows it, for [`Handler::served`].
    unserved: Vec<Unserved>,
    /// The request that is answered now, or was answered last.
    current: Current,
    stopping: bool,
    /// The reply composed last ends the connection.
    last: bool,
    /// The peer has ended its stream.
    peer_ended: bool,
    /// The kernel holds bytes of the peer that were not received yet, as far as the model knows.
    unread: bool,
}

/// What a connection waits for once its output is sent.
///
/// A connection serves one request at a time, so it waits for one thing at a time, and the state names that thing.
/// Three fields of [`Conn`] stand beside it:
/// - `output`: the replies that are composed and not yet sent. While there is output, the connection wants to write it,
///   in any state but `Close`. So a reply in memory needs no state: it is appended to the output, the state is `Read`
///   again at once, and the requests that were pipelined are answered into the same output.
/// - `upload`: a request whose body is incomplete. The state is `Read`, as for a head; only the deadline differs.
/// - `last`: the reply composed last ends the connection, because of its request or of [`Conn::stop`].
///
/// These states are enough: there is one for each way in which a [`Handler`] may answer, and one for each step of closing while
/// the peer may still send. (To close at once would reset the connection, and the reply with it: RFC 9112, 9.6.)
///
/// ```text
///          ┌──────────────────────────── sent; it was not the last ───────────────────────────────┐
///          ▼                                                                                      │
/// new ─► Read ─ a request is complete ─┬─ Reply ─────────────────────┬─ in memory ─────────────┬──┤
///          │                           ├─ Sleep ────► Sleep ─ woke ──┤                         │  │
///          │                           └─ Block, ───► Job ─── done ──┴─ a file ─► File ─ sent ─┘  │
///          │                              Later                                                   │
///          ├─ a request is refused, or the stream ends in it ─► Shut ◄─ last; bytes unread, ──────┤
///          │                                                     │ shut       or stopping         │
///          │                                                   Drain                              │
///          │                                                     │ the stream ends                │
///          └─ the stream ends between requests ──────────────► Close ◄─ last; neither ────────────┘
///
/// state             wants           deadline (field of `Limits`), counted from             at the deadline
/// any with output   Write           write_time from the last progress; see (1)             Close
/// Read, idle        Read            idle_time from the last reply; see (4) if stopping     Close
/// Read, in a head   Read            head_time from its first byte; see (2)                 408, then Shut
/// Read, in a body   Read            body_time from the end of its head                     408, then Shut
/// File              SendFile        write_time from the last progress, or from file_ready  Close
/// Sleep             Sleep           none
/// Job               Block, Pending  none
/// Shut              Shut            drain_time from the last byte of a refusal; see (3)    Close
/// Drain             Read            drain_time from shut                                   Close
/// Close             Close           none
/// ```
///
/// (1) If an upload began behind the output, or the output is its `100 Continue`: body_time, until some is sent.
/// (2) If the head was pipelined behind a reply: from the last byte of that reply.
/// (3) If the reply is no refusal: the rest of its write_time.
/// (4) grace_time from the last reply, and at least a millisecond from the stop, for a last look.
///
/// Two events lead to `Close` directly: `shut` when the peer has ended its stream already, and a file that has shrunk.
#[derive(Debug)]
enum State {
    Read,
    File { file: Arc<File>, offset: u64, len: u64 },
    Sleep(Instant, Box<Reply>),
    Job(Option<Job>),
    Shut,
    Drain,
    Close,
}

/// A request whose body is incomplete.
#[derive(Debug)]
struct Upload {
    head: Vec<u8>,
    decoder: Decoder,
    deadline: Instant,
}

/// A reply for which [`Handler::served`] is still to be called.
#[derive(Clone, Copy, Debug)]
struct Unserved {
    status: u16,
    mark: u8,
    since: Instant,
}

/// The facts of a request that its reply depends on.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// When the request was complete.
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
            state: State::Read,
            deadline: Some(now + limits.idle_time),
            input: Vec::new(),
            scanned: 0,
            upload: None,
            output: Vec::new(),
            written: 0,
            unserved: Vec::new(),
            current: Current { since: now, head_only: false, version: Version::Http11, keep_alive: true },
            stopping: false,
            last: false,
            peer_ended: false,
            unread: false,
        }
    }

    /// What the I/O model is to do next.
    pub fn want(&mut self) -> Want<'_> {
        if self.written < self.output.len() && !matches!(self.state, State::Close) {
            let more = matches!(self.state, State::File { .. });
            return Want::Write { bytes: &self.output[self.written..], more };
        }
        match &mut self.state {
            State::Read | State::Drain => Want::Read,
            State::File { file, offset, len } => Want::SendFile(FileRange { file, offset: *offset, len: *len }),
            State::Sleep(until, _) => Want::Sleep(*until),
            State::Job(job) => job.take().map_or(Want::Pending, Want::Block),
            State::Shut => Want::Shut,
            State::Close => Want::Close,
        }
    }

    /// When the I/O model is to call [`expired`](Conn::expired), unless an answer to [`want`](Conn::want) moves it.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The kernel holds bytes of the peer that the model has not received yet: a read has filled its buffer, or an event says so.
    ///
    /// A close would answer them with a reset, so the last reply is followed by [`Want::Shut`] then. A model tells what it knows
    /// anyway; it need not ask the kernel. The next call of [`received`](Conn::received) takes it back.
    pub fn unread(&mut self) {
        self.unread = true;
    }

    /// The peer sent these bytes; no bytes mean that it has ended its stream.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        self.unread = false;
        match (&self.state, bytes) {
            (State::Drain, []) => self.close(),
            (State::Drain, _) => {}
            (_, []) => {
                self.peer_ended = true;
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

    /// The socket took `n` bytes of what the connection wanted to send.
    pub fn sent(&mut self, n: usize, now: Instant) {
        if self.written < self.output.len() {
            self.written += n;
        } else if let State::File { offset, len, .. } = &mut self.state {
            if n == 0 {
                return self.close(); // the file is shorter than the Content-Length that was sent
            }
            *offset += n as u64;
            *len -= n as u64;
            if *len == 0 {
                self.state = State::Read;
            }
        }
        if self.written < self.output.len() || matches!(self.state, State::File { .. }) {
            self.deadline = Some(now + self.limits.write_time);
            return;
        }
        self.output.clear();
        self.written = 0;
        for Unserved { status, mark, since } in self.unserved.drain(..) {
            self.handler.served(Served { status, mark, took: now.saturating_duration_since(since) });
        }
        match self.state {
            State::Read => self.all_sent(now),
            State::Shut => self.deadline = Some(now + self.limits.drain_time),
            _ => self.deadline = None, // Sleep or Job: the peer need not do anything
        }
    }

    /// A model that had to wait for a piece of the file has it now: the peer's time to take it begins here.
    pub fn file_ready(&mut self, now: Instant) {
        if matches!(self.state, State::File { .. }) {
            self.deadline = Some(now + self.limits.write_time);
        }
    }

    /// The time of [`Want::Sleep`] has come. A call before that time changes nothing.
    pub fn woke(&mut self, now: Instant) {
        if matches!(self.state, State::Sleep(until, _) if until <= now)
            && let State::Sleep(_, reply) = std::mem::replace(&mut self.state, State::Read)
        {
            self.resume(*reply, now);
        }
    }

    /// The job has returned this reply, or the reply that was to come later is here.
    pub fn done(&mut self, reply: Reply, now: Instant) {
        if matches!(self.state, State::Job(_)) {
            self.state = State::Read;
            self.resume(reply, now);
        }
    }

    /// The write side is shut down.
    pub fn shut(&mut self, now: Instant) {
        if self.peer_ended {
            return self.close();
        }
        self.state = State::Drain;
        self.deadline = Some(now + self.limits.drain_time);
    }

    /// Ends the connection, or refuses the request that has begun, if the [`deadline`](Conn::deadline) has passed.
    pub fn expired(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let reading = matches!(self.state, State::Read) && self.output.is_empty();
        if reading && self.has_begun() {
            self.refuse(Refusal(408), now);
        } else {
            self.close();
        }
    }

    /// The server stops: the connection finishes the request under way, with `Connection: close`, and begins no other.
    ///
    /// An idle connection is closed after a last look for a request (a millisecond), or at the end of
    /// [`Limits::grace_time`] if it was busy within that time.
    pub fn stop(&mut self, now: Instant) {
        let first = !std::mem::replace(&mut self.stopping, true);
        if first
            && self.is_idle()
            && let Some(deadline) = self.deadline
        {
            let grace = deadline - self.limits.idle_time + self.limits.grace_time;
            self.deadline = Some(grace.max(now + LAST_LOOK).min(deadline));
        }
    }

    /// Is the connection between requests?
    fn is_idle(&self) -> bool {
        matches!(self.state, State::Read) && self.output.is_empty() && !self.has_begun()
    }

    /// Is a part of a request here? The first half of an empty line is none.
    fn has_begun(&self) -> bool {
        self.upload.is_some() || !matches!(self.input[..], [] | [b'\r'])
    }

    fn close(&mut self) {
        self.state = State::Close;
        self.deadline = None;
    }

    /// All output is sent: ends the connection, answers the requests that were pipelined, or waits for more bytes.
    fn all_sent(&mut self, now: Instant) {
        if self.last && self.input.is_empty() && !self.unread && !self.stopping {
            self.close();
        } else if self.last {
            // A close with bytes unread resets the reply away, and at a stop the peer may be sending at this moment.
            self.state = State::Shut;
        } else if let Some(upload) = &self.upload {
            self.deadline = Some(upload.deadline); // the output was `100 Continue`, or a reply before the upload
        } else if !self.has_begun() {
            let idle = if self.stopping { self.limits.grace_time } else { self.limits.idle_time };
            self.deadline = Some(now + idle);
            if self.output.capacity() > IDLE_OUTPUT {
                self.output = Vec::new();
            }
        } else {
            self.deadline = Some(now + self.limits.head_time);
            self.process_input(now);
        }
    }
}

#[cfg(test)]
mod tests;
