//! Accepting for event loops.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::common::BACK_OFF;
use crate::permits::Permits;
use crate::syscalls::{AcceptError, Calls};

/// The most connections that are accepted before those that are open have their turn, as a power of two.
const MAX_BATCH_LOG2: u32 = 6;
/// After that many batches in a row that did not empty the backlog, the size of a batch doubles.
const BATCHES_PER_DOUBLING: u32 = 8;
/// A batch that has taken so long ends: the open connections have waited. Its requests were served at once, and clients whose
/// requests take long can come back faster than they are served.
const LONGEST_BATCH: Duration = Duration::from_millis(10);

/// Accepts connections for one loop, which must never wait in accept(2). All loops share the listener.
///
/// At the limit, or when the machine has no descriptor left, the acceptor backs off for a while, and connections wait in the
/// kernel's backlog.
pub struct Acceptor<'a> {
    listener: &'a TcpListener,
    calls: Calls,
    permits: &'a Permits,
    backs_off_until: Option<Instant>,
    /// Batches in a row that did not find the end of the backlog.
    full_batches: u32,
    /// When the batch began; `None` before the first one: uring accepts without any.
    batch_began: Option<Instant>,
    draining: bool,
    drained: bool,
}

impl<'a> Acceptor<'a> {
    /// The acceptor of one loop.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(listener: &'a TcpListener, calls: Calls, permits: &'a Permits) -> io::Result<Acceptor<'a>> {
        listener.set_nonblocking(true)?;
        permits.join();
        Ok(Acceptor {
            listener,
            calls,
            permits,
            backs_off_until: None,
            full_batches: 0,
            batch_began: None,
            draining: false,
            drained: false,
        })
    }

    /// What counts the system calls of this loop.
    pub fn calls(&self) -> Calls {
        self.calls
    }

    /// Do other loops accept from the same listener?
    pub fn is_shared(&self) -> bool {
        self.permits.are_shared()
    }

    /// Begins a batch: how many connections to accept now, at most, before the open ones have their turn.
    ///
    /// Most connections arrive alone, with their request still on its way: a second accept, and a read, would only say
    /// EAGAIN. When they queue up, a batch has more of them, and their requests are here already.
    pub fn begin_batch(&mut self, now: Instant) -> usize {
        self.batch_began = Some(now);
        let size = 1 << (self.full_batches / BATCHES_PER_DOUBLING).min(MAX_BATCH_LOG2);
        self.full_batches += 1; // unless the end of the backlog is found
        size
    }

    /// The next connection; `None` when none has arrived, while the acceptor backs off, or when the batch has taken too long.
    ///
    /// # Errors
    /// accept(2) cannot work on this listener.
    pub fn accept(&mut self, now: Instant) -> io::Result<Option<TcpStream>> {
        let is_late = self.batch_began.is_some_and(|began| now.saturating_duration_since(began) > LONGEST_BATCH);
        let accepted = if is_late { None } else { self.try_accept(now)? };
        if accepted.is_none() {
            self.full_batches = 0;
        }
        Ok(accepted)
    }

    fn try_accept(&mut self, now: Instant) -> io::Result<Option<TcpStream>> {
        if !self.is_listening(now) || !self.take_permit(now) {
            return Ok(None);
        }
        match self.calls.accept(self.listener, true) {
            Ok(socket) => {
                self.calls.0.opened();
                Ok(Some(socket))
            }
            Err(error) => {
                self.permits.give_back();
                self.failed(error, now).map(|()| None)
            }
        }
    }

    /// Takes a permit for one more connection. If there is none, the acceptor backs off.
    pub fn take_permit(&mut self, now: Instant) -> bool {
        let taken = self.permits.try_take();
        if !taken {
            self.back_off(now);
        }
        taken
    }

    /// A connection is closed, and its permit is free.
    pub fn closed(&mut self) {
        self.calls.0.closed();
        self.permits.give_back();
        self.backs_off_until = None;
    }

    /// The server stops: from now on an empty backlog means that the acceptor is [drained](Acceptor::is_drained).
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Has the backlog been accepted to its end after [`drain`](Acceptor::drain)?
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Is the listener to be watched now?
    pub fn is_listening(&self, now: Instant) -> bool {
        !self.drained && self.backs_off_until.is_none_or(|until| until <= now)
    }

    /// How long the acceptor still backs off, if it does.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        self.backs_off_until.filter(|&until| until > now && !self.drained).map(|until| until - now)
    }

    /// Accepts nothing for a while, unless a connection closes before.
    pub fn back_off(&mut self, now: Instant) {
        if self.is_listening(now) {
            self.calls.0.accept_paused();
            self.backs_off_until = Some(now + BACK_OFF);
        }
    }

    /// Handles the error of an accept.
    ///
    /// # Errors
    /// accept(2) cannot work on this listener.
    pub fn failed(&mut self, error: io::Error, now: Instant) -> io::Result<()> {
        match error.into() {
            AcceptError::BacklogEmpty => self.drained = self.draining,
            AcceptError::Exhausted => self.back_off(now),
            AcceptError::ConnectionLost => {}
            AcceptError::Fatal(error) => return Err(error),
        }
        Ok(())
    }
}

impl AsFd for Acceptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;
    use scoreboard::Scoreboard;

    use super::*;

    fn calls() -> Calls {
        Calls(Box::leak(Box::new(Scoreboard::map().unwrap())).claim())
    }

    /// A listener with that many connections in its backlog.
    fn listener(connections: usize) -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect())
    }

    #[test]
    fn at_the_limit_it_backs_off_until_a_connection_closes() {
        let (listener, _clients) = listener(3);
        let permits = Permits::new(2);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        let _open = [acceptor.accept(now).unwrap().unwrap(), acceptor.accept(now).unwrap().unwrap()];
        assert!(acceptor.accept(now).unwrap().is_none());
        assert!(!acceptor.is_listening(now));
        assert_eq!(acceptor.timeout(now), Some(BACK_OFF));
        acceptor.closed();
        assert!(acceptor.is_listening(now));
        assert_eq!(acceptor.timeout(now), None);
        assert!(acceptor.accept(now).unwrap().is_some(), "the third one, which has waited in the backlog");
    }

    #[test]
    fn a_back_off_ends_by_itself() {
        let (listener, _) = listener(0);
        let permits = Permits::new(1);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        acceptor.failed(Errno::EMFILE.into(), now).unwrap();
        assert_eq!(acceptor.timeout(now + BACK_OFF / 2), Some(BACK_OFF / 2));
        acceptor.back_off(now + BACK_OFF / 2);
        assert!(acceptor.is_listening(now + BACK_OFF), "a second reason does not prolong it");
    }

    #[test]
    fn a_failed_accept_gives_its_permit_back() {
        let (listener, _) = listener(0);
        let permits = Permits::new(1);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        assert!(acceptor.accept(Instant::now()).unwrap().is_none(), "the backlog is empty");
        assert_eq!(permits.available(), 1);
    }

    #[test]
    fn it_is_drained_when_the_backlog_is_empty_and_not_before() {
        let (listener, _clients) = listener(1);
        let permits = Permits::new(9);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        acceptor.drain();
        assert!(acceptor.accept(now).unwrap().is_some() && !acceptor.is_drained());
        assert!(acceptor.accept(now).unwrap().is_none() && acceptor.is_drained());
        assert!(!acceptor.is_listening(now));
    }

    #[test]
    fn batches_grow_while_the_backlog_has_no_end() {
        let (listener, _) = listener(0);
        let permits = Permits::new(1);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        let sizes: Vec<_> = (0..100).map(|_| acceptor.begin_batch(now)).collect();
        assert_eq!((sizes[0], sizes[8], sizes[16], sizes[99]), (1, 2, 4, 64));
        assert!(acceptor.accept(now).unwrap().is_none());
        assert_eq!(acceptor.begin_batch(now), 1);
    }

    #[test]
    fn without_batches_none_takes_too_long() {
        let (listener, _clients) = listener(1);
        let permits = Permits::new(1);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        assert!(acceptor.accept(Instant::now() + LONGEST_BATCH * 2).unwrap().is_some());
    }

    #[test]
    fn a_batch_whose_requests_take_long_ends_and_the_next_one_is_small() {
        let (listener, _clients) = listener(2);
        let permits = Permits::new(2);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        assert_eq!((0..20).map(|_| acceptor.begin_batch(now)).last(), Some(4));
        assert!(acceptor.accept(now).unwrap().is_some());
        let later = now + LONGEST_BATCH + Duration::from_nanos(1);
        assert!(acceptor.accept(later).unwrap().is_none());
        assert_eq!(acceptor.begin_batch(later), 1);
        assert!(acceptor.accept(later).unwrap().is_some());
    }

    #[test]
    fn only_an_error_of_the_listener_itself_is_fatal() {
        let (listener, _) = listener(0);
        let permits = Permits::new(1);
        let mut acceptor = Acceptor::new(&listener, calls(), &permits).unwrap();
        let now = Instant::now();
        for errno in [Errno::EAGAIN, Errno::ECONNABORTED, Errno::EPERM, Errno::EPROTO] {
            acceptor.failed(errno.into(), now).unwrap();
            assert!(acceptor.is_listening(now), "{errno}");
        }
        assert!(acceptor.failed(Errno::EBADF.into(), now).is_err());
    }
}
