use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use driver::Stop;
use http::{Conn, Handler};
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::socket::watch;

/// Has SIGTERM come?
pub struct Stopping {
    begun: AtomicBool,
    notify: Notify,
}

impl Stopping {
    /// Not yet. A task waits for it, and tells all the others.
    pub fn at_sigterm() -> io::Result<Arc<Stopping>> {
        let stopping = Arc::new(Stopping { begun: AtomicBool::new(false), notify: Notify::new() });
        let (stop, told) = (watch(Stop::new()?, Interest::READABLE)?, Arc::clone(&stopping));
        tokio::spawn(async move {
            let _ = stop.readable().await;
            told.begin();
        });
        Ok(stopping)
    }

    pub fn begin(&self) {
        self.begun.store(true, SeqCst); // first, so that whoever begins to wait too late sees it
        self.notify.notify_waiters();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Ends when it begins, counted from this call, not from the first poll. To be asked before `has_begun`.
    pub fn begins(&self) -> Notified<'_> {
        self.notify.notified()
    }

    /// Tells the connection of SIGTERM, if that has come.
    pub fn pass_on<H: Handler>(&self, conn: &mut Conn<H>, socket: &impl AsFd, now: Instant) {
        if self.has_begun() {
            driver::stop(conn, socket, now);
        }
    }
}
