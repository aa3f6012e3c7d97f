//! The peer of the bench: tiny_http says `Hello World`, and nothing else, on a fixed number of threads.
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
    // As its documentation does it. Its own threads read requests, one for each connection; these answer them.
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                for request in server.incoming_requests() {
                    // The error, if any, was the peer's.
                    let _ = request.respond(Response::from_string("Hello World\n"));
                }
            });
        }
    });
    Ok(())
}
