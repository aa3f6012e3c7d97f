//! The connections that wait for a worker.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use driver::Accepted;
use scoreboard::Counters;

/// First come, first served. The limit of open connections bounds it, and its depth is a metric.
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    counters: &'static Counters,
}

#[derive(Default)]
struct Inner {
    connections: VecDeque<Accepted>,
    closed: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(counters: &'static Counters) -> Queue {
        Queue { inner: Mutex::default(), changed: Condvar::new(), counters }
    }

    /// Appends a connection, and wakes one worker.
    pub fn put(&self, connection: Accepted) {
        self.lock().connections.push_back(connection);
        self.counters.queued();
        self.changed.notify_one();
    }

    /// Waits for a connection; `None` once the queue is closed and empty.
    pub fn take(&self) -> Option<Accepted> {
        let waits = |inner: &mut Inner| inner.connections.is_empty() && !inner.closed;
        let mut inner = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let connection = inner.connections.pop_front();
        drop(inner);
        connection.inspect(|_| self.counters.dequeued())
    }

    /// No connection comes any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
