//! What framework can be compared with: axum alone, with the same `/` on one thread, but without supervisor, limits or
//! metrics.
//!
//! `cargo run --release -p framework --example bare -- 127.0.0.1:0` takes a free port, and prints the address that it
//! listens on.

use std::convert::Infallible;
use std::io;

use axum::Router;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

fn main() -> io::Result<()> {
    let Some(address) = std::env::args().nth(1) else {
        return Err(io::Error::other("expected the address to listen on, such as 127.0.0.1:8080"));
    };
    let router = Router::new().route("/", get(async || "Hello World\n"));
    // One worker thread, and this thread, which waits for it: as in the service.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async { runtime.spawn(serve(address, router)).await? }).map(|never| match never {})
}

async fn serve(address: String, router: Router) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}
