//! The server that the bench compares async-await with: hyper, on one thread, answers every request with `Hello World`.
//!
//! `cargo run --release -p async-await --example hyper -- 127.0.0.1:0` prints the address that it listens on.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Parser;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A bare hyper server.
#[derive(Parser)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    listen: SocketAddr,
}

fn main() -> io::Result<()> {
    let Args { listen } = Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(listen))
}

/// Serves each connection in a task of its own, until the process is killed.
async fn serve(listen: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        // An error is the peer's, and ends this connection alone.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(hello)));
    }
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("Hello World\n"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
