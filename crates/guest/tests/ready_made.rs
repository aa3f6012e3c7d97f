//! Each ready-made guest that is installed serves what it should, under the program `guest`, and leaves nothing behind.

mod common;

use std::io::{self, BufReader, PipeReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, fchown, geteuid};
use serde_json::Value;
use test_lifetime::limit_lifetime;

use common::{MARK, addresses, ask, connect, get, processes, wait_for};

/// After so many seconds SIGALRM kills the program, so each read from it ends.
const LIFETIME: u32 = 600;

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
    nginx_aio: "nginx-aio", super::FILES_ONLY;
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
        let mark = format!("ready-made-{}-{name}-{uid}", std::process::id());
        let folder = folder(&mark, uid);
        let (stderr, writer) = io::pipe().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_guest"));
        if let Some(user) = user {
            // It may not enter the directory of the program, nor open another's pipe: Apache opens /dev/stderr by its name.
            let program = folder.join("guest");
            // cp(1) copies it: a child that another test forks just then would have a copy of our own open for writing (ETXTBSY).
            let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_guest")).arg(&program).status().unwrap();
            assert!(copied.success(), "{copied}");
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
        (running.listen, running.admin) = addresses(&mut running.stderr);
        wait_for(&format!("{name} to answer"), || get(running.listen, "/").is_ok());
        running
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
        // Without a control group, the CPU time of a guest is known in full if none of its processes ends while it serves.
        let source = self.info()["cpu_source"].as_str().unwrap().to_owned();
        let without_group = if name == "busybox" { "clocks+wait4" } else { "clocks" };
        assert!(["cgroup", without_group].contains(&&*source), "{source}");
        let info = self.info();
        assert_eq!(info["name"], name);
        // On a busy machine the program may have given up to ask for it: a test of the library asks for it without a limit.
        if let Some(version) = info["guest"].get("version") {
            assert!(version.as_str().is_some_and(|version| version.contains('.')), "{version}");
        }
    }

    /// Sends SIGTERM, waits for the end, and checks that nothing is left.
    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        let mut output = Vec::new();
        // The end of the stream comes when the last process has ended, since each has the other end of the pipe.
        self.stderr.read_to_end(&mut output).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&output));
        assert_eq!(processes(&self.mark), [], "processes are left");
        // The default files are kept, for the next service.
        let files = format!("io-models-{}", self.user);
        let left = self.folder.join("tmp").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| *name != *files).collect();
        assert!(left.is_empty(), "{left:?} are left");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in processes(&self.mark) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A folder of the test's own that every user may open. In `tmp` of it, this user may write.
fn folder(mark: &str, user: u32) -> PathBuf {
    let folder = std::env::temp_dir().join(mark);
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    if geteuid().is_root() {
        chown(folder.join("tmp"), Some(user), Some(user)).unwrap();
    }
    folder
}
