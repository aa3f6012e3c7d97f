//! **process-per-connection**: blocking I/O, and the kernel's processes for concurrency.
//!
//! The main process accepts and forks; each child serves one whole connection with blocking calls, and exits. The
//! connections share nothing but what they share through the kernel.

mod children;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use app::App;
use driver::{BlockingAcceptor, Calls, inherit_timeouts, serve_blocking};
use supervisor::{Model, Resource};

use children::Children;

/// This model.
pub const MODEL: Model = Model { connection_takes: Resource::Process, ..Model::new(env!("CARGO_PKG_NAME"), serve) };

/// Forks for each connection. Above the limit, a connection waits until a child exits.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    inherit_timeouts(&listener, &app.settings().limits)?;
    app.warm_up();
    let mut children = Children::new(&listener, app.settings().max_connections, Calls(app.counters()))?;
    while let Some(socket) = children.next_socket()? {
        children.fork(socket, |socket| {
            let app = app.worker();
            serve_blocking(socket, app.connect(Instant::now()), Calls(app.counters()))
        })?;
    }
    children.wait_for_all()
}
