//! A service that runs, and questions to it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Everything that is waited for comes within that time, or never.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A supervisor with its model; killed at the end.
pub struct Service {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// This program again, as that model, on free ports.
pub fn command(model: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(model).env_clear().env("LISTEN", "127.0.0.1:0").env("ADMIN", "127.0.0.1:0");
    // Who is killed leaves the store behind that it has made there.
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    command.env("RUST_BACKTRACE", "0").args(flags).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts it; it has bound when this returns.
pub fn start(model: &str, flags: &[&str]) -> Service {
    let mut child = command(model, flags).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let nowhere = ([0, 0, 0, 0], 0).into();
    let mut service = Service { child, stderr, listen: nowhere, admin: nowhere };
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert!(service.stderr.read_line(&mut line).unwrap() > 0, "it did not start: {seen}");
        // `MODEL: listening on http://ADDRESS, admin on http://ADDRESS`
        if let Some(rest) = line.strip_prefix(&format!("{model}: listening on http://")) {
            let (listen, admin) = rest.trim_end().split_once(", admin on http://").unwrap();
            (service.listen, service.admin) = (listen.parse().unwrap(), admin.parse().unwrap());
            return service;
        }
        seen += &line;
    }
}

impl Service {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The model's process.
    pub fn model(&self) -> Option<Pid> {
        self.info()["model_pid"].as_i64().map(|pid| Pid::from_raw(pid as i32))
    }

    pub fn info(&self) -> Value {
        serde_json::from_str(&get(self.admin, "/info").unwrap().text).unwrap()
    }

    /// The value of that series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        metric(&get(self.admin, "/metrics").unwrap().text, series)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills the model's process and waits until another one is there; gives the time that this took.
    pub fn kill_model(&self) -> Duration {
        let (model, begun) = (self.model().unwrap(), Instant::now());
        kill(model, Signal::SIGKILL).unwrap();
        wait_for("a new model process", || self.model().is_some_and(|now| now != model));
        begun.elapsed()
    }

    /// Waits for its end; gives the exit status and the rest of what it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        wait_for("its end", || self.child.try_wait().unwrap().is_some());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub text: String,
}

pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    read_answer(ask(address, "GET", path)?)
}

/// Sends a request and leaves the answer to be read.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    Ok(socket)
}

/// Reads it to the end of the stream.
pub fn read_answer(mut socket: TcpStream) -> io::Result<Answer> {
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "no whole answer");
    let (head, text) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    Ok(Answer { status, head: head.to_owned(), text: text.to_owned() })
}

/// The value of a series, `name{label="value"}`, in a page of metrics.
pub fn metric(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Asks again and again until it is so.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Is there such a process, or a zombie of it?
pub fn is_there(pid: Pid) -> bool {
    kill(pid, None).is_ok()
}
