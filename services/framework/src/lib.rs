//! **framework**: the web as an application sees it: routes, extractors, state. axum, hyper and tokio decide which task waits
//! for what, and they speak HTTP.
//!
//! This file is an ordinary axum program. `accept.rs` accepts connections, `reply.rs` turns the app's replies into axum's, and
//! `parity/` makes hyper behave like the other models, so that they can be compared.

mod accept;
mod parity;
mod reply;
mod socket;

use std::io;
use std::net::TcpListener;

use app::App;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::{get, post};
use driver::HELPER_THREADS;
use supervisor::{Bound, Model};
use tokio::runtime::Builder;

use reply::Reply;

/// This model.
pub const MODEL: Model = Model { bounds: &[HEAD, LINE], ..Model::new(env!("CARGO_PKG_NAME"), serve) };

const HEAD: Bound =
    Bound { flag: "max-head", least: 8 << 10, most: usize::MAX, why: "hyper's buffer for a head has 8 KiB or more" };
/// `http::Uri` takes 65534 bytes. A request line has more bytes than its target, so this one is never longer than that.
const LINE: Bound =
    Bound { flag: "max-request-line", least: 1, most: 65_534, why: "hyper takes no longer target of a request" };

/// Runs axum on tokio's threads until SIGTERM has come and every connection is closed.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(app.settings().threads)
        .max_blocking_threads(HELPER_THREADS) // tokio's default, 512, would contend for the store
        .enable_all()
        .build()?;
    // As a task, it runs on a worker thread. On this thread, it would have to wake a worker for each connection.
    runtime.block_on(async { tokio::spawn(accept::accept(listener, app, router(app))).await? })
}

/// The routes: the counterpart of express's `app.post('/nod', ...)`.
fn router(app: App) -> Router {
    Router::new()
        .route("/", get(root))
        .route("/files/{*name}", get(file))
        .route("/sleep/{ms}", get(sleep))
        .route("/work/{iterations}", get(work))
        .route("/counter", get(count).post(increment))
        .route("/nod", post(nod))
        .route("/nods", get(nods))
        .method_not_allowed_fallback(unhandled)
        .fallback(unhandled)
        .with_state(app)
}

async fn root(State(app): State<App>) -> Reply {
    Reply(app.hello())
}

async fn file(State(app): State<App>, Path(name): Path<String>, method: Method, fields: HeaderMap) -> Reply {
    Reply(app.file(&name, method.as_str(), &|name| lookup(&fields, name)))
}

async fn sleep(State(app): State<App>, Path(ms): Path<String>) -> Result<Reply, Reply> {
    let (time, reply) = app.sleep(&ms).map_err(Reply)?;
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = socket::broken() => {} // the reply then fails, and the connection ends
    }
    Ok(Reply(reply))
}

async fn work(State(app): State<App>, Path(iterations): Path<String>) -> Reply {
    Reply(app.work(&iterations))
}

async fn count(State(app): State<App>) -> Reply {
    Reply(app.count())
}

async fn increment(State(app): State<App>) -> Reply {
    Reply(app.increment())
}

/// Saves a nod. The store blocks, so the call runs on one of tokio's blocking threads.
async fn nod(State(app): State<App>, fields: HeaderMap, form: Bytes) -> Reply {
    blocking(move || app.nod(&|name| lookup(&fields, name), &form)).await
}

async fn nods(State(app): State<App>) -> Reply {
    blocking(move || app.nods()).await
}

async fn blocking(call: impl FnOnce() -> app::Reply + Send + 'static) -> Reply {
    Reply(tokio::task::spawn_blocking(call).await.unwrap_or_else(|_| app::Reply::status(500)))
}

fn lookup<'a>(fields: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    fields.get_all(name).into_iter().map(|value| value.as_bytes()).collect()
}

async fn unhandled(State(app): State<App>, method: Method, uri: Uri) -> Reply {
    Reply(app.unhandled(method.as_str(), uri.path()))
}
