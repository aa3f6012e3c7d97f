//! The server that the bench compares thread-pool with: tiny_http, on a fixed number of threads, answers every request
//! with `Hello World`.
//!
//! `cargo run --release -p thread-pool --example tiny_http -- 127.0.0.1:0 256` prints the address that it listens on.

use std::error::Error;
use std::thread;

use tiny_http::{Response, Server};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(workers)) = (args.next(), args.next()) else {
        return Err("expected the address to listen on and the number of threads, such as 127.0.0.1:8080 256".into());
    };
    let workers: usize = workers.parse()?;
    let server = Server::http(address)?;
    println!("{}", server.server_addr());
    // As in tiny_http's documentation: its own threads, one for each connection, read requests, and these answer them.
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    // An error is the peer's, and ends this connection alone.
                    let _ = request.respond(Response::from_string("Hello World\n"));
                }
            });
        }
    });
    Ok(())
}
