//! **async-await**: a task a connection, which reads like a blocking thread and costs like an entry of an event loop.
//!
//! Where the blocking server waits, the task says `.await`: the compiler keeps the task's state as data, and one of tokio's
//! few threads goes on with another task. Put `serve_connection` beside `driver::serve_blocking`: it is the same `match`.

mod socket;

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use app::App;
use driver::tasks::{Stopping, accept_failed, permit, watch};
use driver::{Calls, HELPER_THREADS, READ_BUFFER};
use http1::{Conn, Handler, Want};
use supervisor::Model;
use tokio::io::Interest;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep_until;

use socket::Socket;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// The most connections that are accepted before the other tasks have their turn.
const ACCEPT_BATCH: usize = 64;

/// Runs tokio's threads until SIGTERM has come and every connection is closed.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let threads = app.settings().threads;
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(HELPER_THREADS)
        .enable_all()
        .build()?;
    // As a task, it runs on a worker thread. On this thread, it would have to wake a worker for each connection.
    runtime.block_on(async { tokio::spawn(accept(listener, app)).await? })
}

/// Starts a task for each connection until SIGTERM has come and the backlog is empty; then waits for all of them.
async fn accept(listener: TcpListener, app: App) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = watch(listener, Interest::READABLE)?;
    let stopping = Stopping::at_sigterm()?;
    let limit = u32::try_from(app.settings().max_connections).unwrap_or(u32::MAX);
    let permits = Arc::new(Semaphore::new(limit as usize));
    let mut workers = (0..app.settings().threads).map(|_| app.worker()).collect::<Vec<_>>().into_iter().cycle();
    let calls = Calls(app.counters());
    for turn in 1.. {
        let permit = permit(&permits, app.counters()).await;
        let begins = stopping.begins();
        let accepted = match stopping.has_begun() {
            true => calls.accept(listener.get_ref(), true),
            false => tokio::select! {
                accepted = listener.async_io(Interest::READABLE, |listener| calls.accept(listener, true)) => accepted,
                () = begins => continue,
            },
        };
        match accepted {
            Ok(socket) => {
                let (app, stopping) = (workers.next().unwrap_or(app), Arc::clone(&stopping));
                let open = (app.counters().open(), permit);
                tokio::spawn(async move {
                    // An error is the peer's, and a panic ends this task alone.
                    let conn = app.connect(Instant::now());
                    let _ = serve_connection(socket, conn, Calls(app.counters()), &stopping).await;
                    drop(open);
                });
            }
            Err(error) => {
                if accept_failed(error, app.counters()).await? && stopping.has_begun() {
                    break; // the backlog is empty
                }
            }
        }
        if turn % ACCEPT_BATCH == 0 {
            yield_now().await;
        }
    }
    permits.acquire_many(limit).await.map(drop).map_err(io::Error::other) // all permits: every connection is closed
}

/// Serves a whole connection.
///
/// # Errors
/// The peer's: its connection is broken.
async fn serve_connection<H: Handler>(
    socket: TcpStream,
    mut conn: Conn<H>,
    calls: Calls,
    stopping: &Stopping,
) -> io::Result<()> {
    let mut now = Instant::now();
    let timer = pin!(sleep_until(conn.deadline().unwrap_or(now).into()));
    let sigterm = pin!(stopping.begins());
    let mut socket = Socket::new(socket, timer, sigterm)?;
    loop {
        socket.end_turn().await;
        socket.stop_after_sigterm(stopping, &mut conn, now);
        if !socket.is_ready() {
            conn.expired(now); // here too: a read never times out while the peer keeps sending
        }
        let deadline = conn.deadline();
        let done = match conn.want() {
            Want::Read => {
                let read = socket.read(calls, |bytes| {
                    now = Instant::now();
                    conn.received(bytes, now);
                    if bytes.len() == READ_BUFFER {
                        conn.unread();
                    }
                });
                socket.or_wait(read, Interest::READABLE, deadline).await
            }
            Want::Write { bytes, more } => {
                let written = socket.write(|stream| calls.write(stream, bytes, more));
                socket.or_wait(written, Interest::WRITABLE, deadline).await.map(|n| {
                    now = Instant::now();
                    conn.sent(n, now);
                })
            }
            Want::SendFile(range) => {
                let written = socket.write(|stream| calls.sendfile(stream, range));
                socket.or_wait(written, Interest::WRITABLE, deadline).await.map(|n| {
                    now = Instant::now();
                    conn.sent(n, now);
                })
            }
            Want::Sleep(until) => {
                // SIGTERM does not end it, nor does the end of the peer's stream.
                let slept = tokio::select! {
                    () = sleep_until(until.into()) => Ok(()),
                    error = socket.broken() => Err(error),
                };
                now = Instant::now();
                socket.stop_after_sigterm(stopping, &mut conn, now);
                socket.tell_unread(&mut conn);
                slept.map(|()| conn.woke(now))
            }
            Want::Block(job) => {
                let reply = spawn_blocking(|| job.run()).await?;
                now = Instant::now();
                socket.stop_after_sigterm(stopping, &mut conn, now);
                socket.tell_unread(&mut conn);
                conn.done(reply, now);
                Ok(())
            }
            Want::Shut => socket.shut().map(|()| conn.shut(now)),
            Want::Close | Want::Pending => return Ok(()),
        };
        match done {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                now = Instant::now();
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
