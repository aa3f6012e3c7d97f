//! **posix-aio**: sockets by readiness, files by aio_read(3): enqueue, do something else, check, read the return value.
//! What reads meanwhile is a thread of glibc's, which sends a real-time signal when it is done.
//!
//! Each loop has a signal number of its own, blocked, and reads it from a signalfd(2) among its sockets.

mod operation;
mod reads;
mod signals;

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use app::App;
use driver::{
    Arrivals, Calls, HELPERS, LISTENER, Peers, Places, READS, Readiness, STOP, Stop, Trigger, on_each_thread,
};
use supervisor::Model;

use reads::Reads;
use signals::Signals;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is finished.
///
/// There are at most as many loops as real-time signals, which on Linux with glibc are 31: signal(7).
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let numbers = libc::SIGRTMIN()..=libc::SIGRTMAX();
    signals::block(numbers.clone())?; // here, for every thread to come: the signals are sent to the process
    let places = Places::new(app.settings().max_connections);
    let next = AtomicI32::new(*numbers.start());
    on_each_thread(app.settings().threads.min(numbers.count()), || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let arrivals = Arrivals::new(&listener, calls, &places)?;
        let reads = Reads::new(calls, Signals::new(next.fetch_add(1, Relaxed))?);
        run(Peers::new(arrivals, reads, Trigger::Edge, |_, now| app.connect(now))?, Interest::new(calls)?)
    })
}

/// The loop, which sees to each piece of a file in four steps: a connection's turn *enqueues* the read (1), the loop
/// *does something else* (2), *checks* whether it is complete (3), and the next turn *reads the return value* (4).
fn run(mut peers: Peers<'_, App, Reads>, mut interest: Interest) -> io::Result<()> {
    let stop = Stop::new()?;
    interest.listen(&stop, STOP, true)?;
    interest.listen(peers.helpers(), HELPERS, true)?;
    interest.listen(peers.files(), READS, true)?;
    let mut listening = false;
    let mut ready = Vec::new();
    while !peers.is_finished() {
        if listening != peers.accepts() {
            listening = !listening;
            interest.listen(peers.arrivals(), LISTENER, listening)?;
        }
        let pauses = [peers.pause(), peers.files().pause()];
        interest.wait(&mut ready, pauses.into_iter().flatten().min())?;
        peers.waited();
        for (key, readiness) in ready.drain(..) {
            match key {
                LISTENER => peers.accept()?,
                HELPERS => peers.finish_jobs()?,
                READS => peers.files().notified()?, // it is worth checking
                STOP => {
                    interest.listen(&stop, STOP, false)?; // it stays readable
                    peers.stop();
                }
                _ => peers.turn(key, readiness)?, // 1, if it comes to a file; and all of this is 2
            }
        }
        for key in peers.files().complete() {
            peers.turn(key, Readiness::default())?; // 3 has said yes: 4, and 1 for the next piece
        }
        peers.work()?;
        peers.changes(|fd, key, watch| interest.watch(fd, key, watch))?;
    }
    Ok(())
}

/// What the kernel watches for this loop.
type Interest = driver::Epoll;
