//! **thread-pool**: blocking I/O, and a fixed number of threads that take turns.
//!
//! The main thread accepts and puts the connection into a queue; whichever thread is free takes it out and serves it
//! whole, with blocking calls. Who comes when all are busy waits in the queue, and who comes when that is full, outside.

mod queue;

use std::io;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use app::App;
use driver::{Calls, STACK, Threads, inherit_timeouts, serve_blocking};
use supervisor::{Flag, Model};

use queue::Queue;

/// This model.
pub const MODEL: Model = Model { flags: &[WORKERS, QUEUE], ..Model::new(env!("CARGO_PKG_NAME"), serve) };

const WORKERS: Flag =
    Flag { name: "workers", env: "WORKERS", default: "256", help: "Threads, each of which serves one connection" };
const QUEUE: Flag =
    Flag { name: "queue", env: "QUEUE", default: "1024", help: "Connections that may wait for a thread" };

/// Accepts connections for the pool until SIGTERM has come and every connection is finished.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    inherit_timeouts(&listener, &app.settings().limits)?;
    let workers = app.settings().flag(WORKERS.name);
    let limit = app.settings().max_connections.min(workers + app.settings().flag(QUEUE.name));
    let mut threads = Threads::new(&listener, limit, Calls(app.counters()))?;
    let queue = Queue::new(app.counters());
    thread::scope(|scope| {
        let start = |n| {
            let worker = thread::Builder::new().name(format!("worker-{n}")).stack_size(STACK);
            worker.spawn_scoped(scope, || work(&queue, app.worker())).map(drop)
        };
        let ended = (0..workers.min(limit)).try_for_each(start).and_then(|()| fill(&queue, &mut threads));
        queue.close(); // else those who wait at it would wait forever
        ended
    })?;
    threads.wait_for_all()
}

/// Puts whoever arrives into the queue, until SIGTERM has come and nobody arrives any more.
fn fill(queue: &Queue, threads: &mut Threads<'_>) -> io::Result<()> {
    while let Some(guest) = threads.next_arrival()? {
        queue.put(guest);
    }
    Ok(())
}

/// A worker's life: one connection after the other.
fn work(queue: &Queue, app: App) {
    while let Some(guest) = queue.take() {
        let serve = |socket| serve_blocking(socket, app.connect(Instant::now()), Calls(app.counters()));
        // What fails is the peer's own, even a panic: the worker goes on to the next.
        let _ = catch_unwind(AssertUnwindSafe(|| guest.serve(serve)));
    }
}
