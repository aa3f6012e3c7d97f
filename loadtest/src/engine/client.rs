//! The state machine of one client connection, without I/O: events and points in time drive it.
//!
//! It never touches a socket or a clock. The engine reports what happened and does what the returned [`Step`] says;
//! tests do the same in virtual time.

use super::clock::Nanos;
use super::expected::Comparison;
use super::recorder::Recorder;
use super::response::{ParseProgress, Response};
use super::script::Script;
use results::OutcomeClass;

const MILLISECOND: Nanos = 1_000_000;
/// First back-off after a failure. It doubles with each further failure, so that a target that refuses connections does
/// not make the client spin.
const FIRST_BACK_OFF: Nanos = MILLISECOND;
const LONGEST_BACK_OFF: Nanos = 100 * MILLISECOND;
/// How long a server may take to close a connection after it announced to do so.
const CLOSE_TIMEOUT: Nanos = 1_000 * MILLISECOND;
/// No deadline.
const NEVER: Nanos = Nanos::MAX;

/// What the engine has to do next for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Nothing until the next event or the deadline.
    Wait,
    /// Write [`Client::outgoing`].
    Send,
    /// Nothing until the schedule has a request for the connection, which is free. Open loop only.
    Free,
    /// Close the socket, and open another one after this number of nanoseconds.
    Reopen(Nanos),
}

/// A failure of a connection, as a socket call reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFailure {
    /// The connection was refused, or there is no route to the target.
    Refused,
    /// The kernel gave up its attempt to connect.
    TimedOut,
    /// The connection was reset.
    Reset,
    /// The peer had closed the connection, as a write noticed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    Down,
    Connecting,
    /// Established, and no request is in flight.
    Idle,
    Sending,
    Receiving,
    /// The answer is complete, and the server has announced that it will close.
    Closing,
}

/// One client connection of the load. It is opened again after it is closed.
#[derive(Debug)]
pub struct Client {
    phase: ConnectionPhase,
    /// Whether a request was started and has not ended.
    in_flight: bool,
    /// Requests answered on the present connection.
    answered: u32,
    /// Complete answers since the window began, over all connections of this client.
    served: u32,
    /// Whether it has got an answer since the load began.
    answered_once: bool,
    /// The path of the present request: its number in the script.
    path: u32,
    /// Bytes of the present request that were written.
    written: u32,
    /// Failures since the last complete answer.
    failures: u32,
    /// When the present attempt to connect, or the present request, began.
    began: Nanos,
    /// When the present request was due; in a closed loop, when it began.
    intended: Nanos,
    deadline: Nanos,
    response: Response,
    comparison: Comparison,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            phase: ConnectionPhase::Down,
            in_flight: false,
            answered: 0,
            served: 0,
            answered_once: false,
            path: 0,
            written: 0,
            failures: 0,
            began: 0,
            intended: 0,
            deadline: NEVER,
            response: Response::default(),
            comparison: Comparison::default(),
        }
    }
}

impl Client {
    /// Whether a request was started and has not ended.
    pub fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// When the request that waits for its answer was sent.
    pub fn waits_since(&self) -> Option<Nanos> {
        matches!(self.phase, ConnectionPhase::Sending | ConnectionPhase::Receiving).then_some(self.began)
    }

    /// Complete answers since the window began.
    pub fn served(&self) -> u32 {
        self.served
    }

    /// Whether it has got an answer since the load began.
    pub fn answered_once(&self) -> bool {
        self.answered_once
    }

    /// Starts the count of [`Client::served`] anew, because the window begins.
    pub fn reset_served(&mut self) {
        self.served = 0;
    }

    /// Whether the connection is established and has no request in flight.
    pub fn is_idle(&self) -> bool {
        self.phase == ConnectionPhase::Idle
    }

    /// Whether the result of the first attempt to open the connection ahead of the load is known.
    pub fn is_settled(&self) -> bool {
        self.is_idle() || self.failures > 0
    }

    /// Whether the connection is being established.
    pub fn is_connecting(&self) -> bool {
        self.phase == ConnectionPhase::Connecting
    }

    /// Whether there are request bytes to write.
    pub fn is_sending(&self) -> bool {
        self.phase == ConnectionPhase::Sending
    }

    /// Whether the connection is established.
    pub fn is_connected(&self) -> bool {
        !matches!(self.phase, ConnectionPhase::Down | ConnectionPhase::Connecting)
    }

    /// The engine has begun to connect a socket. `load` says that the load is on, so that the connection gets a request
    /// at once.
    pub fn opening(&mut self, load: bool, script: &Script, now: Nanos, recorder: &mut Recorder) {
        self.phase = ConnectionPhase::Connecting;
        self.answered = 0;
        self.written = 0;
        self.began = now;
        self.deadline = now.saturating_add(script.connect_timeout());
        self.response.reset();
        if load && !self.in_flight {
            self.in_flight = true;
            recorder.started += 1;
        }
    }

    /// The connection could not be attempted, for a reason of this machine. The step says when to try again.
    pub fn could_not_open(&mut self, recorder: &mut Recorder) -> Step {
        recorder.local_failures += 1;
        self.phase = ConnectionPhase::Down;
        self.deadline = NEVER;
        Step::Reopen(self.back_off())
    }

    /// The connection is established.
    pub fn connected(&mut self, script: &Script, now: Nanos, recorder: &mut Recorder) -> Step {
        recorder.connected(now.saturating_sub(self.began));
        if self.in_flight {
            return self.request(script, now);
        }
        self.become_idle(script)
    }

    fn become_idle(&mut self, script: &Script) -> Step {
        self.phase = ConnectionPhase::Idle;
        self.deadline = NEVER;
        if script.is_open_loop() { Step::Free } else { Step::Wait }
    }

    /// Whether it can take a request of the schedule, on its idle connection or on one that it opens for the request.
    pub fn is_free(&self) -> bool {
        !self.in_flight && matches!(self.phase, ConnectionPhase::Idle | ConnectionPhase::Down)
    }

    /// Takes a request that was due at `intended`. The step says whether a connection must be opened for it.
    pub fn take_request(&mut self, intended: Nanos, script: &Script, now: Nanos, recorder: &mut Recorder) -> Step {
        debug_assert!(self.is_free());
        self.in_flight = true;
        self.intended = intended;
        recorder.start(intended);
        match self.phase {
            ConnectionPhase::Idle => self.request(script, now),
            _ => Step::Reopen(0),
        }
    }

    /// Starts a request on an idle connection.
    pub fn start(&mut self, script: &Script, now: Nanos, recorder: &mut Recorder) -> Step {
        debug_assert!(self.is_idle());
        self.in_flight = true;
        recorder.started += 1;
        self.request(script, now)
    }

    #[inline]
    fn request(&mut self, script: &Script, now: Nanos) -> Step {
        self.phase = ConnectionPhase::Sending;
        self.path = script.next_path();
        self.written = 0;
        self.began = now;
        self.comparison = Comparison::begin(script.expected(), self.served);
        if !script.is_open_loop() {
            self.intended = now;
        }
        self.deadline = now.saturating_add(script.timeout());
        Step::Send
    }

    #[inline]
    fn is_last(&self, script: &Script) -> bool {
        script.per_connection().is_some_and(|limit| self.answered + 1 >= limit.get())
    }

    /// The request bytes that are still to be written.
    #[inline]
    pub fn outgoing<'s>(&self, script: &'s Script) -> &'s [u8] {
        let path = self.path;
        let request = if self.is_last(script) { script.closing_request(path) } else { script.request(path) };
        &request[self.written as usize..]
    }

    /// The engine has written this number of bytes of [`Client::outgoing`].
    #[inline]
    pub fn sent(&mut self, bytes: usize, script: &Script) {
        self.written += bytes as u32;
        if self.outgoing(script).is_empty() {
            self.phase = ConnectionPhase::Receiving;
        }
    }

    /// Bytes were received, or the stream ended (`end`), or both in this order.
    #[inline]
    pub fn received(&mut self, bytes: &[u8], end: bool, script: &Script, now: Nanos, recorder: &mut Recorder) -> Step {
        recorder.bytes += bytes.len() as u64;
        match self.phase {
            ConnectionPhase::Receiving | ConnectionPhase::Sending => {}
            // It is not an error if the server closes an idle connection, because no request was in flight. If the
            // server sends bytes that were not asked for, the connection cannot be used any more.
            ConnectionPhase::Idle if end || !bytes.is_empty() => return self.reopen(),
            ConnectionPhase::Closing if end || !bytes.is_empty() => return self.reopen(),
            _ => return Step::Wait,
        }
        let progress = match bytes {
            [] => ParseProgress::Incomplete,
            _ => {
                let sink = |piece: &[u8]| self.comparison.add(piece, script.expected());
                self.response.feed(bytes, script.is_head(), sink)
            }
        };
        match progress {
            ParseProgress::Complete(used) if used == bytes.len() => self.complete(end, script, now, recorder),
            ParseProgress::Complete(_) | ParseProgress::Invalid(_) => self.fail(OutcomeClass::Protocol, recorder),
            ParseProgress::Incomplete if end && self.response.is_complete_at_eof() => {
                self.complete(end, script, now, recorder)
            }
            ParseProgress::Incomplete if end => self.fail(OutcomeClass::Closed, recorder),
            ParseProgress::Incomplete => Step::Wait,
        }
    }

    fn complete(&mut self, end: bool, script: &Script, now: Nanos, recorder: &mut Recorder) -> Step {
        let (status, expected) = (self.response.status(), script.expected());
        let covers_content = self.comparison.covers_content(status, expected);
        match self.comparison.mismatch(status, expected) {
            Some(mismatch) => {
                recorder.differed(mismatch, self.comparison.answer(), self.intended, covers_content);
            }
            None => {
                recorder.answered(status, self.intended, now.saturating_sub(self.intended), covers_content);
                if script.is_open_loop() {
                    recorder.served(status, self.intended, now.saturating_sub(self.began));
                }
            }
        }
        let last = self.is_last(script);
        let announced = self.response.closes();
        let cut_short = self.phase == ConnectionPhase::Sending;
        self.answered += 1;
        self.served += 1;
        self.answered_once = true;
        self.failures = 0;
        self.in_flight = false;
        self.response.reset();
        if !(end || last || announced || cut_short) {
            if script.is_open_loop() {
                return self.become_idle(script);
            }
            self.in_flight = true;
            recorder.started += 1;
            return self.request(script, now);
        }
        if !end && announced {
            // The side that closes first keeps the port in TIME_WAIT. So leave closing to the server, as it announced.
            self.phase = ConnectionPhase::Closing;
            self.deadline = now + CLOSE_TIMEOUT;
            return Step::Wait;
        }
        if !end && last {
            recorder.close_ignored += 1;
        }
        self.reopen()
    }

    /// A socket call failed.
    pub fn failed(&mut self, failure: SocketFailure, recorder: &mut Recorder) -> Step {
        match self.phase {
            // The server closed a kept connection before a byte of this request was sent. The request is sent again on
            // another connection. RFC 9112 section 9.3.1.
            ConnectionPhase::Sending if self.answered > 0 && self.written == 0 => self.reopen(),
            ConnectionPhase::Connecting | ConnectionPhase::Sending | ConnectionPhase::Receiving => self.fail(
                match failure {
                    SocketFailure::Refused => OutcomeClass::ConnectRefused,
                    SocketFailure::TimedOut if self.phase == ConnectionPhase::Connecting => {
                        OutcomeClass::ConnectTimeout
                    }
                    SocketFailure::TimedOut => OutcomeClass::ReadTimeout,
                    SocketFailure::Reset => OutcomeClass::Reset,
                    SocketFailure::Closed => OutcomeClass::Closed,
                },
                recorder,
            ),
            ConnectionPhase::Down | ConnectionPhase::Idle | ConnectionPhase::Closing => self.reopen(),
        }
    }

    /// Time has passed: checks whether the deadline has passed, too.
    #[inline]
    pub fn tick(&mut self, now: Nanos, recorder: &mut Recorder) -> Step {
        if now < self.deadline { Step::Wait } else { self.expired(recorder) }
    }

    fn expired(&mut self, recorder: &mut Recorder) -> Step {
        match self.phase {
            ConnectionPhase::Connecting => self.fail(OutcomeClass::ConnectTimeout, recorder),
            ConnectionPhase::Sending | ConnectionPhase::Receiving => self.fail(OutcomeClass::ReadTimeout, recorder),
            ConnectionPhase::Closing => {
                recorder.close_ignored += 1;
                self.reopen()
            }
            ConnectionPhase::Down | ConnectionPhase::Idle => Step::Wait,
        }
    }

    fn fail(&mut self, class: OutcomeClass, recorder: &mut Recorder) -> Step {
        if self.in_flight {
            self.in_flight = false;
            recorder.failed(class, self.intended);
        }
        self.phase = ConnectionPhase::Down;
        self.deadline = NEVER;
        Step::Reopen(self.back_off())
    }

    /// Gives up the connection without counting a failure. If it carried no answer, the client backs off all the same.
    /// Otherwise a server that closes every connection at once would make the client spin.
    fn reopen(&mut self) -> Step {
        self.phase = ConnectionPhase::Down;
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
