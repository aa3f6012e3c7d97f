//! **select**: a few threads, and readiness: at each wait, the kernel is handed a bit for every socket.
//!
//! Each thread has its own sets of bits and its own connections; all accept from one listener. The kernel looks at every
//! descriptor from 0 to the highest, so a wait costs more the more connections are open, however few of them are busy.
//!
//! The loop is below; what makes it select is in `poller.rs`. Compare: `diff -r services/select/src services/poll/src`.

mod poller;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use app::App;
use driver::{Acceptor, Calls, Connections, Event, Key, Permits, Poller, on_each_thread};
use supervisor::Model;

use poller::Select;

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
        run(connections, Select::new(calls)?)
    })
}

/// The loop: wait until something is ready, do what can be done without waiting, and wait again.
fn run(mut connections: Connections<'_, App>, mut poller: Select) -> io::Result<()> {
    connections.watch_own(&mut poller)?;
    let mut ready = Vec::new();
    while !connections.is_finished() {
        poller.wait(connections.timeout(), &mut ready)?; // select(2)
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
