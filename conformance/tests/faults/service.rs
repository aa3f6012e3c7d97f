//! Runs a model as a service, and asks it for pages, metrics and pids.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client::{Client, get};
use crate::proc::children;

/// A test fails if what it waits for has not happened within this time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor with its model; killed at the end.
pub struct Service {
    child: Child,
    /// The lines that the supervisor and the model print, while one of them lives.
    lines: Mutex<Receiver<String>>,
    pub model: &'static str,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// The exit code of a service, and what it printed.
pub struct Exit {
    pub code: Option<i32>,
    pub said: String,
}

/// Starts a model and waits until it answers. `None`, and a line on standard output, if the machine does not permit the
/// model.
pub fn start(model: &'static str, flags: &[&str]) -> Option<Service> {
    ready(spawn(model, command(model, flags)))
}

/// The same for a service that was spawned.
pub fn ready(service: Service) -> Option<Service> {
    let model = service.model;
    wait_for("the first answer", || {
        get(service.listen, "/").is_ok() || service.admin_page("/healthz") == "unsupported\n"
    });
    if service.admin_page("/healthz") == "unsupported\n" {
        println!("skipped: this machine does not permit {model}");
        return None;
    }
    wait_for("the end of that connection", || service.active() == 0.0);
    Some(service)
}

/// The command that starts a model on free ports. A model with event loops gets two, unless a flag says otherwise.
pub fn command(model: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve-model"));
    command.arg(model).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--files"]);
    // A service that is killed leaves its temporary store behind.
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    command.env("THREADS", "2").arg(files()).args(flags).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts a service. It listens when this returns.
pub fn spawn(model: &'static str, mut command: Command) -> Service {
    let mut child = command.spawn().expect("serve-model starts");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let (send, lines) = mpsc::channel();
    // This thread reads until the end, so that the pipe is never full.
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    let line = lines.recv_timeout(PATIENCE).unwrap_or_default();
    // `MODEL: listening on http://ADDRESS, admin on http://ADDRESS`
    let addresses = line.split_once("listening on http://").and_then(|(_, rest)| {
        let (listen, admin) = rest.split_once(", admin on http://")?;
        Some((listen.parse().ok()?, admin.parse().ok()?))
    });
    let Some((listen, admin)) = addresses else {
        let _ = child.kill();
        panic!("it did not start: {line}");
    };
    Service { child, lines: Mutex::new(lines), model, listen, admin }
}

/// The folder that is served.
pub fn files() -> &'static Path {
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        app::make_files(&dir).expect("a place for files");
        dir
    })
}

impl Service {
    /// The supervisor.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The model's process, if one runs now.
    pub fn model_pid(&self) -> Option<Pid> {
        let info = self.admin_page("/info");
        let pid = info.lines().find_map(|line| line.trim().strip_prefix("\"model_pid\": ")?.strip_suffix(','))?;
        pid.parse().ok().map(Pid::from_raw)
    }

    /// A page of the admin endpoint.
    pub fn admin_page(&self, path: &str) -> String {
        let answer = get(self.admin, path).unwrap_or_else(|error| panic!("{path} of the admin endpoint: {error}"));
        String::from_utf8(answer.body).expect("UTF-8")
    }

    /// The value of a series; 0 if there is none.
    pub fn metric(&self, series: &str) -> f64 {
        self.metrics(series).next().unwrap_or(0.0)
    }

    /// The sum of all series of a name.
    pub fn total(&self, name: &str) -> f64 {
        self.metrics(name).sum()
    }

    fn metrics(&self, name: &str) -> impl Iterator<Item = f64> {
        let page = self.admin_page("/metrics");
        let lines =
            page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        let values: Vec<f64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
        values.into_iter()
    }

    /// How many connections are open now.
    pub fn active(&self) -> f64 {
        self.metric("http_server_active_connections")
    }

    /// The CPU time that the model's processes have used since the start.
    pub fn cpu(&self) -> Duration {
        Duration::from_secs_f64(self.metric("process_tree_cpu_seconds_total"))
    }

    /// The CPU time that the model uses in a time without requests: the least of three, since a model that spins does
    /// so in each of them.
    pub fn cpu_of_waiting(&self, time: Duration) -> Duration {
        let once = |_| {
            let before = self.cpu();
            std::thread::sleep(time);
            self.cpu() - before
        };
        (0..3).map(once).min().expect("three")
    }

    /// Asserts that all connections are closed, and that the same process still answers.
    pub fn is_well(&self, model: Pid) {
        wait_for("all connections to be closed", || self.active() == 0.0);
        assert_eq!(Client::connect(self.listen).and_then(|mut client| client.get("/")).expect("an answer").status, 200);
        assert_eq!(self.model_pid(), Some(model), "it was restarted");
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a child exists until it has been waited for");
    }

    /// Waits for the end of the service.
    pub fn ended(mut self) -> Exit {
        wait_for("its end", || self.child.try_wait().expect("a child").is_some());
        let mut said = String::new();
        let deadline = Instant::now() + PATIENCE;
        let lines = self.lines.get_mut().expect("no panic");
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => said.extend([&*line, "\n"]),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the supervisor has ended, but not its model"),
            }
        }
        Exit { code: self.child.wait().expect("a child").code(), said }
    }

    /// Sends SIGTERM, and gives the time until the service has ended, with exit code 0.
    #[track_caller]
    pub fn stopped(self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::SIGTERM);
        let Exit { code, said } = self.ended();
        assert_eq!(code, Some(0), "{said}");
        begun.elapsed()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let models = children(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // After a failed test the model may not be able to end by itself.
        for model in models {
            let _ = kill(model, Signal::SIGKILL);
        }
    }
}

/// Sets a flag when the test ends, failed or not. The threads of its clients look at the flag; without it the scope
/// would wait for them without an end.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Polls a condition until it holds.
#[track_caller]
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
