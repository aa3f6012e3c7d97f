use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use app::App;
use axum::Router;
use nix::errno::Errno;
use scoreboard::{Counters, Open};
use supervisor::{REST, Stop};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{self, Stopping};

/// A connection is open, and has a place, until this is dropped.
pub type Place = (Open, OwnedSemaphorePermit);

/// Accepts, and gives each connection a task of its own; after SIGTERM takes the queue dry and waits for them all.
pub async fn serve(listener: TcpListener, app: App, router: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let queue = listener.try_clone()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let limit = app.settings().max_connections.min(u32::MAX as usize);
    let places = Arc::new(Semaphore::new(limit));
    let stopping = Stopping::new();
    let serve = |socket, permit| {
        let place = (app.counters().open(), permit);
        tokio::spawn(connection::serve(socket, app, router.clone(), Arc::clone(&stopping), place));
    };

    // SAFETY: a Stop owns its descriptor, keeps it for life, and gives the same one each time.
    let stop = unsafe { AsyncFd::register(Stop::new()?)? };
    let mut sigterm = std::pin::pin!(stop.readable());
    loop {
        let arrival = async {
            let permit = free_place(&places, app.counters()).await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            arrival = arrival => arrival,
            _ = &mut sigterm => break,
        };
        match accepted {
            Ok((socket, _)) => serve(socket, permit),
            Err(error) => failed(error, app.counters()).await?,
        }
    }
    stopping.begin();
    loop {
        let permit = free_place(&places, app.counters()).await;
        // Asked directly: tokio may not have been told yet of who came last.
        match queue.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                serve(TcpStream::from_std(socket)?, permit);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => failed(error, app.counters()).await?,
        }
    }
    let _all = places.acquire_many(limit as u32).await;
    Ok(())
}

/// Waits for a place for one more connection.
async fn free_place(places: &Arc<Semaphore>, counters: &Counters) -> OwnedSemaphorePermit {
    if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
        return permit;
    }
    counters.accept_paused();
    Arc::clone(places).acquire_owned().await.expect("it is never closed")
}

/// Sees to a failed accept.
///
/// # Errors
/// The listener is no good.
async fn failed(error: io::Error, counters: &Counters) -> io::Result<()> {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
            counters.accept_paused();
            tokio::time::sleep(REST).await;
            Ok(())
        }
        None | Some(Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK | Errno::EFAULT | Errno::EOPNOTSUPP) => Err(error),
        Some(_) => Ok(()), // accept hands on the error of the connection that it would have given
    }
}
