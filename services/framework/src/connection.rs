use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;
use std::time::Instant;

use app::{App, imf_fixdate, reason};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{sleep_until, timeout};

use crate::arrivals::Place;
use crate::guard::Guard;
use crate::progress::{Phase, Progress, Watched};

/// The preface of HTTP/2 (RFC 9113, 3.4), the one thing that hyper neither understands nor answers.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Tells every connection that the server stops.
pub struct Stopping {
    begun: AtomicBool,
    notify: Notify,
}

impl Stopping {
    /// Not yet.
    pub fn new() -> Arc<Stopping> {
        Arc::new(Stopping { begun: AtomicBool::new(false), notify: Notify::new() })
    }

    /// Now.
    pub fn begin(&self) {
        self.begun.store(true, SeqCst); // first, so that whoever begins to wait too late sees it
        self.notify.notify_waiters();
    }

    fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Ends when it begins, counted from this call, not from the first poll. To be asked before `has_begun`.
    fn begins(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

/// How hyper's part of a connection ended.
enum Ended {
    /// By itself.
    Hyper(hyper::Result<()>),
    /// A peer let its time pass.
    Expired,
}

/// Serves one connection; gives its place back when it is closed.
pub async fn serve(socket: TcpStream, app: App, router: Router, stopping: Arc<Stopping>, place: Place) {
    let _place = place; // dropped last
    let settings = app.settings();
    let progress = Arc::new(Progress::new());
    // A head has at most 100 fields, as in every model: hyper's default. Said here, it would cost each request an allocation.
    let mut connection = http1::Builder::new().half_close(true).max_buf_size(settings.limits.head).serve_connection(
        TokioIo::new(Watched { socket, progress: Arc::clone(&progress) }),
        Guard::new(app, router, Arc::clone(&progress)),
    );
    let mut sigterm = pin!(stopping.begins());
    let mut waits_for_sigterm = false;
    let mut is_set = false;
    let deadline = || progress.deadline(settings).map(Into::into);
    let mut timer = pin!(sleep_until(deadline().unwrap_or_else(tokio::time::Instant::now)));
    let ended = poll_fn(|cx| {
        if !waits_for_sigterm {
            waits_for_sigterm = true; // once is enough: a task has one waker for life
            let _ = sigterm.as_mut().poll(cx);
        }
        if stopping.has_begun() {
            progress.stop();
        }
        if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(Ended::Hyper(ended));
        }
        while let Some(deadline) = deadline() {
            // The timer may run early, and is then set anew: so a request costs none.
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
    let refusal = match &ended {
        Ended::Expired if progress.is_stalled() || progress.is(Phase::Idle) => return,
        Ended::Expired => Some(408),
        Ended::Hyper(Err(error)) if progress.is_refused() || error.is_user() => None,
        Ended::Hyper(Err(error)) if error.is_incomplete_message() || parts.read_buf.starts_with(HTTP_2) => Some(400),
        Ended::Hyper(_) => None,
    };
    if let Some(status) = refusal
        && timeout(settings.limits.write_time, socket.write_all(&last_words(status))).await.is_err()
    {
        return;
    }
    let is_clean = matches!(ended, Ended::Hyper(Ok(()))) && parts.read_buf.is_empty();
    if !is_clean || progress.is_refused() || progress.is_stopping() {
        // Closing with bytes unread would reset the reply away (RFC 9112, 9.6).
        let _ = timeout(settings.limits.drain_time, drain(&mut socket)).await;
    }
}

/// The refusal that hyper does not send, as our own HTTP would.
fn last_words(status: u16) -> Vec<u8> {
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

/// Shuts the write side down, and reads and drops what still comes.
async fn drain(socket: &mut TcpStream) {
    let _ = socket.shutdown().await;
    let mut dropped = [0; 4 << 10];
    while socket.read(&mut dropped).await.is_ok_and(|n| n > 0) {}
}
