//! **thread-per-connection**: blocking I/O, and the kernel's threads for concurrency.
//!
//! The main thread accepts and starts a thread; each thread serves one whole connection with blocking calls, and ends.
//! The threads share all memory, and with it come races on what they share.

mod detached;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use app::App;
use driver::{Accepted, BlockingAcceptor, Calls, ThreadAcceptor, inherit_timeouts, serve_blocking};
use nix::errno::Errno;
use scoreboard::Syscall;
use supervisor::{Model, Resource};

use detached::Detached;

/// This model.
pub const MODEL: Model = Model { connection_takes: Resource::Thread, ..Model::new(env!("CARGO_PKG_NAME"), serve) };

/// Starts a thread for each connection. Above the limit, a connection waits until a thread ends.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    inherit_timeouts(&listener, &app.settings().limits)?;
    let mut acceptor = ThreadAcceptor::new(&listener, app.settings().max_connections, Calls(app.counters()))?;
    let threads = Detached::new()?;
    while let Some(connection) = acceptor.next_connection()? {
        start_thread(&threads, connection, app, &mut acceptor)?;
    }
    acceptor.wait_for_all()
}

/// Serves the connection in a thread of its own.
///
/// When the machine has no thread left (EAGAIN), the main thread backs off and keeps the connection.
fn start_thread(
    threads: &Detached,
    connection: Accepted,
    app: App,
    acceptor: &mut ThreadAcceptor<'_>,
) -> io::Result<()> {
    let mut work = move || {
        let app = app.worker();
        let serve = |socket| serve_blocking(socket, app.connect(Instant::now()), Calls(app.counters()));
        let _ = connection.serve(serve); // an error is the peer's, and ends this connection alone
    };
    loop {
        app.counters().syscall(Syscall::Clone);
        match threads.start(work) {
            Ok(()) => return Ok(()),
            Err((Errno::EAGAIN, kept)) => {
                work = kept;
                acceptor.back_off()?;
            }
            Err((errno, _)) => return Err(errno.into()),
        }
    }
}
