//! What the models on tokio share: SIGTERM for every task, permits, and descriptors that tokio watches.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use scoreboard::Counters;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::common::BACK_OFF;
use crate::signals::Sigterm;
use crate::syscalls::AcceptError;

/// Lets tokio's epoll instance watch a descriptor, edge-triggered.
///
/// # Errors
/// Those of epoll_ctl(2).
pub fn watch<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: what is watched here (a listener, a stream, a signalfd) owns its descriptor, and never another one.
    Ok(unsafe { AsyncFd::register_with_interest(inner, interest)? })
}

/// Tells every task when SIGTERM has come.
pub struct Stopping {
    begun: AtomicBool,
    notify: Notify,
}

impl Stopping {
    /// A task of its own waits for SIGTERM, and tells all the others.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn at_sigterm() -> io::Result<Arc<Stopping>> {
        let stopping = Arc::new(Stopping { begun: AtomicBool::new(false), notify: Notify::new() });
        let (sigterm, all) = (watch(Sigterm::new()?, Interest::READABLE)?, Arc::clone(&stopping));
        tokio::spawn(async move {
            let _ = sigterm.readable().await;
            all.begin();
        });
        Ok(stopping)
    }

    /// The server stops from now on.
    pub fn begin(&self) {
        self.begun.store(true, SeqCst); // first, so that a task that begins to wait too late sees it
        self.notify.notify_waiters();
    }

    /// Has SIGTERM come?
    pub fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Ends when SIGTERM comes after this call (not after the first poll). Call it before [`has_begun`](Stopping::has_begun),
    /// or a signal between the two is missed.
    pub fn begins(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// Waits for a permit for one more connection.
///
/// # Panics
/// If the semaphore has been closed.
pub async fn permit(permits: &Arc<Semaphore>, counters: &Counters) -> OwnedSemaphorePermit {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return permit;
    }
    counters.accept_paused();
    Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed")
}

/// Handles the error of an accept: backs off if the machine has run out of something. Returns whether the backlog is empty.
///
/// # Errors
/// accept(2) cannot work on this listener.
pub async fn accept_failed(error: io::Error, counters: &Counters) -> io::Result<bool> {
    match error.into() {
        AcceptError::BacklogEmpty => return Ok(true),
        AcceptError::Exhausted => {
            counters.accept_paused();
            tokio::time::sleep(BACK_OFF).await;
        }
        AcceptError::ConnectionLost => {}
        AcceptError::Fatal(error) => return Err(error),
    }
    Ok(false)
}
