//! One worker's life, and what the parent sees of it.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use app::App;
use driver::{Calls, NotAccepted, REST, is_stopping, serve_blocking};
use nix::sys::eventfd::EventFd;

use crate::pool::Spare;

/// A worker's entry in the table that all processes share.
pub const NONE: usize = 0;
/// It waits in accept(2).
pub const IDLE: usize = 1;
/// It serves a connection.
pub const BUSY: usize = 2;
/// It is one too many, and ends when it has nothing to do.
pub const RETIRED: usize = 3;

/// What a worker needs of the pool.
pub struct Desk<'a> {
    pub listener: &'a TcpListener,
    /// Its entry in the table.
    pub state: &'a AtomicUsize,
    /// How many are idle.
    pub idle: &'a AtomicUsize,
    /// With fewer idle ones the parent is told, and with one more than the most.
    pub spare: Spare,
    pub tell: &'a EventFd,
}

impl Desk<'_> {
    fn tell(&self) {
        let _ = self.tell.write(1); // it can only fail for being readable already
    }
}

/// Serves one connection after the other, until SIGTERM has come and nobody waits any more.
pub fn work(desk: &Desk<'_>, app: App) -> io::Result<()> {
    let calls = Calls(app.counters());
    while desk.state.load(SeqCst) != RETIRED {
        // The listener blocks while we serve, and no longer once the pool stops: then the queue is taken dry.
        let socket = match calls.accept(desk.listener, false) {
            Ok(socket) => socket,
            Err(error) => match error.into() {
                NotAccepted::Nobody | NotAccepted::ThatOne if is_stopping() => return Ok(()),
                NotAccepted::Nobody | NotAccepted::ThatOne => continue,
                NotAccepted::Exhausted => {
                    app.counters().accept_paused();
                    std::thread::sleep(REST); // which SIGTERM ends
                    continue;
                }
                NotAccepted::Fatal(error) => return Err(error),
            },
        };
        calls.0.opened();
        // It may have been retired just now: then this connection is its last, and not to be told of it.
        let stays = desk.state.swap(BUSY, SeqCst) == IDLE;
        if stays && desk.idle.fetch_sub(1, SeqCst) <= desk.spare.min {
            desk.tell();
        }
        let _ = serve_blocking(socket, app.connect(Instant::now()), calls); // what fails is the peer's own
        if stays && desk.idle.fetch_add(1, SeqCst) == desk.spare.max {
            desk.tell();
        }
        desk.state.store(if stays { IDLE } else { RETIRED }, SeqCst);
        calls.0.closed();
    }
    Ok(())
}
