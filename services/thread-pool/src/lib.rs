//! **thread-pool**: blocking I/O, and a fixed number of threads that take turns.
//!
//! The main thread accepts and puts the connection into a queue; a thread that is free takes it out and serves it to its
//! end, with blocking calls. While all threads are busy, connections wait in the queue, and when that is full, in the
//! kernel's backlog.

mod queue;

use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use app::App;
use driver::{Calls, THREAD_STACK, ThreadAcceptor, inherit_timeouts, serve_blocking};
use supervisor::{Flag, Model};

use queue::Queue;

/// This model.
pub const MODEL: Model = Model { flags: &[WORKERS, QUEUE], ..Model::new(env!("CARGO_PKG_NAME"), serve) };

const WORKERS: Flag = Flag {
    name: "workers",
    env: "WORKERS",
    default: Some("256"),
    help: "Threads, each of which serves one connection",
    at_most: &["max-connections"],
    is_threads: true,
};
const QUEUE: Flag = Flag {
    name: "queue",
    env: "QUEUE",
    default: Some("1024"),
    help: "Connections that may wait for a thread",
    at_most: &[],
    is_threads: false,
};

/// Accepts connections for the pool until SIGTERM has come and every connection is closed.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle, or a thread cannot be started.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    inherit_timeouts(&listener, &app.settings().limits)?;
    let workers = app.settings().flag(WORKERS.name);
    let limit = app.settings().max_connections.min(workers.saturating_add(app.settings().flag(QUEUE.name)));
    let mut acceptor = ThreadAcceptor::new(&listener, limit, Calls(app.counters()))?;
    let queue = Queue::new(app.counters());
    thread::scope(|scope| {
        let start = |n| {
            let worker = thread::Builder::new().name(format!("worker-{n}")).stack_size(THREAD_STACK);
            worker.spawn_scoped(scope, || work(&queue, app.worker())).map(drop)
        };
        let ended = (0..workers).try_for_each(start).and_then(|()| fill(&queue, &mut acceptor));
        queue.close(); // otherwise the workers would wait for a connection for ever
        ended
    })?;
    acceptor.wait_for_all()
}

/// Puts each connection into the queue, until SIGTERM has come and the backlog is empty.
fn fill(queue: &Queue, acceptor: &mut ThreadAcceptor<'_>) -> io::Result<()> {
    while let Some(connection) = acceptor.next_connection()? {
        queue.put(connection);
    }
    Ok(())
}

/// A worker's life: one connection after the other.
fn work(queue: &Queue, app: App) {
    while let Some(connection) = queue.take() {
        let serve = |socket| serve_blocking(socket, app.connect(Instant::now()), Calls(app.counters()));
        // An error, or even a panic, ends this connection alone: the worker goes on with the next one.
        let _ = catch_unwind(AssertUnwindSafe(|| connection.serve(serve)));
    }
}
