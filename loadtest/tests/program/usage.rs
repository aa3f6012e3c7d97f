//! Wrong usage, flags and their variables, and targets that cannot be measured: one line, and the exit code.

use crate::common::{LIFETIME, program};
use crate::{empty_folder, interrupt, loadtest, ok, one_line, recording_server, server};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

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
    one_line(&loadtest(&[target, "--load", "/ --idel 9"]), 2, "--load '/ --idel 9': unexpected argument '--idel'");
    one_line(&loadtest(&[target, "--budget", "1s"]), 2, "give more time, or a shorter --duration");
    assert_eq!(loadtest(&[target, "-d", "5"]).status.code(), Some(2));
    assert_eq!(loadtest(&[]).status.code(), Some(2));
}

#[test]
fn help_and_version_are_printed() {
    for (flag, words) in [("--help", "--concurrency"), ("-h", "--concurrency"), ("--version", "loadtest ")] {
        let output = loadtest(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(words), "{flag}: {output:?}");
    }
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
    assert!(results.cells.iter().all(|cell| cell.key.load.concurrency == 2), "the flag wins");
    assert!(runs.len() == 1 && runs[0].ends_with(&results.run_id));
    let last = format!("\nRun {}: http://localhost:3000\n", results.run_id);
    assert!(String::from_utf8(output.stderr).unwrap().ends_with(&last));
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
fn loads_come_from_the_command_line_or_else_from_variables() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let folder = empty_folder("loads");
    let json = folder.join("results.json");
    let loads = |flags: &[&str], variables: &[(&str, &str)]| -> Vec<String> {
        let mut run = program();
        run.args(["--target", &target, "-d", "500ms", "--json"]).arg(&json).args(flags);
        let output = run.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        results::Results::load(&json).unwrap().cells.iter().map(|cell| cell.key.load.to_string()).collect()
    };
    let variable = ("LOADTEST_LOAD", "/ -c 1; /more -R 50 -c 4");
    let more = "/more with 4 connections, keep-alive, 50 requests/s";
    assert_eq!(loads(&[], &[variable]), ["/ with 1 connection, keep-alive", more]);
    assert_eq!(loads(&["-c", "2"], &[variable]), ["/ with 2 connections, keep-alive", more]);
    assert_eq!(loads(&["--workload", "/own", "-c", "2"], &[variable]), ["/own with 2 connections, keep-alive"]);
    let (own, workload) = (["--load", "/own -c 3"], ("LOADTEST_WORKLOAD", "/,/more"));
    assert_eq!(loads(&own, &[variable, workload]), ["/own with 3 connections, keep-alive"]);
    std::fs::remove_dir_all(folder).unwrap();
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
fn an_unreachable_target_exits_with_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("a=http://{}", listener.local_addr().unwrap());
    drop(listener);
    one_line(&loadtest(&["--target", &target, "-d", "1s"]), 3, "is it running?");
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
fn a_workload_that_no_target_has_exits_with_2() {
    let address = server(|_| "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into());
    let target = format!("a=http://{address}");
    one_line(&loadtest(&["--target", &target, "--workload", "/file/64k"]), 2, "each answers 404");
    let mut with_known = program();
    with_known.args(["--target", &target, "--workload", "/file/64k"]).env("LOADTEST_WORKLOAD", "/,/files/64k");
    one_line(&with_known.output().unwrap(), 2, "LOADTEST_WORKLOAD has /,/files/64k");
}
