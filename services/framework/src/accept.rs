//! Accepts connections, and gives each one a task of its own.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use app::App;
use axum::Router;
use driver::tasks::{Stopping, accept_failed, permit, watch};
use scoreboard::Open;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parity;

/// While it lives, a connection is counted as open and has its permit.
pub type OpenConnection = (Open, OwnedSemaphorePermit);

tokio::task_local! {
    /// The socket of the connection whose task this is.
    static SOCKET: RawFd;
}

/// Until the connection of this task is broken, since its peer has reset it. hyper does not tell a handler, and it owns the
/// socket, so this watches a copy of the descriptor: four system calls.
///
/// # Errors
/// The machine has no descriptor left.
pub async fn broken() -> io::Result<()> {
    // SAFETY: a handler runs inside its connection's task, which owns the socket and polls the handler before it closes that.
    let socket = unsafe { BorrowedFd::borrow_raw(SOCKET.get()) }.try_clone_to_owned()?;
    watch(socket, Interest::READABLE)?.ready(Interest::ERROR).await.map(drop)
}

/// Accepts until SIGTERM has come and the backlog is empty; then waits until every connection is closed.
///
/// # Errors
/// accept(2) cannot work on this listener.
pub async fn accept(listener: TcpListener, app: App, router: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let backlog = listener.try_clone()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let limit = app.settings().max_connections.min(u32::MAX as usize);
    let permits = Arc::new(Semaphore::new(limit));
    let stopping = Stopping::at_sigterm()?;
    loop {
        let permit = permit(&permits, app.counters()).await;
        let begins = stopping.begins();
        let accepted = match stopping.has_begun() {
            // Without tokio, which may not have heard yet of the last connections in the backlog.
            true => backlog.accept().and_then(|(socket, _)| {
                socket.set_nonblocking(true)?;
                TcpStream::from_std(socket)
            }),
            false => tokio::select! {
                accepted = listener.accept() => accepted.map(|(socket, _)| socket),
                () = begins => continue,
            },
        };
        match accepted {
            Ok(socket) => {
                let open = (app.counters().open(), permit);
                let fd = socket.as_raw_fd();
                let served = parity::serve_connection(socket, app, router.clone(), Arc::clone(&stopping), open);
                tokio::spawn(SOCKET.scope(fd, served));
            }
            Err(error) => {
                if accept_failed(error, app.counters()).await? && stopping.has_begun() {
                    break; // the backlog is empty
                }
            }
        }
    }
    let _all = permits.acquire_many(limit as u32).await;
    Ok(())
}
