//! Runs the program `guest` with small servers, and waits for what must happen.

use std::io::{self, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use process_tree::Account;
use serde_json::Value;
use test_lifetime::limit_lifetime;

pub use crate::common::wait_for;
use crate::common::{self, MARK, addresses};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_guest");

/// The value of `--guest` for bare hyper, which is a part of the program.
pub const HYPER: &str = "tiny={self} hyper {listen}";

/// After so many seconds SIGALRM kills the program, so each read from it ends.
const LIFETIME: u32 = 300;

/// The processes and the temporary files of one test.
pub struct Traces {
    mark: String,
    /// The value of TMPDIR.
    pub folder: PathBuf,
}

impl Traces {
    fn new() -> Traces {
        static TESTS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("{}-{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guest-{mark}"));
        std::fs::create_dir_all(&folder).unwrap();
        Traces { mark, folder }
    }

    /// The processes of the test that are there.
    pub fn processes(&self) -> Vec<Pid> {
        common::processes(&self.mark)
    }

    fn check_that_nothing_is_left(&self, supervisor: Pid) {
        assert_eq!(self.processes(), [], "processes are left");
        let left: Vec<_> = std::fs::read_dir(&self.folder).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?} are left");
        assert_eq!(groups_of(supervisor), Vec::<PathBuf>::new(), "control groups are left");
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The control groups that a supervisor has made below that of this process.
fn groups_of(supervisor: Pid) -> Vec<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/nowhere").to_owned();
    let paths =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|mount| format!("{mount}{own}/io-models-{supervisor}"));
    paths.map(PathBuf::from).into_iter().filter(|path| path.exists()).collect()
}

/// A command that runs the program on free ports.
pub fn command(args: &[&str]) -> (Command, Traces) {
    let traces = Traces::new();
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LISTEN", "127.0.0.1:0").env("ADMIN", "127.0.0.1:0").env("FILES", "/").env("TMPDIR", &traces.folder);
    command.env(MARK, &traces.mark);
    limit_lifetime(&mut command, LIFETIME);
    (command, traces)
}

/// Runs the program to its end.
pub fn output(args: &[&str]) -> Output {
    let (mut command, traces) = command(args);
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let output = child.wait_with_output().unwrap();
    traces.check_that_nothing_is_left(pid);
    output
}

/// The only line that the program prints when it cannot start.
pub fn error_line(args: &[&str]) -> String {
    let output = output(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

/// A running program. When it is dropped, it is killed with all its processes.
pub struct Running {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    traces: Traces,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
}

/// How a program has ended.
pub struct Ended {
    pub code: Option<i32>,
    /// What it has printed after it listened.
    pub stderr: String,
}

/// Starts the program with more arguments, and returns when it has said where its guest listens.
pub fn start(args: &[&str]) -> Running {
    let (command, traces) = command(args);
    start_command(command, traces)
}

pub fn start_command(mut command: Command, traces: Traces) -> Running {
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let unknown = ([0, 0, 0, 0], 0).into();
    let mut running = Running { child, stderr: None, traces, listen: unknown, admin: unknown };
    (running.listen, running.admin) = addresses(&mut stderr);
    running.stderr = Some(stderr);
    running
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// The processes of the guest: all but the supervisor.
    pub fn guests(&self) -> Vec<Pid> {
        self.traces.processes().into_iter().filter(|&pid| pid != self.pid()).collect()
    }

    /// Waits until the guest has so many processes.
    pub fn wait_for_guests(&self, count: usize) -> Vec<Pid> {
        wait_for(&format!("{count} processes"), || self.guests().len() == count);
        self.guests()
    }

    /// The first process of the guest.
    pub fn main(&self) -> Option<Pid> {
        self.info()["model_pid"].as_i64().map(|pid| Pid::from_raw(pid as i32))
    }

    pub fn info(&self) -> Value {
        serde_json::from_str(&self.page("/info").1).unwrap()
    }

    pub fn account(&self) -> Account {
        serde_json::from_str(&self.page("/account").1).unwrap()
    }

    /// Status and text of a page of the admin endpoint.
    pub fn page(&self, path: &str) -> (u16, String) {
        get(self.admin, path).unwrap()
    }

    /// The current value of a series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        self.page("/metrics").1.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn wait_until_healthy(&self) {
        wait_for("health", || self.page("/healthz") == (200, "ok\n".into()));
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Leaves what it prints unread. The other end of the pipe is returned, so that it stays open.
    pub fn stop_reading(&mut self) -> impl Sized + use<> {
        self.stderr.take()
    }

    /// Waits until the program ends, and checks that it leaves nothing behind.
    pub fn wait_for_exit(mut self) -> Ended {
        // It is read meanwhile: a full pipe would hold up the guest.
        let reader = self.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
            })
        });
        wait_for("the program to end", || self.child.try_wait().unwrap().is_some());
        let stderr = reader.map(|reader| reader.join().unwrap().unwrap()).unwrap_or_default();
        self.traces.check_that_nothing_is_left(self.pid());
        Ended { code: self.child.wait().unwrap().code(), stderr }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.wait_for_exit()
    }

    /// Kills the supervisor with SIGKILL, and returns what it leaves.
    pub fn kill(mut self) -> Traces {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.traces, Traces::new())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and text of the answer to a request.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let (status, body) = common::get(address, path)?;
    Ok((status, String::from_utf8(body).map_err(io::Error::other)?))
}
