//! Accepting by the kernel: an accept that is submitted cannot be told a limit, so connections above it have to be kept unserved.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use driver::{Acceptor, Calls, Permits};
use nix::errno::Errno;

use crate::ring::{Completion, Ring};

/// The limit of open connections, over all rings.
pub struct Limit {
    permits: Permits,
    /// Connections that are accepted and have no permit yet. No ring accepts more before they have one.
    unserved: AtomicUsize,
}

impl Limit {
    /// That many connections may be open.
    pub fn new(limit: usize) -> Limit {
        Limit { permits: Permits::new(limit), unserved: AtomicUsize::new(0) }
    }

    fn is_reached(&self) -> bool {
        self.permits.available() <= self.unserved.load(Relaxed)
    }
}

/// Is an accept submitted?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accept {
    No,
    Yes,
    /// It is being cancelled: its last completion has not come yet.
    Ending,
}

/// The connections that one ring accepts.
pub struct Accepts<'a> {
    acceptor: Acceptor<'a>,
    limit: &'a Limit,
    /// Accepted above the limit, before the accept could be ended. They wait for permits.
    unserved: VecDeque<TcpStream>,
    accept: Accept,
    /// This ring is the only one at its listener.
    is_alone: bool,
    stopping: bool,
}

impl<'a> Accepts<'a> {
    /// Nothing is submitted yet.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(listener: &'a TcpListener, calls: Calls, limit: &'a Limit, is_alone: bool) -> io::Result<Accepts<'a>> {
        let acceptor = Acceptor::new(listener, calls, &limit.permits)?;
        Ok(Accepts { acceptor, limit, unserved: VecDeque::new(), accept: Accept::No, is_alone, stopping: false })
    }

    /// An accept is complete, or has brought one of many connections.
    ///
    /// # Errors
    /// accept(2) cannot work on this listener.
    pub fn completed(&mut self, completion: &Completion, now: Instant) -> io::Result<()> {
        if !completion.more {
            self.accept = Accept::No;
        }
        match completion.result {
            Ok(descriptor) => {
                // SAFETY: the kernel has just returned this descriptor, so nothing else owns it.
                let socket = unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) };
                self.unserved.push_back(socket.into());
                self.limit.unserved.fetch_add(1, Relaxed);
                self.acceptor.calls().0.queued();
                Ok(())
            }
            Err(Errno::ECANCELED) => Ok(()),
            Err(errno) => self.acceptor.failed(errno.into(), now),
        }
    }

    /// The next connection that may be served; `None` when there is none, or no permit for it.
    ///
    /// # Errors
    /// accept(2) cannot work on this listener.
    pub fn next(&mut self, now: Instant) -> io::Result<Option<TcpStream>> {
        if self.unserved.is_empty() {
            // At a stop, accept(2) empties the backlog, because no completion says that it is empty. Unserved connections of
            // other rings came first, so it waits until each of them can have a permit.
            let by_hand = self.stopping && self.accept == Accept::No && !self.limit.is_reached();
            return if by_hand { self.acceptor.accept(now) } else { Ok(None) };
        }
        // First, so that no other ring sees it as unserved and its permit as taken at the same time.
        self.limit.unserved.fetch_sub(1, Relaxed);
        if !self.acceptor.take_permit(now) {
            self.limit.unserved.fetch_add(1, Relaxed);
            return Ok(None);
        }
        let calls = self.acceptor.calls();
        calls.0.dequeued();
        calls.0.opened();
        Ok(self.unserved.pop_front())
    }

    /// Submits an accept if no accept is submitted and there are permits; cancels the accept at the limit and at a stop.
    ///
    /// # Errors
    /// Those of io_uring_enter(2).
    pub fn submit(&mut self, ring: &mut Ring, now: Instant) -> io::Result<()> {
        let at_limit = self.limit.is_reached();
        if at_limit {
            self.acceptor.back_off(now);
        }
        match self.accept {
            Accept::Yes if at_limit || self.stopping => {
                ring.cancel_accept()?;
                self.accept = Accept::Ending;
            }
            Accept::No if !at_limit && !self.stopping && self.acceptor.is_listening(now) => {
                // Rings that share a listener wait in its queue. A multishot accept stays first in that queue, and its ring
                // gets nearly all connections; a single-shot accept goes to the end each time that it is submitted.
                ring.accept(&self.acceptor, self.is_alone)?;
                self.accept = Accept::Yes;
            }
            _ => {}
        }
        Ok(())
    }

    /// A connection is closed, and its permit is free.
    pub fn closed(&mut self) {
        self.acceptor.closed();
    }

    /// SIGTERM has come: the backlog is accepted to its end.
    pub fn drain(&mut self) {
        self.stopping = true;
        self.acceptor.drain();
    }

    /// Has the backlog been accepted to its end, and does no connection wait for a permit?
    pub fn is_drained(&self) -> bool {
        self.acceptor.is_drained() && self.unserved.is_empty()
    }

    /// How long the ring may wait before it must look at the backlog again; `None` is without end.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let by_hand = self.stopping && self.accept == Accept::No && !self.acceptor.is_drained();
        if by_hand && self.acceptor.is_listening(now) { Some(Duration::ZERO) } else { self.acceptor.timeout(now) }
    }
}
