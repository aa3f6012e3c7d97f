//! **thread-per-connection**: blocking I/O, and the kernel's threads for concurrency.
//!
//! The main thread accepts and starts a thread; each thread serves one whole connection with blocking calls, and ends.
//! They share all memory, and with it every race.

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use app::App;
use driver::{Calls, Threads, inherit_timeouts, serve_blocking};
use supervisor::{Model, Resource};

/// This model.
pub const MODEL: Model = Model { connection_takes: Resource::Thread, ..Model::new(env!("CARGO_PKG_NAME"), serve) };

/// Starts a thread for each connection. Above the limit, a connection waits for a thread to end.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    inherit_timeouts(&listener, &app.settings().limits)?;
    let mut threads = Threads::new(&listener, app.settings().max_connections, Calls(app.counters()))?;
    while let Some(guest) = threads.next_arrival()? {
        threads.spawn(guest, move |guest| {
            let app = app.worker();
            guest.serve(|socket| serve_blocking(socket, app.connect(Instant::now()), Calls(app.counters())))
        })?;
    }
    threads.wait_for_all()
}
