//! One connection from its first byte to its close: hyper, with the deadlines and the stop that it lacks.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use app::{App, imf_fixdate, reason};
use axum::Router;
use driver::tasks::Stopping;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};

use super::guard::Guard;
use super::progress::{Phase, Progress, Watched};
use crate::accept::OpenConnection;
use crate::socket::Socket;

/// The preface of HTTP/2 (RFC 9113, 3.4), the one thing that hyper neither understands nor answers.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How hyper's part of a connection ended.
enum Ended {
    /// hyper ended it.
    Hyper(hyper::Result<()>),
    /// A deadline of the peer's has passed.
    Expired,
}

/// Serves one connection; `open` is dropped when it is closed.
pub async fn serve_connection(socket: Socket, app: App, router: Router, stopping: Arc<Stopping>, open: OpenConnection) {
    let _open = open; // dropped last
    let settings = app.settings();
    let progress = Arc::new(Progress::new());
    // hyper's default of 100 fields in a head is every model's limit. To set it here would cost each request an allocation.
    let mut connection = http1::Builder::new().half_close(true).max_buf_size(settings.limits.head).serve_connection(
        TokioIo::new(Watched { socket, progress: Arc::clone(&progress), limits: &settings.limits }),
        Guard::new(app, router, Arc::clone(&progress)),
    );
    let mut sigterm = pin!(stopping.begins());
    let mut sigterm_is_polled = false;
    let mut is_set = false;
    let deadline = || progress.deadline(settings).map(Into::into);
    let mut timer = pin!(sleep_until(deadline().unwrap_or_else(tokio::time::Instant::now)));
    let ended = poll_fn(|cx| {
        if !sigterm_is_polled {
            sigterm_is_polled = true; // once is enough: a task has one waker for all its life
            let _ = sigterm.as_mut().poll(cx);
        }
        if stopping.has_begun() {
            progress.stop();
        }
        if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(Ended::Hyper(ended));
        }
        while let Some(deadline) = deadline() {
            // The timer may end before the deadline, and is then set anew: so a request sets none.
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            } else if is_set && !timer.is_elapsed() {
                break;
            }
            is_set = true;
            if timer.as_mut().poll(cx).is_pending() {
                break;
            }
            if deadline <= tokio::time::Instant::now() {
                return Poll::Ready(Ended::Expired);
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;

    let parts = connection.into_parts();
    let mut socket = parts.io.into_inner().socket;
    let status = match &ended {
        Ended::Expired if progress.is_stalled() || progress.is(Phase::Idle) => return,
        Ended::Expired => Some(408),
        Ended::Hyper(_) if progress.refused_line().is_some() && progress.is_stalled() => return,
        Ended::Hyper(_) if progress.refused_line().is_some() => progress.refused_line(),
        Ended::Hyper(Err(error)) if progress.is_refused() || error.is_user() => None,
        Ended::Hyper(Err(error)) if error.is_incomplete_message() || parts.read_buf.starts_with(HTTP_2) => Some(400),
        Ended::Hyper(_) => None,
    };
    if let Some(status) = status
        && timeout(settings.limits.write_time, socket.write_all(&refusal(status))).await.is_err()
    {
        return;
    }
    let is_clean = status.is_none() && matches!(ended, Ended::Hyper(Ok(()))) && parts.read_buf.is_empty();
    if !is_clean || progress.is_refused() || progress.is_stopping() {
        // A close with unread bytes would reset the connection, and the peer might lose the reply (RFC 9112, 9.6).
        let _ = timeout(settings.limits.drain_time, drain(&mut socket)).await;
    }
}

/// A refusal that hyper does not send, as `http1::Conn` would send it.
fn refusal(status: u16) -> Vec<u8> {
    let reason = reason(status);
    let date = imf_fixdate(Instant::now());
    let text = format!("{status} {reason}\n");
    let (date, length) = (String::from_utf8_lossy(&date), text.len());
    format!(
        "HTTP/1.1 {status} {reason}\r\nServer: io-models\r\nDate: {date}\r\nContent-Type: text/plain\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

/// Shuts down the write side, and reads and drops what still comes.
async fn drain(socket: &mut Socket) {
    let _ = socket.shutdown().await;
    let mut dropped = [0; 4 << 10];
    while socket.read(&mut dropped).await.is_ok_and(|n| n > 0) {}
}
