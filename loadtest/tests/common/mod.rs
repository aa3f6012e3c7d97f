//! Servers that the tests script, and helpers to run a plan against one of them.
#![allow(dead_code)] // each test binary uses some of these items

use loadtest::cost::CostSource;
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::{Cell, Plan, Results};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use test_lifetime::limit_lifetime;

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
pub const OK_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

/// The longest that a test waits for anything. The longest run of the program takes some seconds.
pub const LIFETIME: Duration = Duration::from_secs(300);

/// The program under test. See [`mortal`].
pub fn program() -> Command {
    mortal(Command::new(env!("CARGO_BIN_EXE_loadtest")))
}

/// SIGALRM kills this command's process after `LIFETIME`, so each wait for it and each read from it comes to an end.
pub fn mortal(mut command: Command) -> Command {
    limit_lifetime(&mut command, LIFETIME.as_secs() as u32);
    command
}

/// Serves each connection on its own thread with `serve`, which gets the connection's number, counted from 1. The two
/// connections before them are the check before the first trial, and always get a good answer.
pub fn server(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    unchecked_server(move |stream, number| match number {
        0 | 1 => drop(request(&stream).map(|_| (&stream).write_all(OK_CLOSE))),
        _ => serve(stream, number - 1),
    })
}

/// As [`server`], but the connections are counted from 0, and `serve` gets those of the check, too.
pub fn unchecked_server(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream, number));
        }
    });
    address
}

/// Reads one request; `None` at the end of the stream.
pub fn request(mut stream: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

/// A fleet of one target, which already runs.
pub struct SingleTarget(pub SocketAddr);

impl Fleet for SingleTarget {
    fn ready(&mut self, _: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
        let url = format!("http://{}", self.0).parse().unwrap();
        Ok(Endpoint { url, cost: CostSource::None, cpus: None, says: Default::default() })
    }
}

/// Runs the plan.
pub fn run(plan: &Plan, fleet: &mut dyn Fleet) -> Results {
    loadtest::run(plan, Instant::now(), fleet, &mut (), &AtomicBool::new(false)).unwrap()
}

/// Runs a plan that has a single cell, and returns it.
pub fn only(plan: &Plan, address: SocketAddr) -> Cell {
    run(plan, &mut SingleTarget(address)).cells.remove(0)
}
