use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::alike::REST;
use crate::syscalls::{Calls, NotAccepted};

/// The most connections that are accepted before those that are here have their turn, as a power of two.
const MOST_LOG2: u32 = 6;
/// So many rounds of accepting must each have found somebody before the next one looks for twice as many.
const PATIENCE: u32 = 8;

/// The places for open connections that all loops of a process share.
pub struct Places {
    limit: usize,
    open: AtomicUsize,
    /// Those who are accepted already and wait for a place: nobody is accepted before they have one.
    waiting: AtomicUsize,
}

impl Places {
    /// That many.
    pub fn new(limit: usize) -> Places {
        Places { limit, open: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }
    }
}

/// The connections that arrive at a shared listener, for a loop that must never wait in accept(2).
///
/// At the limit, or out of descriptors, accepting rests, and who arrives waits in the kernel's queue.
pub struct Arrivals<'a> {
    listener: &'a TcpListener,
    calls: Calls,
    places: &'a Places,
    /// Those of this loop who are among the places' `waiting`.
    waiting: usize,
    resting_until: Option<Instant>,
    /// Rounds of accepting in a row that have not found the queue's end.
    busy_rounds: u32,
    stopping: bool,
    over: bool,
}

impl<'a> Arrivals<'a> {
    /// Of one loop.
    pub fn new(listener: &'a TcpListener, calls: Calls, places: &'a Places) -> io::Result<Arrivals<'a>> {
        listener.set_nonblocking(true)?;
        Ok(Arrivals {
            listener,
            calls,
            places,
            waiting: 0,
            resting_until: None,
            busy_rounds: 0,
            stopping: false,
            over: false,
        })
    }

    /// What counts the system calls of this loop.
    pub fn calls(&self) -> Calls {
        self.calls
    }

    /// Begins a round of accepting: how many to take now, at most, before those that are here have their turn.
    ///
    /// Most arrive alone, with their request still on its way: a second accept, and a read, would only say EAGAIN.
    /// When they queue up, more of them are taken at a time, and their requests are here already.
    pub fn round(&mut self) -> usize {
        let most = 1 << (self.busy_rounds / PATIENCE).min(MOST_LOG2);
        self.busy_rounds += 1; // unless the queue's end is found
        most
    }

    /// The next one; `None` when there is none now, or accepting rests.
    pub fn next(&mut self, now: Instant) -> io::Result<Option<TcpStream>> {
        let next = self.accept(now)?;
        if next.is_none() {
            self.busy_rounds = 0;
        }
        Ok(next)
    }

    fn accept(&mut self, now: Instant) -> io::Result<Option<TcpStream>> {
        if !self.is_watched(now) || !self.has_place(now) || !self.take_place(now) {
            return Ok(None);
        }
        match self.calls.accept(self.listener, true) {
            Ok(socket) => {
                self.arrived();
                Ok(Some(socket))
            }
            Err(error) => {
                self.places.open.fetch_sub(1, Relaxed); // it was taken for nobody
                self.failed(error, now).map(|()| None)
            }
        }
    }

    /// Is there a place for one more who would be accepted now? If not, accepting rests.
    pub fn has_place(&mut self, now: Instant) -> bool {
        let Places { limit, open, waiting } = self.places;
        self.or_rest(open.load(Relaxed) + waiting.load(Relaxed) < *limit, now)
    }

    /// Takes a place, before another loop does. If there is none, accepting rests.
    pub fn take_place(&mut self, now: Instant) -> bool {
        let one_more = |open| (open < self.places.limit).then_some(open + 1);
        let taken = self.places.open.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        self.or_rest(taken, now)
    }

    /// So many have come in, for whom there was no place.
    pub fn wait(&mut self, waiting: usize) {
        let more = waiting.wrapping_sub(std::mem::replace(&mut self.waiting, waiting));
        if more != 0 {
            self.places.waiting.fetch_add(more, Relaxed); // which wraps around when there are fewer
        }
    }

    fn or_rest(&mut self, has_place: bool, now: Instant) -> bool {
        if !has_place && self.is_watched(now) {
            self.rest(now);
        }
        has_place
    }

    /// One came in, for whom a place was taken: by [`next`](Arrivals::next), or as a completion.
    pub fn arrived(&mut self) {
        self.calls.0.opened();
    }

    /// One is closed; its place is free.
    pub fn closed(&mut self) {
        self.calls.0.closed();
        self.places.open.fetch_sub(1, Relaxed);
        self.resting_until = None;
    }

    /// Takes what is in the queue, and is then [over](Arrivals::is_over).
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Has the queue been taken dry after [`stop`](Arrivals::stop)?
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Is the listener to be watched now?
    pub fn is_watched(&self, now: Instant) -> bool {
        !self.over && self.resting_until.is_none_or(|until| until <= now)
    }

    /// How long accepting rests from now on, if it does.
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        self.resting_until.filter(|&until| until > now && !self.over).map(|until| until - now)
    }

    fn rest(&mut self, now: Instant) {
        self.calls.0.accept_paused();
        self.resting_until = Some(now + REST);
    }

    /// Sees to a failed accept.
    ///
    /// # Errors
    /// The listener is no good.
    pub fn failed(&mut self, error: io::Error, now: Instant) -> io::Result<()> {
        match error.into() {
            NotAccepted::Nobody => self.over = self.stopping,
            NotAccepted::Exhausted => self.rest(now),
            NotAccepted::ThatOne => {}
            NotAccepted::Fatal(error) => return Err(error),
        }
        Ok(())
    }
}

impl AsFd for Arrivals<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
