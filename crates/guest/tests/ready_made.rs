//! Each ready-made guest that is installed serves what it should, under the program `guest`, and leaves nothing behind.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, fchown, geteuid};
use serde_json::Value;
use test_lifetime::limit_lifetime;

/// If something does not happen within this time, the test fails. The slowest here, the start and the end of more than a thousand
/// processes, takes a few seconds.
const TIMEOUT: Duration = Duration::from_secs(120);

/// After so many seconds SIGALRM kills the program, so each read from it ends.
const LIFETIME: u32 = 600;

/// A variable that every process of a test has in its environment, with a value of its own.
const MARK: &str = "IO_MODELS_TEST_OF_READY_MADE";

/// The user of a container, which has no rights of its own.
const PLAIN_USER: u32 = 10001;

/// What a guest has, besides `/` and `/files/`.
#[derive(Clone, Copy)]
struct Has {
    keep_alive: bool,
    sleep_and_work: bool,
}

const FILES_ONLY: Has = Has { keep_alive: true, sleep_and_work: false };
const ALL: Has = Has { keep_alive: true, sleep_and_work: true };

macro_rules! guests {
    ($($test:ident: $name:literal, $has:expr;)*) => {
        const TESTED: &[&str] = &[$($name),*];
        mod as_this_user {
            $(#[test] fn $test() { super::check($name, $has, None); })*
        }
        mod as_a_plain_user {
            $(#[test] fn $test() { super::check_as_plain_user($name, $has); })*
        }
    };
}

guests! {
    nginx: "nginx", super::FILES_ONLY;
    lighttpd: "lighttpd", super::FILES_ONLY;
    lighttpd_poll: "lighttpd-poll", super::FILES_ONLY;
    apache_prefork: "apache-prefork", super::FILES_ONLY;
    apache_worker: "apache-worker", super::FILES_ONLY;
    apache_event: "apache-event", super::FILES_ONLY;
    node: "node", super::ALL;
    express: "express", super::ALL;
    busybox: "busybox", super::Has { keep_alive: false, ..super::FILES_ONLY };
    hyper: "hyper", super::ALL;
}

#[test]
fn each_ready_made_guest_is_tested() {
    let names: Vec<String> = guest::ready_made().into_iter().map(|guest| guest.name).collect();
    assert_eq!(names, TESTED);
}

fn check_as_plain_user(name: &str, has: Has) {
    if geteuid().is_root() {
        check(name, has, Some(PLAIN_USER));
    } else {
        println!("skipped: only root can start it as another user");
    }
}

fn check(name: &str, has: Has, user: Option<u32>) {
    let guest = guest::ready_made().into_iter().find(|guest| guest.name == name).unwrap();
    if let Some(missing) = guest.missing() {
        println!("skipped: {missing}");
        return;
    }
    let running = Running::start(name, user);
    running.check_hello_and_files();
    if has.keep_alive {
        running.check_keep_alive();
    }
    running.check_sleep_and_work(has.sleep_and_work);
    running.check_pages(name);
    running.stop();
}

/// A running program `guest`. When it is dropped, it is killed with all its processes.
struct Running {
    child: Child,
    stderr: BufReader<PipeReader>,
    mark: String,
    user: u32,
    folder: PathBuf,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    /// Starts it, and waits until the guest answers.
    fn start(name: &str, user: Option<u32>) -> Running {
        let uid = user.unwrap_or(geteuid().as_raw());
        let mark = format!("{}-{name}-{uid}", std::process::id());
        let folder = folder(&mark, uid);
        let (stderr, writer) = io::pipe().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_guest"));
        if let Some(user) = user {
            // It may not enter the directory of the program, nor open another's pipe: Apache opens /dev/stderr by its name.
            let program = folder.join("guest");
            std::fs::copy(env!("CARGO_BIN_EXE_guest"), &program).unwrap();
            fchown(&writer, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).unwrap();
            command = Command::new(program);
            command.uid(user).gid(user);
        }
        // Apache acts on SIGTERM when it has started all its processes, which takes a while on a busy machine.
        command.args([name, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--grace", "100s"]);
        command.env("TMPDIR", folder.join("tmp")).env(MARK, &mark);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
        let child = limit_lifetime(&mut command, LIFETIME).spawn().unwrap();
        drop(command); // it has the other end of the pipe
        let unknown = ([0, 0, 0, 0], 0).into();
        let stderr = BufReader::new(stderr);
        let mut running = Running { child, stderr, mark, user: uid, folder, listen: unknown, admin: unknown };
        running.read_addresses();
        wait_for(&format!("{name} to answer"), || get(running.listen, "/").is_ok());
        running
    }

    fn read_addresses(&mut self) {
        let mut output = String::new();
        loop {
            let mut line = String::new();
            assert!(self.stderr.read_line(&mut line).unwrap() > 0, "it did not start: {output}");
            if let Some((_, rest)) = line.split_once(": listening on http://") {
                let (listen, admin) = rest.trim_end().split_once(", admin on http://").unwrap();
                (self.listen, self.admin) = (listen.parse().unwrap(), admin.parse().unwrap());
                return;
            }
            output += &line;
        }
    }

    fn check_hello_and_files(&self) {
        assert_eq!(get(self.listen, "/").unwrap(), (200, b"Hello World\n".to_vec()));
        let files = self.files();
        for (file, size) in [("1k", 1 << 10), ("64k", 64 << 10), ("10m", 10 << 20)] {
            let (status, body) = get(self.listen, &format!("/files/{file}")).unwrap();
            assert_eq!((status, body.len()), (200, size), "{file}");
            assert!(body == std::fs::read(files.join(file)).unwrap(), "{file} has other bytes");
        }
        for path in ["/nothing", "/files/nothing", "/nothing/1"] {
            assert_eq!(get(self.listen, path).unwrap().0, 404, "{path}");
        }
        let (status, _) = get(self.listen, "/files/../../../../../../etc/hostname").unwrap();
        assert!((400..500).contains(&status), "{status}");
    }

    /// The default files, which are beneath TMPDIR.
    fn files(&self) -> PathBuf {
        let files = Path::new(self.info()["files"].as_str().unwrap()).to_owned();
        assert!(files.starts_with(&self.folder), "{}", files.display());
        files
    }

    fn info(&self) -> Value {
        serde_json::from_slice(&get(self.admin, "/info").unwrap().1).unwrap()
    }

    fn check_keep_alive(&self) {
        let mut socket = connect(self.listen).unwrap();
        for turn in 0..200 {
            let answer = ask(&mut socket, self.listen, "/").unwrap();
            assert_eq!(answer, (200, b"Hello World\n".to_vec()), "request {turn} of one connection");
        }
    }

    /// Their answers are those of our models. What a guest does not have, it does not find.
    fn check_sleep_and_work(&self, has_them: bool) {
        let answers =
            [("/sleep/1", "slept 1 ms\n"), ("/work/0", "9e3779b97f4a7c15\n"), ("/work/1000", "56b663219f6e38f5\n")];
        for (path, text) in answers {
            let (status, body) = get(self.listen, path).unwrap();
            match has_them {
                true => assert_eq!((status, &*String::from_utf8_lossy(&body)), (200, text), "{path}"),
                false => assert_eq!(status, 404, "{path}"),
            }
        }
        for path in ["/sleep/x", "/sleep/60001", "/work/-1", "/work/1000000001"] {
            let expected = if has_them { 400 } else { 404 };
            assert_eq!(get(self.listen, path).unwrap().0, expected, "{path}");
        }
    }

    fn check_pages(&self, name: &str) {
        let metrics = String::from_utf8(get(self.admin, "/metrics").unwrap().1).unwrap();
        let cpu = metrics.lines().find_map(|line| line.strip_prefix("process_tree_cpu_seconds_total "));
        assert!(cpu.is_some_and(|cpu| cpu.parse::<f64>().unwrap() > 0.0), "{cpu:?}: {metrics}");
        let info = self.info();
        assert_eq!(info["name"], name);
        // Bare hyper has the version of this program.
        let version = info["guest"]["version"].as_str();
        assert_eq!(version.is_some_and(|version| version.contains('.')), name != "hyper", "{version:?}");
    }

    /// Sends SIGTERM, waits for the end, and checks that nothing is left.
    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let mut output = Vec::new();
        // The end of the stream comes when the last process has ended, since each has the other end of the pipe.
        self.stderr.read_to_end(&mut output).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&output));
        assert_eq!(self.processes(), [0; 0], "processes are left");
        // The default files are kept, for the next service.
        let files = format!("io-models-{}", self.user);
        let left = self.folder.join("tmp").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| *name != *files).collect();
        assert!(left.is_empty(), "{left:?} are left");
    }

    /// The processes of the test that are there, but for zombies, which have no environment.
    fn processes(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.mark);
        let has_mark = |environment: &[u8]| environment.split(|&byte| byte == 0).any(|var| var == mark.as_bytes());
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| has_mark(&text)))
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A folder of the test's own that every user may open. In `tmp` of it, this user may write.
fn folder(mark: &str, user: u32) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ready-made-{mark}"));
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    if geteuid().is_root() {
        chown(folder.join("tmp"), Some(user), Some(user)).unwrap();
    }
    folder
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect_timeout(&address, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(BufReader::new(socket))
}

/// Status and body of the answer to a request on a connection of its own.
fn get(address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    ask(&mut connect(address)?, address, path)
}

/// Status and body of the answer to a request on this connection.
fn ask(socket: &mut BufReader<TcpStream>, address: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    // In one piece: the kernel would hold a second one back until the first is acknowledged.
    socket.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut line = || {
        let mut line = String::new();
        socket.read_line(&mut line).map(|_| line.to_ascii_lowercase())
    };
    let status = line()?.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = None;
    while let Some((name, value)) = line()?.trim_end().split_once(": ") {
        if name == "content-length" {
            length = value.parse().ok();
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            socket.read_exact(&mut body)?;
        }
        None => drop(socket.read_to_end(&mut body)?), // to the end of the connection
    }
    Ok((status, body))
}

/// Calls `condition` again and again until it returns true.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
