//! The connections that wait for a worker.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use driver::Guest;
use scoreboard::Counters;

/// First come, first served. It is as long as there are places for connections, and its depth is a metric.
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    counters: &'static Counters,
}

#[derive(Default)]
struct Inner {
    guests: VecDeque<Guest>,
    closed: bool,
}

impl Queue {
    /// An empty one.
    pub fn new(counters: &'static Counters) -> Queue {
        Queue { inner: Mutex::default(), changed: Condvar::new(), counters }
    }

    /// Appends a connection, and wakes one worker.
    pub fn put(&self, guest: Guest) {
        self.lock().guests.push_back(guest);
        self.counters.queued();
        self.changed.notify_one();
    }

    /// Waits for a connection; `None` once the queue is closed and empty.
    pub fn take(&self) -> Option<Guest> {
        let waits = |inner: &mut Inner| inner.guests.is_empty() && !inner.closed;
        let mut inner = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let guest = inner.guests.pop_front();
        drop(inner);
        guest.inspect(|_| self.counters.dequeued())
    }

    /// Nobody comes any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
