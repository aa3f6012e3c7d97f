//! Accepts connections, and gives each one a task of its own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use app::App;
use axum::Router;
use driver::tasks::{Stopping, accept_failed, permit};
use scoreboard::Open;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parity;
use crate::socket::Socket;

/// While it lives, a connection is counted as open and has its permit.
pub type OpenConnection = (Open, OwnedSemaphorePermit);

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
                let serve = |socket| parity::serve_connection(socket, app, router.clone(), Arc::clone(&stopping), open);
                tokio::spawn(Socket::new(socket).scope(serve));
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
