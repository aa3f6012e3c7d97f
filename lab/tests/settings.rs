//! Tests of what the lab says of itself and of this machine: `--set`, `aa`, `doctor`.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use common::{lab, output, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The body of the answer to GET `path`.
fn get(address: &str, path: &str) -> String {
    let mut client = TcpStream::connect(address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("written");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    response.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[test]
fn a_flag_that_is_set_for_a_model_reaches_its_service() {
    let args = ["serve", "--models", "epoll,thread-pool", "--port", "0", "--admin-port", "0"];
    let set = ["--set", "thread-pool.workers=3,thread-pool.racy", "--set", "thread-pool.queue=7"];
    let mut serve = lab(&args).args(set).env("QUEUE", "9").env("BACKLOG", "77").spawn().expect("runs");
    let lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let started: Vec<String> = lines.take_while(|line| !line.contains("Ctrl-C")).collect();
    let info = |name: &str| -> serde_json::Value {
        let line = started.iter().find(|line| line.starts_with(name)).expect("it has started");
        let admin = line.split("metrics http://").nth(1).and_then(|rest| rest.strip_suffix("/metrics"));
        serde_json::from_str(&get(admin.expect("its address"), "/info")).expect("JSON")
    };
    let given = |name: &str| info(name)["given"].clone();
    let expected = serde_json::json!({"workers": "3", "racy": "true", "queue": "7", "backlog": "77"});
    assert_eq!(given("thread-pool"), expected, "the environment gives what is not set");
    assert_eq!(given("epoll"), serde_json::json!({"backlog": "77"}));
    kill(Pid::from_raw(serve.id() as i32), Signal::SIGINT).expect("it is still there");
    assert!(serve.wait().expect("it ends").success());
}

#[test]
fn a_wrong_setting_ends_the_lab_before_anything_starts() {
    for (set, expected) in [
        ("workers=3", "write MODEL.FLAG=VALUE"),
        ("thread-pool.wokers=3", "no flag wokers; it has "),
        ("epoll.backlog=3", "no model epoll; it has thread-pool"),
        ("thread-pool.listen=3", "the lab itself sets --listen"),
    ] {
        for command in [&["serve"][..], &[]] {
            let run = output(&[command, &["--models", "thread-pool", "--set", set]].concat());
            assert_eq!(run.status.code(), Some(2), "{set}");
            assert!(text(&run.stderr).contains(expected), "{set}: {}", text(&run.stderr));
        }
    }
    let value = output(&["--models", "thread-pool", "--set", "thread-pool.workers=0", "--json", "/dev/null"]);
    assert!(text(&value.stderr).contains("thread-pool: invalid value '0' for '--workers"), "{}", text(&value.stderr));
}

#[test]
fn an_aa_run_measures_each_model_twice_and_records_what_was_set() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aa.json");
    let load = ["-c", "1", "-d", "700ms", "--workload", "/", "--requests-per-connection", "unlimited"];
    let aa = ["aa", "--models", "epoll", "--set", "epoll.backlog=99", "--json", json.to_str().expect("UTF-8")];
    let run = lab(&[&aa[..], &load].concat()).current_dir(env!("CARGO_TARGET_TMPDIR")).output().expect("it runs");
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("epoll runs with --backlog=99"), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("noise"), "{}", text(&run.stdout));
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(json).expect("results")).expect("JSON");
    let cells = results["cells"].as_array().expect("cells");
    let measured: Vec<_> = cells.iter().map(|cell| (cell["target"].as_str(), cell["trials"].as_array())).collect();
    let measured: Vec<_> = measured.into_iter().map(|(name, trials)| (name, trials.map(Vec::len))).collect();
    assert_eq!(measured, [(Some("epoll"), Some(5)), (Some("epoll again"), Some(5))]);
    assert_eq!(results["settings"]["set"], serde_json::json!({"epoll": {"backlog": "99"}}));
    assert!(results["machine"]["provenance"]["compiler"].is_string(), "{}", results["machine"]);
}

#[test]
fn the_doctor_describes_this_machine_in_lines_that_fit() {
    let doctor = output(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(0), "{}", text(&doctor.stderr));
    let text = text(&doctor.stdout);
    for part in ["CPU", "busy times of CPUs: ", "port range: ", "compiler: rustc", "default files: "] {
        assert!(text.contains(part), "{text}");
    }
    let starts = |line: &str| ["mend  ", "note  ", "ok    ", "      "].iter().any(|start| line.starts_with(start));
    let findings = text.lines().take_while(|line| !line.is_empty());
    assert!(findings.clone().all(starts) && findings.count() > 10, "{text}");
    assert!(text.lines().filter(|line| !line.contains(" $ ")).all(|line| line.chars().count() <= 80), "{text}");
}
