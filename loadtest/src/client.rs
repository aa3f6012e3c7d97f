//! Sans-I/O client: the state of one connection of the load, driven by events and points in time.
//!
//! It never touches a socket or a clock. The engine tells it what happened and does what the answering [`Step`] says;
//! tests do the same in virtual time.

use crate::class::Class;
use crate::meter::{Meter, Nanos};
use crate::response::{Progress, Response};
use std::num::NonZeroU32;
use std::time::Duration;

const MILLISECOND: Nanos = 1_000_000;
/// First pause after a failure; it doubles with each further one, so that a refusing target cannot make us spin.
const FIRST_BACK_OFF: Nanos = MILLISECOND;
const LONGEST_BACK_OFF: Nanos = 100 * MILLISECOND;
/// How long a server that announced the end of a connection has to close it.
const CLOSING: Nanos = 1_000 * MILLISECOND;
/// No deadline.
const NEVER: Nanos = Nanos::MAX;

/// What `POST /nod` says, and its fields.
const NOD: &str = "nod=Hello+World";
const NOD_FIELDS: &str = "\
    Cookie: account=alice\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 15\r\n";

/// What every connection of a trial does: the prepared request bytes and the limits.
#[derive(Debug)]
pub struct Script {
    request: Box<[u8]>,
    last_request: Box<[u8]>,
    to_head: bool,
    per_connection: Option<NonZeroU32>,
    timeout: Nanos,
    connect_timeout: Nanos,
    /// A schedule says when requests are sent, not the answers to the last ones.
    open_loop: bool,
}

impl Script {
    /// Prepares the request for `workload` (`/path`, or a method before it as in `POST /counter`, sent without a body;
    /// but `POST /nod` sends a form, as alice) to the server that calls itself `authority`. With `per_connection`, the last request of each connection asks the
    /// server to close it.
    pub fn new(
        authority: &str,
        workload: &str,
        per_connection: Option<NonZeroU32>,
        timeout: Duration,
        connect_timeout: Duration,
    ) -> Script {
        let (method, path) = workload.split_once(' ').unwrap_or(("GET", workload));
        let (fields, body) = match (method, path) {
            ("GET" | "HEAD", _) => ("", ""),
            ("POST", "/nod") => (NOD_FIELDS, NOD),
            _ => ("Content-Length: 0\r\n", ""),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}");
        Script {
            request: format!("{head}\r\n{body}").into_bytes().into(),
            last_request: format!("{head}Connection: close\r\n\r\n{body}").into_bytes().into(),
            to_head: method == "HEAD",
            per_connection,
            timeout: timeout.as_nanos() as Nanos,
            connect_timeout: connect_timeout.as_nanos() as Nanos,
            open_loop: false,
        }
    }

    /// The same for an open loop: a connection waits after each answer until it is given its next request.
    pub fn open_loop(self) -> Script {
        Script { open_loop: true, ..self }
    }

    /// The longest that a request may take, and may wait for a connection.
    pub fn timeout(&self) -> Nanos {
        self.timeout
    }

    /// Whether connections carry a limited number of requests.
    pub fn is_limited(&self) -> bool {
        self.per_connection.is_some()
    }

    /// The request that asks the server to close the connection after it.
    pub fn closing_request(&self) -> &[u8] {
        &self.last_request
    }

    /// Whether answers have no body because the request is a HEAD.
    pub fn is_head(&self) -> bool {
        self.to_head
    }
}

/// What the engine has to do next for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Nothing until the next event or the deadline.
    Wait,
    /// Write [`Client::outgoing`].
    Send,
    /// The connection is free for a request of the schedule. Open loop only.
    Free,
    /// Close the socket and open another one after so many nanoseconds.
    Reopen(Nanos),
}

/// What a socket call reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The connection was refused, or there is no way to the target.
    Refused,
    /// The kernel gave up on connecting.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// The connection was closed by the other side (a write found it so).
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Connecting,
    /// Connected, and no request out.
    Idle,
    Sending,
    Receiving,
    /// The answer is complete and the server said that it will close.
    Closing,
}

/// One connection of the load.
#[derive(Debug)]
pub struct Client {
    phase: Phase,
    /// A request was started and has not ended.
    in_flight: bool,
    /// Requests answered on this connection.
    answered: u32,
    /// Complete answers since the window began, over all its connections.
    served: u32,
    /// Bytes of the present request that were written.
    written: u32,
    /// Failures since the last complete answer.
    failures: u32,
    /// When the present attempt to connect, or the present request, began.
    began: Nanos,
    /// When the present request was due; in a closed loop the same.
    intended: Nanos,
    deadline: Nanos,
    response: Response,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            phase: Phase::Down,
            in_flight: false,
            answered: 0,
            served: 0,
            written: 0,
            failures: 0,
            began: 0,
            intended: 0,
            deadline: NEVER,
            response: Response::default(),
        }
    }
}

impl Client {
    /// Whether a request was started and has not ended.
    pub fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// Complete answers since the window began.
    pub fn served(&self) -> u32 {
        self.served
    }

    /// The window begins.
    pub fn forget_served(&mut self) {
        self.served = 0;
    }

    /// Whether the connection is established and has no request out.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether it is known how opening the connection ahead of the load went: well, or not at the first attempt.
    pub fn is_settled(&self) -> bool {
        self.is_idle() || self.failures > 0
    }

    /// Whether the connection is being established.
    pub fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting
    }

    /// Whether there are request bytes to write.
    pub fn is_sending(&self) -> bool {
        self.phase == Phase::Sending
    }

    /// Whether the connection is established.
    pub fn is_connected(&self) -> bool {
        !matches!(self.phase, Phase::Down | Phase::Connecting)
    }

    /// A socket is being connected. `load` says that the load is on: the connection is for a request, which starts now.
    pub fn opening(&mut self, load: bool, script: &Script, now: Nanos, meter: &mut Meter) {
        self.phase = Phase::Connecting;
        self.answered = 0;
        self.written = 0;
        self.began = now;
        self.deadline = now.saturating_add(script.connect_timeout);
        self.response.reset();
        if load && !self.in_flight {
            self.in_flight = true;
            meter.started += 1;
        }
    }

    /// No connection could be tried, for a reason of this machine; says when to try again.
    pub fn not_opened(&mut self, meter: &mut Meter) -> Step {
        meter.local_failures += 1;
        self.phase = Phase::Down;
        self.deadline = NEVER;
        Step::Reopen(self.back_off())
    }

    /// The connection is established.
    pub fn connected(&mut self, script: &Script, now: Nanos, meter: &mut Meter) -> Step {
        meter.connected(now.saturating_sub(self.began));
        if self.in_flight {
            return self.request(script, now);
        }
        self.rest(script)
    }

    fn rest(&mut self, script: &Script) -> Step {
        self.phase = Phase::Idle;
        self.deadline = NEVER;
        if script.open_loop { Step::Free } else { Step::Wait }
    }

    /// Whether a request of the schedule can be given to it: to its idle connection, or to the one that it opens then.
    pub fn is_free(&self) -> bool {
        !self.in_flight && matches!(self.phase, Phase::Idle | Phase::Down)
    }

    /// Takes on a request that was due at `intended`. The answer says whether the connection must be opened for it.
    pub fn take(&mut self, intended: Nanos, script: &Script, now: Nanos, meter: &mut Meter) -> Step {
        debug_assert!(self.is_free());
        self.in_flight = true;
        self.intended = intended;
        meter.started += 1;
        match self.phase {
            Phase::Idle => self.request(script, now),
            _ => Step::Reopen(0),
        }
    }

    /// Starts a request on an idle connection.
    pub fn start(&mut self, script: &Script, now: Nanos, meter: &mut Meter) -> Step {
        debug_assert!(self.is_idle());
        self.in_flight = true;
        meter.started += 1;
        self.request(script, now)
    }

    #[inline]
    fn request(&mut self, script: &Script, now: Nanos) -> Step {
        self.phase = Phase::Sending;
        self.written = 0;
        self.began = now;
        if !script.open_loop {
            self.intended = now;
        }
        self.deadline = now.saturating_add(script.timeout);
        Step::Send
    }

    #[inline]
    fn is_last(&self, script: &Script) -> bool {
        script.per_connection.is_some_and(|limit| self.answered + 1 >= limit.get())
    }

    /// The request bytes that are still to be written.
    #[inline]
    pub fn outgoing<'s>(&self, script: &'s Script) -> &'s [u8] {
        let request = if self.is_last(script) { &script.last_request } else { &script.request };
        &request[self.written as usize..]
    }

    /// So many bytes of [`Client::outgoing`] were written.
    #[inline]
    pub fn sent(&mut self, bytes: usize, script: &Script) {
        self.written += bytes as u32;
        if self.outgoing(script).is_empty() {
            self.phase = Phase::Receiving;
        }
    }

    /// Bytes came, or the stream ended (`end`), or both, in this order.
    #[inline]
    pub fn received(&mut self, bytes: &[u8], end: bool, script: &Script, now: Nanos, meter: &mut Meter) -> Step {
        meter.bytes += bytes.len() as u64;
        match self.phase {
            Phase::Receiving | Phase::Sending => {}
            // An idle connection that the server closes is no error: no request was on its way. One on which it talks
            // unasked is of no use.
            Phase::Idle if end || !bytes.is_empty() => return self.reopen(),
            Phase::Closing if end || !bytes.is_empty() => return self.reopen(),
            _ => return Step::Wait,
        }
        let progress = match bytes {
            [] => Progress::More,
            _ => self.response.feed(bytes, script.to_head),
        };
        match progress {
            Progress::Done(used) if used == bytes.len() => self.complete(end, script, now, meter),
            Progress::Done(_) | Progress::Bad(_) => self.fail(Class::Protocol, meter),
            Progress::More if end && self.response.end() => self.complete(end, script, now, meter),
            Progress::More if end => self.fail(Class::Closed, meter),
            Progress::More => Step::Wait,
        }
    }

    fn complete(&mut self, end: bool, script: &Script, now: Nanos, meter: &mut Meter) -> Step {
        meter.answered(self.response.status(), now.saturating_sub(self.intended));
        if script.open_loop {
            meter.served(self.response.status(), now.saturating_sub(self.began));
        }
        let last = self.is_last(script);
        let announced = self.response.closes();
        let cut_short = self.phase == Phase::Sending;
        self.answered += 1;
        self.served += 1;
        self.failures = 0;
        self.in_flight = false;
        self.response.reset();
        if !(end || last || announced || cut_short) {
            if script.open_loop {
                return self.rest(script);
            }
            self.in_flight = true;
            meter.started += 1;
            return self.request(script, now);
        }
        if !end && announced {
            // The side that closes first keeps the port in TIME_WAIT, so leave that to the server, as it announced.
            self.phase = Phase::Closing;
            self.deadline = now + CLOSING;
            return Step::Wait;
        }
        if !end && last {
            meter.close_ignored += 1;
        }
        self.reopen()
    }

    /// A socket call failed.
    pub fn failed(&mut self, failure: Failure, meter: &mut Meter) -> Step {
        match self.phase {
            // The server closed a kept connection before a byte of this request was on its way: the request is sent
            // again on another connection. RFC 9112 section 9.3.1.
            Phase::Sending if self.answered > 0 && self.written == 0 => self.reopen(),
            Phase::Connecting | Phase::Sending | Phase::Receiving => self.fail(
                match failure {
                    Failure::Refused => Class::ConnectRefused,
                    Failure::TimedOut if self.phase == Phase::Connecting => Class::ConnectTimeout,
                    Failure::TimedOut => Class::ReadTimeout,
                    Failure::Reset => Class::Reset,
                    Failure::Closed => Class::Closed,
                },
                meter,
            ),
            Phase::Down | Phase::Idle | Phase::Closing => self.reopen(),
        }
    }

    /// Time has passed: looks whether a deadline has, too.
    #[inline]
    pub fn tick(&mut self, now: Nanos, meter: &mut Meter) -> Step {
        if now < self.deadline { Step::Wait } else { self.expired(meter) }
    }

    fn expired(&mut self, meter: &mut Meter) -> Step {
        match self.phase {
            Phase::Connecting => self.fail(Class::ConnectTimeout, meter),
            Phase::Sending | Phase::Receiving => self.fail(Class::ReadTimeout, meter),
            Phase::Closing => {
                meter.close_ignored += 1;
                self.reopen()
            }
            Phase::Down | Phase::Idle => Step::Wait,
        }
    }

    fn fail(&mut self, class: Class, meter: &mut Meter) -> Step {
        if self.in_flight {
            self.in_flight = false;
            meter.ends[class] += 1;
        }
        self.phase = Phase::Down;
        self.deadline = NEVER;
        Step::Reopen(self.back_off())
    }

    /// Gives the connection up without a failure. One that carried nothing pauses all the same, or a server that closes
    /// everything at once would make us spin.
    fn reopen(&mut self) -> Step {
        self.phase = Phase::Down;
        self.deadline = NEVER;
        Step::Reopen(if self.answered > 0 { 0 } else { self.back_off() })
    }

    fn back_off(&mut self) -> Nanos {
        let pause = FIRST_BACK_OFF << self.failures.min(7);
        self.failures += 1;
        pause.min(LONGEST_BACK_OFF)
    }
}

#[cfg(test)]
mod tests;
