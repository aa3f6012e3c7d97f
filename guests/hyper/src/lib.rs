//! A guest: bare hyper, a task a connection, with the same answers as our models give. `async-await` has to be measured by it.

mod file;
mod work;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;

use file::FileBody;

/// The version of hyper, as in Cargo.lock: a test compares them.
pub const VERSION: &str = "1.12.0";

/// The connections that may wait to be accepted: as for our models.
const BACKLOG: u32 = 4096;
/// The longest `/sleep`, in milliseconds: that of our models.
const MAX_SLEEP: u64 = 60_000;
/// The most iterations of `/work`: those of our models.
const MAX_WORK: u64 = 1_000_000_000;

/// How long it waits after accept(2) has failed, as it does while the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(10);

type Answer = Response<Either<Full<Bytes>, FileBody>>;

/// Serves each connection in a task of its own, until the process is killed. `files` is the directory of `/files/`;
/// without it there are none.
///
/// # Errors
/// The address cannot be bound, or the kernel gives no epoll instance or no thread.
pub fn serve(listen: SocketAddr, files: Option<PathBuf>, threads: usize) -> io::Result<()> {
    // tokio's runtime for one thread needs no locks: tokio docs, runtime::Builder::new_current_thread. With one thread, this favours
    // the guest: our model async-await then has the other runtime.
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build()?.block_on(async {
        // As a task, it runs on a worker thread. On this thread, it would have to wake a worker for each connection.
        tokio::spawn(accept(listen, files.map(Arc::from))).await?
    })
}

async fn accept(listen: SocketAddr, files: Option<Arc<Path>>) -> io::Result<()> {
    let listener = bound(listen)?;
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let files = files.clone();
        let answer = service_fn(move |request| answer(request, files.clone()));
        // An error is the peer's, and ends this connection alone.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    }
}

/// `TcpListener::bind` of tokio does the same with another backlog, 1024.
fn bound(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?; // as our models have it; connections inherit it: tcp(7)
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

async fn answer(request: Request<Incoming>, files: Option<Arc<Path>>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    if path == "/" {
        return Ok(text(StatusCode::OK, "Hello World\n"));
    }
    let (what, argument) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    Ok(match what {
        "files" => file(files.as_deref(), argument).await,
        "sleep" => sleep(argument).await,
        "work" => match number(argument, MAX_WORK) {
            Some(iterations) => text(StatusCode::OK, format!("{:016x}\n", work::xorshift(iterations))),
            None => text(StatusCode::BAD_REQUEST, "expected /work/<iterations>: a whole number from 0 to 1000000000\n"),
        },
        _ => not_found(),
    })
}

async fn file(files: Option<&Path>, name: &str) -> Answer {
    let Some(files) = files else { return not_found() };
    match file::open(files, name).await {
        Ok(body) => with_type(Response::new(Either::Right(body))),
        Err(_) => not_found(),
    }
}

async fn sleep(ms: &str) -> Answer {
    let Some(ms) = number(ms, MAX_SLEEP) else {
        return text(StatusCode::BAD_REQUEST, "expected /sleep/<ms>: whole milliseconds from 0 to 60000\n");
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
    text(StatusCode::OK, format!("slept {ms} ms\n"))
}

fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "404 Not Found\n")
}

/// A decimal number up to `max`, of digits and nothing else.
fn number(digits: &str, max: u64) -> Option<u64> {
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().filter(|&number| number <= max)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    with_type(response)
}

fn with_type(mut response: Answer) -> Answer {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_that_of_the_package() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        let package = format!("name = \"hyper\"\nversion = \"{}\"\n", super::VERSION);
        assert!(lock.contains(&package), "Cargo.lock has another version of hyper than {}", super::VERSION);
    }
}
