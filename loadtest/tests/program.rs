//! Tests of the program's exit codes and messages.

mod common;

use common::{LIFETIME, mortal, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn loadtest(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// A server that answers one request a connection with `answer(path)`.
fn server(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..read]);
                let path = text.split(' ').nth(1).unwrap_or("");
                let _ = stream.write_all(answer(path).as_bytes());
            });
        }
    });
    address.to_string()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[track_caller]
fn one_line(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn wrong_usage_prints_one_line_and_exits_with_2() {
    let target = "--target=a=http://127.0.0.1:1";
    one_line(&loadtest(&["--target", "a=https://x"]), 2, "http://host:port");
    one_line(&loadtest(&["--target", "http://x"]), 2, "write NAME=VALUE");
    one_line(&loadtest(&[target, "--metrics", "b=http://127.0.0.1:2"]), 2, "there is a");
    one_line(&loadtest(&[target, "-c", "0"]), 2, "--concurrency must be at least 1");
    one_line(&loadtest(&[target, "--workload", "files"]), 2, "is no path");
    one_line(&loadtest(&[target, "--out", "/proc/nowhere"]), 2, "name a place");
    one_line(&loadtest(&[target, "--target-pid", "a=0"]), 2, "is no process id");
    one_line(&loadtest(&[target, "-c", "1000000000000"]), 2, "need more than");
    assert_eq!(loadtest(&[target, "-d", "5"]).status.code(), Some(2));
    assert_eq!(loadtest(&[]).status.code(), Some(2));
}

#[test]
fn an_unreachable_target_exits_with_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("a=http://{}", listener.local_addr().unwrap());
    drop(listener);
    one_line(&loadtest(&["--target", &target, "-d", "1s"]), 3, "is it running?");
}

#[test]
fn a_good_run_exits_with_0_and_writes_its_results() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let folder = std::env::temp_dir().join(format!("loadtest-program-{}", std::process::id()));
    let out = folder.to_str().unwrap();
    let output = loadtest(&["--target", &target, "-d", "1s", "-c", "1,2", "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("verdict") && !table.contains('\x1b'), "{table}");
    let json = std::fs::read_to_string(folder.join("results.json")).unwrap();
    let results: results::Results = serde_json::from_str(&json).unwrap();
    assert_eq!(results.cells.len(), 2);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn flags_can_come_from_the_environment_and_each_run_has_its_own_folder() {
    let address = server(|_| ok("hi"));
    let folder = std::env::temp_dir().join(format!("loadtest-results-{}", std::process::id()));
    let output = program()
        .args(["-c", "2"])
        .env("LOADTEST_TARGET", format!("a=http://{address},b=http://{address}"))
        .env("LOADTEST_WORKLOAD", "/,/more")
        .env("LOADTEST_CONCURRENCY", "1")
        .env("LOADTEST_DURATION", "1s")
        .env("LOADTEST_RESULTS", &folder)
        .env("LOADTEST_DASHBOARD", "http://localhost:3000")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let runs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|run| run.unwrap().path()).collect();
    let json = std::fs::read_to_string(runs[0].join("results.json")).unwrap();
    let results: results::Results = serde_json::from_str(&json).unwrap();
    assert_eq!(results.cells.len(), 4);
    assert!(results.cells.iter().all(|cell| cell.key.concurrency == 2), "the flag wins");
    assert!(runs.len() == 1 && runs[0].ends_with(&results.run_id));
    let last = format!("\nRun {}: http://localhost:3000\n", results.run_id);
    assert!(String::from_utf8(output.stderr).unwrap().ends_with(&last));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_target_without_a_url_must_be_a_known_service() {
    let known = |arguments: &[&str]| {
        let mut command = program();
        command.args(arguments).env("LOADTEST_TARGET", "epoll,uring=http://uring:80").output().unwrap()
    };
    one_line(&known(&["--target", "epol"]), 2, "there is epoll, uring");
    one_line(&known(&["--target", "epoll", "--metrics", "epoll=http://epoll:9080"]), 2, "give one --metrics");
    one_line(&loadtest(&["--target", "no-such-host.invalid"]), 3, "http://no-such-host.invalid:9080/metrics");
}

#[test]
fn a_workload_that_no_target_has_exits_with_2() {
    let address = server(|_| "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into());
    let target = format!("a=http://{address}");
    one_line(&loadtest(&["--target", &target, "--workload", "/file/64k"]), 2, "each answers 404");
    let mut with_known = program();
    with_known.args(["--target", &target, "--workload", "/file/64k"]).env("LOADTEST_WORKLOAD", "/,/files/64k");
    one_line(&with_known.output().unwrap(), 2, "LOADTEST_WORKLOAD has /,/files/64k");
}

#[test]
fn a_results_folder_that_is_not_writable_is_reported_before_the_run() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    one_line(&loadtest(&["--target", &target, "-d", "1h", "--results", "/proc/nowhere"]), 2, "may write to");
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn interrupt(child: &Child) {
    send(child, Signal::SIGINT);
}

#[test]
fn a_signal_before_anything_was_measured_ends_the_program_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("a=http://{}", silent.local_addr().unwrap());
        let mut child = program().args(["--target", &target, "--timeout", "1h"]).spawn().unwrap();
        let _connection = silent.accept().unwrap();
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
    }
}

#[test]
fn a_signal_ends_the_commands_that_read_results() {
    let fifo = std::env::temp_dir().join(format!("loadtest-fifo-{}", std::process::id()));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo_name = fifo.to_str().unwrap();
    for arguments in [&["show", fifo_name][..], &["merge", fifo_name, fifo_name], &["compare", fifo_name, fifo_name]] {
        let mut child = program().args(arguments).spawn().unwrap();
        // The other end can be opened as soon as the program reads.
        let _writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        send(&child, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    }
    std::fs::remove_file(fifo).unwrap();
}

#[test]
fn a_signal_ends_the_wait_for_a_silent_prometheus() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let write = format!("http://{}", silent.local_addr().unwrap());
    let mut command = program();
    command.args(["--target", &target, "-d", "700ms", "-c", "1", "--remote-write", &write]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The table is printed at the end of the run.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("target")));
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn nohup_keeps_a_hangup_from_ending_the_run() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = mortal(std::process::Command::new("nohup"));
    command.args([env!("CARGO_BIN_EXE_loadtest"), "--target", &target, "-d", "1h", "-c", "1"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("[1/1]")));
    let pid = child.id();
    send(&child, Signal::SIGHUP);
    // The kernel has it in the mask of ignored signals: bit 0 is signal 1. proc_pid_status(5)
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1);
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_rate_that_cannot_be_reached_ends_in_time_and_is_the_generators_limit() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    // `program` ends after minutes, so an endless run fails.
    let output = loadtest(&["--target", &target, "-R", "1000M", "-d", "500ms", "--timeout", "100ms", "-c", "2"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("client-limited") || table.contains("errors"), "{table}");
    assert!(table.contains("to send all of it"), "{table}");
}

#[test]
fn numbers_that_no_machine_can_have_are_answered_by_one_line() {
    const MAX: &str = "18446744073709551615";
    let target = "--target=a=http://127.0.0.1:1";
    one_line(&loadtest(&[target, "-c", MAX]), 2, "need more than");
    one_line(&loadtest(&[target, "--idle", MAX, "--busy", MAX, "--busy-workload", "/"]), 2, "need more than");
    one_line(&loadtest(&[target, "--trials", MAX]), 2, "at most 1000000 trials");
    one_line(&loadtest(&["aa", target, "--trials", MAX]), 2, "at most 1000000 trials");
    one_line(&loadtest(&[target, "--threads", MAX]), 2, "at most 1024");
    for arguments in [["-R", "1e300"], ["-R", MAX], ["-d", "99999999999999999999y"], ["--seed", "18446744073709551616"]]
    {
        assert_eq!(loadtest(&[target, arguments[0], arguments[1]]).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn two_load_tests_at_once_know_of_each_other() {
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    let target = server(|path| {
        SERVED.fetch_add(usize::from(path == "/first"), Relaxed);
        ok("hi")
    });
    let target = format!("--target=a=http://{target}");
    let mut command = program();
    command.args([&target, "--workload", "/first", "-d", "1h", "--warmup", "0s", "-c", "1"]);
    let mut first = command.stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + LIFETIME;
    // Without a warm-up, the window has begun by then.
    while SERVED.load(Relaxed) < 20 {
        assert!(Instant::now() < deadline, "the first load test sends nothing");
        thread::sleep(Duration::from_millis(10));
    }
    let mut second = program();
    second.args([&target, "-d", "700ms", "-c", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let second = second.spawn().unwrap();
    let second_pid = second.id().to_string();
    let output = second.wait_with_output().unwrap();
    // Other load tests may run here, too, so there may be a list.
    let names = |text: &str, words: &str, pid: &str| {
        let lists = text
            .lines()
            .filter(|line| line.contains(words))
            .filter_map(|line| line.split_once("(pid ")?.1.split_once(')'));
        lists.into_iter().any(|(pids, _)| pids.split(", ").any(|other| other == pid))
    };
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let first_pid = first.id().to_string();
    assert!(names(&stderr, "warning: on this machine", &first_pid), "{stderr}");
    assert!(names(&stdout, "at the same time", &first_pid), "{stdout}");
    interrupt(&first);
    let mut table = String::new();
    first.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    assert!(names(&table, "at the same time", &second_pid), "{table}");
    first.wait().unwrap();
}

/// A control group with a CPU quota of 2 ms in each 100 ms, if one can be made here.
fn throttled_group() -> Option<std::path::PathBuf> {
    let name = format!("loadtest-throttled-{}", std::process::id());
    let (v1, v2) = (std::path::Path::new("/sys/fs/cgroup/cpu"), std::path::Path::new("/sys/fs/cgroup"));
    for (above, file, quota) in [(v1, "cpu.cfs_quota_us", "2000"), (v2, "cpu.max", "2000 100000")] {
        let group = above.join(&name);
        if std::fs::create_dir(&group).is_ok() {
            if group.join(file).exists() && std::fs::write(group.join(file), quota).is_ok() {
                return Some(group);
            }
            let _ = std::fs::remove_dir(group);
        }
    }
    None
}

#[test]
fn a_generator_that_a_cpu_quota_throttles_is_never_valid() {
    let Some(group) = throttled_group() else {
        println!("skipped: no control group with a CPU quota can be made here (needs root and the cpu controller)");
        return;
    };
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut shell = mortal(std::process::Command::new("sh"));
    shell.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&group);
    shell.args([env!("CARGO_BIN_EXE_loadtest"), "--target", &target, "-d", "2s", "-c", "4", "-t", "1"]);
    let output = shell.output().unwrap();
    std::fs::remove_dir(group).unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("client-limited") && table.contains("the generator was throttled for"), "{table}");
}

/// A server that keeps what it was sent, and answers when it has read a head and as many bytes of body as that says.
fn recording_server() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                    if !head.ends_with("\r\n\r\n") {
                        continue;
                    }
                    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                    reader.read_exact(&mut body).unwrap();
                    let end =
                        if body.iter().all(|&byte| byte == b'x') { format!("{} x", body.len()) } else { String::new() };
                    kept.lock().unwrap().insert(format!("{}{end}", std::mem::take(&mut head).replace("\r\n", "|")));
                    reader.get_mut().write_all(ok("hi").replace("Connection: close\r\n", "").as_bytes()).unwrap();
                }
            });
        }
    });
    (address, requests)
}

#[test]
fn header_fields_and_bodies_arrive_as_the_command_line_has_them() {
    let (address, requests) = recording_server();
    let folder = std::env::temp_dir().join(format!("loadtest-content-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let body = folder.join("body");
    let json = folder.join("results.json");
    // More than the kernel's buffers take at once.
    std::fs::write(&body, vec![b'x'; 8_000_000]).unwrap();
    let child = program()
        .args(["--target", &format!("a=http://{address}"), "-d", "1h", "--warmup", "0s", "-c", "1", "--quiet"])
        .args(["--workload", "POST /p", "--requests-per-connection", "2", "-H", "A: b, c", "-H", "Host: other"])
        .args(["--busy", "1", "--busy-workload", "PUT /busy", "--slow-readers", "1", "--slow-reader-workload", "/slow"])
        .args(["--body-file".as_ref(), body.as_os_str(), "--json".as_ref(), json.as_os_str()])
        .spawn()
        .unwrap();
    let fields = "A: b, c|Host: other|";
    let expected = [
        format!("POST /p HTTP/1.1|{fields}Content-Length: 8000000||8000000 x"),
        format!("POST /p HTTP/1.1|{fields}Content-Length: 8000000|Connection: close||8000000 x"),
        format!("PUT /busy HTTP/1.1|{fields}Content-Length: 8000000|Connection: close||8000000 x"),
        format!("GET /slow HTTP/1.1|{fields}|0 x"),
    ];
    let deadline = Instant::now() + LIFETIME;
    while !expected.iter().all(|request| requests.lock().unwrap().contains(request)) {
        assert!(Instant::now() < deadline, "{expected:?} are not all in {:?}", requests.lock().unwrap());
        thread::sleep(Duration::from_millis(10));
    }
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let results = results::Results::load(&json).unwrap();
    assert_eq!(results.settings.content_of("POST /p").body.0.len(), 8_000_000);
    assert_eq!(results.settings.content_of("/slow").headers, ["A: b, c", "Host: other"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn failed_requests_exit_with_1() {
    let address = server(|_| "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into());
    let output = loadtest(&["--target", &format!("a=http://{address}"), "-d", "700ms", "-c", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_page_without_metrics_exits_with_3() {
    let address = server(|_| ok("hi"));
    let (target, metrics) = (format!("a=http://{address}"), format!("a=http://{address}/metrics"));
    one_line(
        &loadtest(&["--target", &target, "--metrics", &metrics]),
        3,
        "has no metrics of one of the lab's services",
    );
}

#[test]
fn an_unsupported_target_is_not_a_failure() {
    let address = server(|path| match path {
        "/metrics" => ok("server_supported 0\n"),
        "/info" => ok("{\"unsupported\": \"io_uring is not permitted here\"}"),
        _ => String::new(),
    });
    let target = format!("a=http://{address}");
    let metrics = format!("a=http://{address}/metrics");
    let output = loadtest(&["--target", &target, "--metrics", &metrics, "-d", "700ms"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("unsupported") && table.contains("io_uring is not permitted here"), "{table}");
}

#[test]
fn an_interrupt_ends_the_run_soon_and_exits_with_130() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = program();
    command.args(["--target", &target, "-d", "1h", "-c", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The signal handler is in place before the first trial is announced.
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("[1/1]")), "it ended before its first trial");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8(output.stdout).unwrap().contains("interrupted"));
}

#[test]
fn a_signal_while_files_are_written_hides_no_failure() {
    let folder = empty_folder("signal-at-end");
    let pipe = folder.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = program();
    command.args(["--target", &target, "-d", "700ms", "-c", "1", "--csv", "/dev/full", "--json"]).arg(&pipe);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut table = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(table.any(|line| line.contains("verdict")));
    interrupt(&child); // the run is over, and the program waits for a reader of the pipe, now or soon
    let read = mortal(Command::new("cat")).arg(&pipe).output().unwrap();
    let results: results::Results = serde_json::from_slice(&read.stdout).unwrap();
    assert!(!results.interrupted);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("--csv /dev/full"), "{errors}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An empty folder that only this test uses.
fn empty_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn a_run_that_does_not_start_leaves_every_file_and_folder_as_it_was() {
    let folder = empty_folder("not-started");
    std::fs::write(folder.join("old.json"), "old").unwrap();
    let outputs = ["--json", "old.json", "--csv", "new.csv", "--out", "out", "--results", "a/b"];
    let run = |target: &str, more: &[&str]| {
        let mut run = program();
        run.current_dir(&folder).args(["--target", target]).args(outputs).args(more).stderr(Stdio::piped());
        run.stdout(Stdio::null()).spawn().unwrap()
    };
    let is_as_before = || {
        assert_eq!(names(&folder), ["old.json"]);
        assert_eq!(std::fs::read_to_string(folder.join("old.json")).unwrap(), "old");
    };
    let code = |child: Child| child.wait_with_output().unwrap().status.code();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("a=http://{}", listener.local_addr().unwrap());
    assert_eq!(code(run(&target, &["-c", "0"])), Some(2));
    is_as_before();
    // An interrupt that comes while the target has not answered the check yet.
    let child = run(&target, &["-d", "1h"]);
    let (mut stream, _) = listener.accept().unwrap();
    interrupt(&child);
    stream.write_all(ok("hi").as_bytes()).unwrap();
    assert_eq!(code(child), Some(130));
    is_as_before();
    drop((stream, listener));
    assert_eq!(code(run(&target, &[])), Some(3));
    is_as_before();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_output_depends_on_another() {
    let folder = empty_folder("full");
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let run = |outputs: &[&str], stdout: Stdio| {
        let mut run = program();
        run.current_dir(&folder).args(["--target", &target, "-d", "700ms", "-c", "1"]).args(outputs);
        run.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
    };
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outputs = ["--json", "/dev/full", "--csv", "a.csv", "--out", "out", "--results", "results"];
    let failed = run(&outputs, Stdio::piped());
    let messages = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2), "{messages}");
    assert!(messages.contains("--json /dev/full: No space left on device"), "{messages}");
    assert!(String::from_utf8(failed.stdout).unwrap().contains("verdict"));
    assert_eq!(names(&folder), ["a.csv", "out", "results"]);
    assert_eq!((names(&folder.join("out")).len(), names(&folder.join("results")).len()), (1, 1));

    let not_shown = run(&["--json", "a.json"], full().into());
    assert_eq!(not_shown.status.code(), Some(2), "{not_shown:?}");
    results::Results::load(&folder.join("a.json")).unwrap();

    // A pipe whose reader has gone away.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = run(&["--json", "b.json"], writer.into());
    assert_eq!(unread.status.code(), Some(0), "{unread:?}");
    results::Results::load(&folder.join("b.json")).unwrap();

    let again = |arguments: &[&str], stdout: Stdio| {
        let mut again = program();
        again.current_dir(&folder).args(arguments).stdout(stdout).stderr(Stdio::piped());
        again.spawn().unwrap().wait_with_output().unwrap()
    };
    for command in [&["show", "a.json"][..], &["merge", "a.json", "b.json"], &["compare", "a.json", "b.json"]] {
        one_line(&again(command, full().into()), 2, "standard output: No space left on device");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = again(command, writer.into());
        assert!(unread.status.success() && unread.stderr.is_empty(), "{unread:?}");
    }
    one_line(&again(&["merge", "a.json", "b.json", "-o", "/dev/full"], Stdio::null()), 2, "--output /dev/full");
    let printed = again(&["merge", "a.json", "b.json", "-o", "/dev/stdout"], Stdio::piped());
    serde_json::from_slice::<results::Results>(&printed.stdout).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A run of one second's trial that is not of the machine of the tests, as a file.
fn write_run(path: &Path, run_id: &str, change: impl FnOnce(&mut results::Results)) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/results/tests/golden/closed.json");
    let mut run = results::Results::load(&golden).unwrap();
    run.run_id = run_id.into();
    change(&mut run);
    run.write(&mut std::fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn runs_of_different_experiments_are_compared_only_if_asked() {
    let folder = empty_folder("compare");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (first, second, other) = (path("1"), path("2"), path("3"));
    write_run(first.as_ref(), "r", |_| {});
    write_run(second.as_ref(), "s", |_| {});
    write_run(other.as_ref(), "t", |run| {
        run.machine.host = Some("other".into());
        run.settings.threads = 2;
    });
    let same = loadtest(&["compare", &first, &second]);
    assert!(same.status.success() && same.stderr.is_empty(), "{same:?}");
    let refused = loadtest(&["compare", &first, &other]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{why}");
    let lines: Vec<&str> = why.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("--anyway"), "{why}");
    assert_eq!(lines[1..], ["  host: golden and other", "  threads: 1 and 2"]);
    let anyway = loadtest(&["compare", &first, &other, "--anyway"]);
    assert_eq!(anyway.status.code(), Some(0), "{anyway:?}");
    let printed = String::from_utf8(anyway.stdout).unwrap();
    let above =
        "no fair comparison, so a change may have another cause:\n  host: golden and other\n  threads: 1 and 2\n\n";
    assert_eq!(printed.strip_prefix(above), Some(String::from_utf8(same.stdout).unwrap().as_str()));
    let twice = loadtest(&["compare", &first, &first]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("both have the trials of run r"), "{twice:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_merge_by_root_writes_as_the_owner_of_the_results() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let folder = empty_folder("owner");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let results = path("results");
    std::fs::create_dir(&results).unwrap();
    write_run(path("results/1").as_ref(), "r", |_| {});
    write_run(path("results/2").as_ref(), "s", |_| {});
    std::fs::write(path("like"), "").unwrap();
    chown(path("like"), Some(12345), Some(54321)).unwrap();
    // The paths are relative, as in the container, where root owns the folder that Docker has made.
    let merge = |output: &str| {
        let mut merge = program();
        merge.current_dir(&folder).args(["merge", "results/1", "results/2", "-o", output]);
        merge.env("LOADTEST_RESULTS", "./results").env("LOADTEST_OWNER", "like").output().unwrap()
    };
    let merged = merge("results/m.json");
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let owner = |name: &str| std::fs::metadata(path(name)).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!((owner("results"), owner("results/m.json")), ((12345, 54321), (12345, 54321)));
    assert_eq!(merge("results/m.json").status.code(), Some(0), "it can be replaced");
    one_line(&merge("m.json"), 2, "name a place that you may write to");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_flag_wins_over_the_variables_of_those_that_it_excludes() {
    let (address, requests) = recording_server();
    let target = format!("a=http://{address}");
    let folder = empty_folder("wins");
    std::fs::write(folder.join("body"), "x").unwrap();
    let run = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut run = program();
        run.current_dir(&folder).args(["--target", &target, "-d", "700ms", "-c", "1", "--workload", "PUT /a"]);
        run.args(flags).envs(variables.iter().copied()).output().unwrap()
    };
    let sent = |body: &str| requests.lock().unwrap().iter().any(|request| request.contains(body));
    let file = run(&["--body-file", "body"], &[("LOADTEST_BODY", "xx")]);
    assert_eq!(file.status.code(), Some(0), "{file:?}");
    assert!(sent("|Content-Length: 1|") && !sent("|Content-Length: 2|"));
    let text = run(&["--body", "xxx"], &[("LOADTEST_BODY_FILE", "missing")]);
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    assert!(sent("|Content-Length: 3|"));
    let rate = run(&["--rate", "100"], &[("LOADTEST_KNEE", "true")]);
    assert_eq!(rate.status.code(), Some(0), "{rate:?}");
    let pid = format!("a={}", std::process::id());
    let cost = run(&["--target-pid", &pid], &[("LOADTEST_METRICS", "a=http://127.0.0.1:1/metrics")]);
    assert_eq!(cost.status.code(), Some(0), "{cost:?}");
    for pair in [["--body", "x", "--body-file", "body"], ["--rate", "1", "--ramp=1-2", "--knee"]] {
        assert_eq!(run(&pair, &[]).status.code(), Some(2), "{pair:?}");
    }
    assert_eq!(run(&[], &[("LOADTEST_BODY", "x"), ("LOADTEST_BODY_FILE", "body")]).status.code(), Some(2));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn conditions_decide_the_exit_code_and_result_files_can_be_read_again() {
    let target = format!("--target=a=http://{}", server(|_| ok("hi")));
    let folder = std::env::temp_dir().join(format!("loadtest-again-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (first, second, both, csv) = (path("1.json"), path("2.json"), path("both.json"), path("1.csv"));
    let short =
        |more: &[&str]| loadtest(&[&[target.as_str(), "-d", "1s", "-c", "1", "-t", "1", "--quiet"], more].concat());
    let met = short(&["--json", &first, "--csv", &csv, "--fail-on", "errors<0.1%,mean<1h"]);
    assert_eq!(met.status.code(), Some(0), "{met:?}");
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 2);
    one_line(
        &short(&["--json", &second, "--fail-on", "throughput>1000000000"]),
        1,
        "--fail-on throughput>1000000000: a /",
    );
    assert_eq!(short(&["--fail-on", "p99<fast"]).status.code(), Some(2));
    let merged = loadtest(&["merge", &first, &second, "-o", &both]);
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let text = |output: Output| String::from_utf8(output.stdout).unwrap();
    assert!(text(loadtest(&["show", &both])).contains("verdict"));
    assert!(text(loadtest(&["compare", &first, &second])).starts_with("a / with 1 connection, keep-alive: "));
    one_line(&loadtest(&["merge", &first, &first]), 2, "same run twice");
    one_line(&loadtest(&["show", &csv]), 2, "1.csv");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_aa_run_has_five_trials() {
    let target = format!("--target=a=http://{}", server(|_| ok("hi")));
    let output = loadtest(&["aa", &target, "-d", "700ms", "-c", "1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("a again") && text.contains("% are noise"), "{text}");
}
