//! **epoll**: a few threads, and readiness: the kernel remembers the sockets, and says which would not block.
//!
//! Each thread has its own epoll instance and its own connections; all accept from one listener. Sockets are watched
//! edge-triggered, so a request costs no epoll_ctl(2): one epoll_wait(2) for a batch, one read, one write.
//!
//! The loop is below; what makes it epoll is in `poller.rs`. Compare: `diff -r services/poll/src services/epoll/src`.

mod poller;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use app::App;
use driver::{Acceptor, Calls, Connections, Event, Key, Permits, Poller, on_each_thread};
use supervisor::Model;

pub use poller::Epoll; // for the models that are built on it

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is closed.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let permits = Permits::new(app.settings().max_connections);
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let acceptor = Acceptor::new(&listener, calls, &permits)?;
        let connections = Connections::new(acceptor, calls, |_, now| app.connect(now))?;
        run(connections, Epoll::new(calls)?)
    })
}

/// The loop: wait until something is ready, do what can be done without waiting, and wait again.
fn run(mut connections: Connections<'_, App>, mut poller: Epoll) -> io::Result<()> {
    connections.watch_own(&mut poller)?;
    let mut ready = Vec::new();
    while !connections.is_finished() {
        poller.wait(connections.timeout(), &mut ready)?; // epoll_wait(2)
        connections.set_now(Instant::now());
        for Event { key, readiness } in ready.drain(..) {
            match key {
                Key::Listener => connections.accept(&mut poller)?,
                Key::Helpers => connections.finish_jobs(&mut poller)?,
                Key::Stop => connections.stop(&mut poller)?,
                Key::Connection(id) => connections.advance(id, readiness, &mut poller)?,
                Key::Own(_) => {} // there are none
            }
        }
        connections.run_timers(&mut poller)?;
    }
    Ok(())
}
