//! **posix-aio**: sockets by readiness, files by aio_read(3): enqueue, do something else, check, read the return value.
//! What reads meanwhile is a thread of glibc's, which sends a real-time signal when it is done.
//!
//! Each loop has a signal number of its own, blocked, and reads it from a signalfd(2) among its sockets. With `--no-signals`, it
//! asks aio_error(3) again and again instead.

mod operation;
mod reads;
mod signals;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Instant;

use app::App;
use driver::{Acceptor, Calls, Connections, Event, Interest, Key, Permits, Poller, on_each_thread};
use epoll::Epoll;
use supervisor::{Bound, Flag, Model};

use reads::{Notice, Reads};
use signals::Signals;

/// This model.
pub const MODEL: Model = Model { bounds: &[LOOPS], flags: &[NO_SIGNALS], ..Model::new(env!("CARGO_PKG_NAME"), serve) };

/// Linux with glibc has 31 real-time signals for programs: signal(7).
const LOOPS: Bound =
    Bound { flag: "threads", least: 1, most: 31, why: "each loop has a real-time signal of its own, and there are 31" };

const NO_SIGNALS: Flag = Flag {
    name: "no-signals",
    env: "NO_SIGNALS",
    default: None,
    help: "Ask again and again whether a read is complete, without waiting, instead of having a signal sent",
    at_most: &[],
    is_threads: false,
};

/// A loop's signal has come: a read of it is complete.
const SIGNALS: Key = Key::Own(0);

/// Runs a loop on every thread until SIGTERM has come and every connection is closed.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let numbers = libc::SIGRTMIN()..=libc::SIGRTMAX();
    signals::block(numbers.clone())?; // before any thread starts, since the signals are sent to the process
    let permits = Permits::new(app.settings().max_connections);
    let next = AtomicI32::new(*numbers.start());
    let notice = if app.settings().flag(NO_SIGNALS.name) == 0 { Notice::Signal } else { Notice::None };
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let acceptor = Acceptor::new(&listener, calls, &permits)?;
        let reads = Reads::new(calls, Signals::new(next.fetch_add(1, Relaxed))?, notice);
        let connections = Connections::new(acceptor, reads, |_, now| app.connect(now))?;
        run(connections, Epoll::new(calls)?)
    })
}

/// epoll's loop, which sees to each chunk of a file in four steps: a connection's turn *enqueues* the read (1), the loop
/// *does something else* (2), *checks* whether it is complete (3), and the connection's next turn *reads the return value* (4).
fn run(mut connections: Connections<'_, App, Reads>, mut poller: Epoll) -> io::Result<()> {
    connections.watch_own(&mut poller)?;
    poller.watch(connections.files().as_fd(), SIGNALS, Interest::Read)?;
    let mut ready = Vec::new();
    while !connections.is_finished() {
        let timeouts = [connections.timeout(), connections.files().timeout()];
        poller.wait(timeouts.into_iter().flatten().min(), &mut ready)?; // epoll_wait(2)
        connections.set_now(Instant::now());
        for Event { key, readiness } in ready.drain(..) {
            match key {
                Key::Listener => connections.accept(&mut poller)?,
                Key::Helpers => connections.finish_jobs(&mut poller)?,
                Key::Stop => connections.stop(&mut poller)?,
                Key::Connection(id) => connections.advance(id, readiness, &mut poller)?, // 1, if it comes to a file; all are 2
                Key::Own(_) => connections.files().take_signals()?,
            }
        }
        for id in connections.files().complete() {
            connections.resume(id, &mut poller)?; // `complete` was 3; this is 4, and 1 for the next chunk
        }
        connections.run_timers(&mut poller)?;
    }
    Ok(())
}
