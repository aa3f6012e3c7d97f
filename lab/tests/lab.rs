//! Tests of the lab as a user runs it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::MODELS;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use test_lifetime::limit_lifetime;

/// After so many seconds, SIGALRM kills a lab, and its services end with it. So what a test reads from it comes to an
/// end. The test of all models takes more than a minute, and several times as long on a busy machine.
const LIFETIME: u32 = 900;

fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limit_lifetime(&mut command, LIFETIME);
    command
}

fn output(args: &[&str]) -> Output {
    lab(args).output().expect("the lab runs")
}

/// The path of a folder that only this test uses; it does not exist yet.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("the lab is still there");
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Waits until the process has ended, be it a zombie that no process has waited for yet. False if it runs on.
fn ends(pid: u32) -> bool {
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn every_model_is_measured_and_the_results_are_saved() {
    let out = folder("measures");
    let workloads = "/,POST /nod";
    let arguments = ["-d", "1s", "-c", "4", "--workload", workloads, "--requests-per-connection", "unlimited,1"];
    let run = output(&[&arguments[..], &["--out", out.to_str().expect("UTF-8")]].concat());
    assert!(run.status.success(), "{}\n{}", text(&run.stdout), text(&run.stderr));
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).expect("results.json")).expect("JSON");
    let cells = results["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), MODELS.len() * 2 * 2);
    for cell in cells {
        let name = format!("{} {} {}", cell["target"], cell["workload"], cell["requests_per_connection"]);
        assert_ne!(cell["verdict"], "errors", "{name}: {}", cell["reasons"]);
        if cell["verdict"] != "unsupported" {
            assert!(cell["ok"].as_u64() > Some(0), "{name}");
            assert!(cell["server"]["cpu_us_per_request"]["median"].as_f64() > Some(0.0), "{name}");
        }
    }
    let table = text(&run.stdout);
    for model in MODELS {
        assert!(table.contains(model.name), "{table}");
    }
}

#[test]
fn each_run_has_a_folder_in_results_unless_out_names_another() {
    let here = folder("results-folder");
    fs::create_dir(&here).expect("a folder");
    let run = |more: &[&str]| {
        let args = ["--models", "epoll", "-c", "1", "--workload", "/", "-d", "200ms", "--requests-per-connection", "1"];
        let run = lab(&args).args(more).current_dir(&here).output().expect("the lab runs");
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stderr)
    };
    assert!(!run(&["--out", "out"]).contains("results/"));
    assert!(here.join("out/results.json").exists() && !here.join("results").exists());
    let messages = run(&[]);
    let saved = messages.lines().find_map(|line| line.strip_prefix("results: ")).expect("the file is named");
    assert!(saved.starts_with("results/") && here.join(saved).exists(), "{messages}");
    run(&["--results", "others"]);
    assert_eq!(fs::read_dir(here.join("others")).expect("the folder").count(), 1);
}

#[test]
fn a_workload_that_no_model_has_exits_with_2() {
    let run = output(&["--models", "epoll", "--workload", "/file/64k", "--out", "/dev/shm/lab-workload"]);
    let why = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{why}");
    assert!(why.contains("no model has the workload /file/64k; the models serve /, /files/64k"), "{why}");
}

#[test]
fn ctrl_c_stops_everything_and_what_was_measured_is_reported() {
    let (out, temporary) = (folder("ctrl-c"), folder("ctrl-c-tmp"));
    fs::create_dir(&temporary).expect("a folder");
    let mut run = lab(&["--models", "epoll", "-c", "2", "--workload", "/", "-d", "200ms", "--trials", "1000"])
        .args(["--requests-per-connection", "unlimited", "--out", out.to_str().expect("UTF-8")])
        .env("TMPDIR", &temporary)
        .spawn()
        .expect("the lab runs");
    // When the third trial has begun, there are results to report, and there is a service to stop.
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines();
    let number = |line: String| line.strip_prefix('[')?.split_once('/')?.0.parse::<u32>().ok();
    let mut numbers = progress.by_ref().map_while(Result::ok).filter_map(number);
    assert!(numbers.any(|number| number >= 3), "it ended before its third trial");
    let services = children(run.id());
    interrupt(&run);
    let rest: Vec<String> = progress.map_while(Result::ok).collect();
    let ended = run.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{rest:?}");
    assert!(text(&ended.stdout).contains("epoll"), "{rest:?}");
    let results = fs::read_to_string(out.join("results.json")).expect("results.json");
    assert!(results.contains("\"interrupted\": true"));
    assert!(services.into_iter().all(ends));
    // The default files stay, for the next run; the store is removed.
    let left: Vec<_> =
        fs::read_dir(&temporary).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(left, [format!("io-models-{}", nix::unistd::geteuid()).as_str()]);
}

#[test]
fn serve_starts_the_models_and_stops_them() {
    // The two ports were free a moment ago. If one is in use by now, the lab exits, and the test tries two others.
    for _ in 0..5 {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let (port, admin) = (free().to_string(), free().to_string());
        let mut serve =
            lab(&["serve", "--models", "epoll", "--port", &port, "--admin-port", &admin]).spawn().expect("runs");
        let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains("Ctrl-C")) {
            assert_eq!(serve.wait().expect("it ends").code(), Some(2));
            continue;
        }
        let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("written");
        let mut response = String::new();
        client.read_to_string(&mut response).expect("a response");
        assert!(response.ends_with("Hello World\n"), "{response}");
        let services = children(serve.id());
        assert!(!services.is_empty());
        interrupt(&serve);
        assert_eq!(serve.wait().expect("it ends").code(), Some(0));
        assert!(services.into_iter().all(ends));
        return;
    }
    panic!("five times in a row, another process took one of the ports");
}

#[test]
fn the_services_end_when_the_lab_is_killed() {
    let mut run = lab(&["--models", "epoll", "-c", "1", "--workload", "/", "-d", "60s", "--json", "/dev/null"]);
    let mut run = run.args(["--requests-per-connection", "unlimited"]).spawn().expect("the lab runs");
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(progress.any(|line| line.starts_with("[1/")), "it ended before its first trial");
    let deadline = Instant::now() + Duration::from_secs(20);
    let services = loop {
        let services = children(run.id());
        if !services.is_empty() || Instant::now() > deadline {
            break services;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(!services.is_empty());
    run.kill().expect("killed");
    run.wait().expect("it has ended");
    assert!(services.into_iter().all(ends));
}

#[test]
fn wrong_usage_is_one_line_that_says_what_to_do() {
    for (args, expected) in [
        (&["--models", "apache"][..], "there are process-per-connection, "),
        (&["--workload", "nonsense"], "is no path"),
        (&["-c", "0"], "--concurrency must be at least 1"),
        (&["--out", "/proc/nowhere"], "name a place that you may write to"),
        (&["--files", "/nowhere", "-d", "1s"], "/nowhere"),
    ] {
        let run = output(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(text(&run.stderr).contains(expected), "{args:?}: {}", text(&run.stderr));
    }
}

#[test]
fn help_shows_the_models_and_the_defaults() {
    let help = text(&output(&["--help"]).stdout);
    for part in ["process-per-connection, ", ", epoll", "[default: 1,64,512]", "lab serve", "Exit codes"] {
        assert!(help.contains(part), "{help}");
    }
}
