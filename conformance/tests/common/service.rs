//! Runs a model as a service for as long as the test binary runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a service may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one answer may take.
const MOMENT: Duration = Duration::from_millis(300);

/// Starts a model with these flags and waits until it answers. `None` if the machine does not permit the model.
pub fn start(model: &'static str, files: &Path, flags: &[&str]) -> Option<SocketAddr> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve-model"));
    command.arg(model).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--files"]).arg(files).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (tell, told) = mpsc::channel();
    // The service ends with this thread (PR_SET_PDEATHSIG, prctl(2)), and the thread with the process.
    thread::spawn(move || keep(command.spawn().expect("serve-model starts"), tell));
    let (server, admin) =
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{model} does not print its addresses"));

    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if ask(server, "/").ends_with("Hello World\n") {
            return Some(server);
        }
        if ask(admin, "/healthz").ends_with("unsupported\n") {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{model} does not answer");
}

/// Reads what a service prints, sends its addresses to the test, and waits for its end.
fn keep(mut child: Child, tell: mpsc::Sender<(SocketAddr, SocketAddr)>) {
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    for line in lines.map_while(Result::ok) {
        match addresses(&line) {
            Some(addresses) => drop(tell.send(addresses)),
            None => eprintln!("{line}"),
        }
    }
    let _ = child.wait();
}

/// `epoll: listening on http://127.0.0.1:1, admin on http://127.0.0.1:2`
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (_, rest) = line.split_once("listening on http://")?;
    let (server, admin) = rest.split_once(", admin on http://")?;
    Some((server.parse().ok()?, admin.parse().ok()?))
}

/// Sends a GET request. Gives what comes back until the end of the stream or a silence of a moment.
fn ask(server: SocketAddr, path: &str) -> String {
    let mut text = String::new();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    if let Ok(mut stream) = TcpStream::connect_timeout(&server, MOMENT) {
        let _ = stream.set_read_timeout(Some(MOMENT));
        // No page is longer. Without a limit, a server that sends for ever would be read for ever.
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.take(1 << 20).read_to_string(&mut text));
    }
    text
}
