//! **async-await**: a task a connection, which reads like a blocking thread and costs like an entry of an event loop.
//!
//! Where the blocking server waits, the task says `.await`: the compiler keeps its place as data, and one of tokio's
//! few threads goes on with another. Put `converse` beside `driver::serve_blocking`: it is the same `match`.

mod socket;
mod stopping;

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use app::App;
use driver::{Calls, HELPER_THREADS, NotAccepted, REST};
use http::{Conn, Handler, Want};
use supervisor::Model;
use tokio::io::Interest;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, sleep_until};

use socket::{Socket, watch};
use stopping::Stopping;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// The most connections that are accepted before those that are here have their turn.
const ACCEPT_MOST: usize = 64;

/// Runs tokio's threads until SIGTERM has come and every connection is finished.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let threads = app.settings().threads;
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(HELPER_THREADS)
        .enable_all()
        .build()?;
    // As a task of its own it runs on a worker. Here it would hand each connection to another thread, and wake it.
    runtime.block_on(async { tokio::spawn(accept(listener, app)).await? })
}

/// Starts a task for each connection until SIGTERM has come and the queue is dry; then waits for all of them.
async fn accept(listener: TcpListener, app: App) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = watch(listener, Interest::READABLE)?;
    let stopping = Stopping::at_sigterm()?;
    let limit = u32::try_from(app.settings().max_connections).unwrap_or(u32::MAX);
    let places = Arc::new(Semaphore::new(limit as usize));
    let mut workers = (0..app.settings().threads).map(|_| app.worker()).collect::<Vec<_>>().into_iter().cycle();
    let calls = Calls(app.counters());
    for turn in 1.. {
        let permit = free_place(&places, calls).await?;
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
                let place = (app.counters().open(), permit);
                tokio::spawn(async move {
                    // The error, if any, was the peer's. A panic ends this task, and no other.
                    let _ = converse(socket, app.connect(Instant::now()), Calls(app.counters()), &stopping).await;
                    drop(place);
                });
            }
            Err(error) => match error.into() {
                NotAccepted::Nobody => break, // it would have waited, but for SIGTERM
                NotAccepted::Exhausted => {
                    app.counters().accept_paused();
                    sleep(REST).await;
                }
                NotAccepted::ThatOne => {}
                NotAccepted::Fatal(error) => return Err(error),
            },
        }
        if turn % ACCEPT_MOST == 0 {
            yield_now().await;
        }
    }
    places.acquire_many(limit).await.map(drop).map_err(io::Error::other) // every place is free: everybody is gone
}

/// Serves a whole connection. The error, if any, was the peer's.
async fn converse<H: Handler>(
    socket: TcpStream,
    mut conn: Conn<H>,
    calls: Calls,
    stopping: &Stopping,
) -> io::Result<()> {
    let mut now = Instant::now();
    let alarm = pin!(sleep_until(conn.deadline().unwrap_or(now).into()));
    let sigterm = pin!(stopping.begins());
    let mut socket = Socket::new(socket, alarm, sigterm)?;
    loop {
        socket.let_others().await;
        stopping.pass_on(&mut conn, &socket, now);
        if !socket.is_ready() {
            conn.expired(now); // here too: a peer that keeps sending never lets a read time out
        }
        let deadline = conn.deadline();
        let done = match conn.want() {
            Want::Read => {
                let read = socket.read(calls, |bytes| {
                    now = Instant::now();
                    conn.received(bytes, now);
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
                sleep_until(until.into()).await; // which SIGTERM does not end
                now = Instant::now();
                stopping.pass_on(&mut conn, &socket, now);
                conn.woke(now);
                Ok(())
            }
            Want::Block(job) => {
                let reply = spawn_blocking(|| job.run()).await?;
                now = Instant::now();
                stopping.pass_on(&mut conn, &socket, now);
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

/// Waits for a place for one more connection.
async fn free_place(places: &Arc<Semaphore>, calls: Calls) -> io::Result<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
        return Ok(permit);
    }
    calls.0.accept_paused();
    Arc::clone(places).acquire_owned().await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
