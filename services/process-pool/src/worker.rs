//! What a worker does, and what the parent sees of it.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use app::App;
use driver::{AcceptError, BACK_OFF, Calls, is_stopping, serve_blocking};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::Signal;

use crate::pool::Spare;

/// The signal that ends a worker's accept(2) when the pool has too many workers. (SIGTERM would say that the server stops.)
pub const RETIRE: Signal = Signal::SIGUSR1;

/// The state of a slot without a worker.
pub const NONE: usize = 0;
/// The worker waits in accept(2).
pub const IDLE: usize = 1;
/// The worker serves a connection.
pub const BUSY: usize = 2;
/// The pool has too many workers, and this one exits when it has no connection.
pub const RETIRED: usize = 3;

/// What a worker needs of the pool.
pub struct Slot<'a> {
    pub listener: &'a TcpListener,
    /// What the worker does, in the table that all processes share.
    pub state: &'a AtomicUsize,
    /// How many workers are idle.
    pub idle: &'a AtomicUsize,
    /// The worker wakes the parent when fewer workers are idle than the least, or more than the most.
    pub spare: Spare,
    pub wake_parent: &'a EventFd,
}

impl Slot<'_> {
    fn wake_parent(&self) {
        let _ = self.wake_parent.write(1); // it can only fail because the eventfd is readable already
    }
}

/// Serves one connection after the other, until SIGTERM has come and the backlog is empty.
///
/// # Errors
/// accept(2) cannot work on this listener.
pub fn work(slot: &Slot<'_>, app: App) -> io::Result<()> {
    let calls = Calls(app.counters());
    while slot.state.load(SeqCst) != RETIRED {
        // The listener blocks until the pool stops; from then on accept(2) returns at once, so the backlog gets empty.
        let socket = match calls.accept(slot.listener, false) {
            Ok(socket) => socket,
            Err(error) => match error.into() {
                AcceptError::BacklogEmpty | AcceptError::ConnectionLost if is_stopping() => return Ok(()),
                AcceptError::BacklogEmpty | AcceptError::ConnectionLost => continue,
                AcceptError::Exhausted => {
                    app.counters().accept_paused();
                    std::thread::sleep(BACK_OFF); // std sleeps on after a signal
                    continue;
                }
                AcceptError::Fatal(error) => return Err(error),
            },
        };
        calls.0.opened();
        // The parent may have retired this worker just now: then it is not counted any more, and this connection is its last.
        let stays = slot.state.swap(BUSY, SeqCst) == IDLE;
        if stays && slot.idle.fetch_sub(1, SeqCst) <= slot.spare.min {
            slot.wake_parent();
        }
        let _ = serve_blocking(socket, app.connect(Instant::now()), calls); // an error is the peer's, and ends this connection alone
        if stays && slot.idle.fetch_add(1, SeqCst) == slot.spare.max {
            slot.wake_parent();
        }
        slot.state.store(if stays { IDLE } else { RETIRED }, SeqCst);
        calls.0.closed();
    }
    Ok(())
}
