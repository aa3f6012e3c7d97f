//! Whole runs: their verdicts, remarks and exit codes.

use crate::common::{LIFETIME, mortal, program};
use crate::{interrupt, loadtest, ok, server};
use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

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
fn failed_requests_exit_with_1() {
    let address = server(|_| "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into());
    let output = loadtest(&["--target", &format!("a=http://{address}"), "-d", "700ms", "-c", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
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
fn a_rate_that_cannot_be_reached_ends_in_time_and_is_the_generators_limit() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    // `program` ends after minutes, so an endless run fails.
    let output = loadtest(&["--target", &target, "-R", "1000M", "-d", "500ms", "--timeout", "100ms", "-c", "2"]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("client-limited") || table.contains("errors"), "{table}");
    assert!(table.contains("to send all of it"), "{table}");
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

#[test]
fn an_aa_run_has_five_trials() {
    let target = format!("--target=a=http://{}", server(|_| ok("hi")));
    let output = loadtest(&["aa", &target, "-d", "700ms", "-c", "1"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("may differ from itself by up to") && !text.contains("\na again"), "{text}");
}
