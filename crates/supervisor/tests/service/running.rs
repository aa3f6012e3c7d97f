//! Starts a service in a child process, sends requests to it, and waits for what must happen.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use process_tree::Account;
use serde_json::Value;
use test_lifetime::limit_lifetime;

/// If something does not happen within this time, the test fails.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// After so many seconds, SIGALRM kills a service, and also its model. So what a test reads from them comes to an end.
/// The longest test takes some seconds.
pub const LIFETIME: u32 = 300;

/// A supervisor with its model. When it is dropped, the supervisor is killed.
pub struct RunningService {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// A command that runs this program as a service of the model, on free ports.
pub fn command(model: &str, flags: &[&str]) -> Command {
    // This file is the running program, even if cargo has put another one in its place.
    let mut command = Command::new("/proc/self/exe");
    command.arg(model).env_clear().env("LISTEN", "127.0.0.1:0").env("ADMIN", "127.0.0.1:0");
    // A service that is killed leaves its temporary store there.
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    command.env("RUST_BACKTRACE", "0").args(flags).stdin(Stdio::null()).stderr(Stdio::piped());
    limit_lifetime(&mut command, LIFETIME);
    command
}

/// Starts a service, and returns when it listens.
pub fn start(model: &str, flags: &[&str]) -> RunningService {
    start_command(model, command(model, flags))
}

/// Starts a service by its command, and returns when it listens.
pub fn start_command(model: &str, mut command: Command) -> RunningService {
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let unknown = ([0, 0, 0, 0], 0).into();
    let mut service = RunningService { child, stderr, listen: unknown, admin: unknown };
    let mut output = String::new();
    loop {
        let mut line = String::new();
        assert!(service.stderr.read_line(&mut line).unwrap() > 0, "the service did not start: {output}");
        // `MODEL: listening on http://ADDRESS, admin on http://ADDRESS`
        if let Some(rest) = line.strip_prefix(&format!("{model}: listening on http://")) {
            let (listen, admin) = rest.trim_end().split_once(", admin on http://").unwrap();
            (service.listen, service.admin) = (listen.parse().unwrap(), admin.parse().unwrap());
            return service;
        }
        output += &line;
    }
}

impl RunningService {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The pid of the model's process, if there is one.
    pub fn model(&self) -> Option<Pid> {
        self.info()["model_pid"].as_i64().map(|pid| Pid::from_raw(pid as i32))
    }

    pub fn info(&self) -> Value {
        serde_json::from_str(&get(self.admin, "/info").unwrap().text).unwrap()
    }

    pub fn account(&self) -> Account {
        serde_json::from_str(&get(self.admin, "/account").unwrap().text).unwrap()
    }

    /// The current value of a series, `name{label="value"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        metric(&get(self.admin, "/metrics").unwrap().text, series)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills the model's process and waits until there is a new one. Returns how long that took.
    pub fn kill_model(&self) -> Duration {
        let (model, begun) = (self.model().unwrap(), Instant::now());
        kill(model, Signal::SIGKILL).unwrap();
        wait_for("a new model process", || self.model().is_some_and(|now| now != model));
        begun.elapsed()
    }

    /// Waits until the supervisor exits. Returns its exit status and the rest of its output on stderr.
    pub fn wait_for_exit(mut self) -> (ExitStatus, String) {
        wait_for("the supervisor to exit", || self.child.try_wait().unwrap().is_some());
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap(), stderr)
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP response.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub text: String,
}

pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    read_response(send_request(address, "GET", path)?)
}

/// Sends a request, and returns the socket from which to read the response.
pub fn send_request(address: SocketAddr, method: &str, path: &str) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    Ok(socket)
}

/// Reads a response to the end of the stream.
pub fn read_response(mut socket: TcpStream) -> io::Result<Response> {
    let mut response = String::new();
    socket.read_to_string(&mut response)?;
    let incomplete = || io::Error::new(io::ErrorKind::UnexpectedEof, "the response is incomplete");
    let (head, text) = response.split_once("\r\n\r\n").ok_or_else(incomplete)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(incomplete)?;
    Ok(Response { status, head: head.to_owned(), text: text.to_owned() })
}

/// The value of a series, `name{label="value"}`, in a page of metrics.
pub fn metric(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Calls `condition` again and again until it returns true.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the process exists, be it as a zombie.
pub fn exists(pid: Pid) -> bool {
    kill(pid, None).is_ok()
}
