//! Servers of others: which take part, and what they do not have.

use crate::common::program;
use crate::{empty_folder, ok, one_line, server};
use results::{Cell, Results, Verdict};
use std::process::Output;

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A server that has its pages as the program `guest` has them, and nothing to load but `/`.
fn guest() -> String {
    server(|path| match path {
        "/" => ok("hi"),
        "/metrics" => ok("server_supported 1\nserver_cpus 1\n"),
        "/info" => ok(r#"{"version": "0.1.0", "guest": {"command": "nginx -p {folder}", "version": "1.22.1"}}"#),
        _ => NOT_FOUND.into(),
    })
}

fn run(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (Output, Option<Results>) {
    let folder = empty_folder(name);
    let json = folder.join("results.json");
    let mut command = program();
    command.args(["-d", "700ms", "-c", "1", "--json"]).arg(&json).args(arguments).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let results = json.exists().then(|| Results::load(&json).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
    (output, results)
}

fn targets(results: Option<Results>) -> Vec<String> {
    results.expect("the run was made").settings.targets
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn what_a_guest_does_not_have_is_unsupported_and_not_an_error() {
    let (ours, guest) = (server(|_| ok("hi")), guest());
    let (ours, metrics) = (format!("ours=http://{ours}"), format!("nginx=http://{guest}/metrics"));
    let guests = format!("nginx=http://{guest}");
    let loads = ["--load", "/ -c 1", "--load", "/more -c 1", "--load", "/ -c 1 --busy 1 --busy-workload /busy"];
    // It is known for a guest by the flag, or by what it says of itself.
    for flag in ["--guests", "--target"] {
        let arguments = [&["--target", &ours, flag, &guests, "--metrics", &metrics], &loads[..]].concat();
        let (output, results) = run("lacks", &arguments, &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let results = results.unwrap();
        let of = |target: &str| -> Vec<&Cell> {
            let cells = results.cells.iter().filter(|cell| cell.key.target == target).collect::<Vec<_>>();
            assert_eq!(cells.len(), 3);
            cells
        };
        assert!(of("ours").iter().all(|cell| cell.outcomes.total() > 0 && cell.verdict != Verdict::Unsupported));
        assert!(of("nginx")[0].outcomes.total() > 0);
        for (cell, lacks) in of("nginx")[1..].iter().zip(["/more", "/busy"]) {
            assert_eq!((cell.verdict, cell.trials.len()), (Verdict::Unsupported, 0));
            assert_eq!(cell.reasons, [format!("it does not have {lacks}: it answers 404")]);
        }
        let said = &results.targets["nginx"];
        assert!(said.is_guest);
        assert_eq!((&*said.facts["command"], &*said.facts["version"]), ("nginx -p {folder}", "1.22.1"));
        assert!(
            stderr(&output).contains("loadtest: loads with /more are not measured on nginx (status 404)\n"),
            "{output:?}"
        );
    }
}

#[test]
fn a_guest_that_fails_has_errors_and_one_that_answers_every_path_lacks_what_models_have() {
    let failing = server(|path| match path {
        "/" => ok("hi"),
        _ => "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into(),
    });
    let guests = format!("failing=http://{failing},any=http://{}", server(|_| ok("hi")));
    let workloads = ["--workload", "/,/own,/sleep/1"];
    let (output, results) = run("alike", &[&["--guests", &guests], &workloads[..]].concat(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let results = results.unwrap();
    let cell = |target: &str, workload: &str| {
        let found = results.cells.iter().find(|cell| cell.key.target == target && cell.key.load.workload == workload);
        found.expect("a cell").clone()
    };
    assert_eq!(cell("failing", "/sleep/1").verdict, Verdict::Errors);
    let line = "loadtest: failing answers /sleep/1 with status 503, which counts as an error\n";
    assert!(stderr(&output).contains(line), "{output:?}");
    let any = cell("any", "/sleep/1");
    assert_eq!((any.verdict, any.trials.len()), (Verdict::Unsupported, 0));
    assert_eq!(any.reasons, ["it does not have /sleep/1: it answers every path alike"]);
    let line = "loadtest: loads with /sleep/1 are not measured on any (it answers every path alike)\n";
    assert!(stderr(&output).contains(line), "{output:?}");
    for workload in ["/", "/own"] {
        assert!(cell("any", workload).outcomes.total() > 0, "a path of its own may be so");
    }
}

#[test]
fn a_guest_without_any_trial_is_known_as_one() {
    let (ours, guest) = (server(|_| ok("hi")), guest());
    let targets = format!("ours=http://{ours},nginx=http://{guest}");
    let metrics = format!("nginx=http://{guest}/metrics");
    let flags = ["--target", &targets, "--metrics", &metrics, "--workload", "/more"];
    let results = run("unmeasured", &flags, &[]).1.unwrap();
    assert!(results.is_guest("nginx") && !results.is_guest("ours"), "{:?}", results.targets);
    let flags = ["--target", &format!("ours=http://{ours}"), "--guests", &format!("other=http://{guest}")];
    let results = run("flag", &[&flags[..], &["--workload", "/more"]].concat(), &[]).1.unwrap();
    assert!(results.is_guest("other") && !results.is_guest("ours"), "{:?}", results.targets);
}

#[test]
fn another_target_that_does_not_have_a_workload_has_errors() {
    let (ours, other) = (server(|_| ok("hi")), guest());
    let targets = format!("ours=http://{ours},other=http://{other}");
    let (output, results) = run("errors", &["--target", &targets, "--workload", "/more"], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("other answers /more with status 404, which counts as an error"), "{output:?}");
    let results = results.unwrap();
    let verdict = |target| results.cells.iter().find(|cell| cell.key.target == target).map(|cell| cell.verdict);
    assert_eq!(verdict("other"), Some(Verdict::Errors));
    let (output, results) = run("none", &["--guests", &format!("other=http://{other}"), "--workload", "/more"], &[]);
    one_line(&output, 2, "no target has the workload /more: each answers 404");
    assert!(results.is_none());
}

#[test]
fn guests_take_part_if_their_name_is_known() {
    let address = server(|_| ok("hi"));
    let (ours, here) = (format!("ours=http://{address}"), format!("here=http://{address}"));
    let guests = format!("{here},gone=http://no-such-host.invalid:80");
    let (output, results) = run("known", &["--target", &ours, "--guests", &guests], &[]);
    assert!(stderr(&output).contains("loadtest: --guests: not known here, and left out: gone\n"), "{output:?}");
    assert_eq!(targets(results), ["ours", "here"]);

    let (output, results) = run("variable", &[], &[("LOADTEST_TARGET", &ours), ("LOADTEST_GUESTS", &guests)]);
    assert!(!stderr(&output).contains("gone"), "{output:?}");
    assert_eq!(targets(results), ["ours", "here"]);

    let (output, results) = run("alone", &["--target", &ours], &[("LOADTEST_GUESTS", &guests)]);
    assert!(!stderr(&output).contains("here"), "{output:?}");
    assert_eq!(targets(results), ["ours"]);

    let both = [("LOADTEST_TARGET", &*ours), ("LOADTEST_GUESTS", "")];
    assert_eq!(targets(run("empty", &["--guests", &here], &both).1), ["ours", "here"]);
    assert_eq!(targets(run("empty", &[], &both).1), ["ours"]);
    assert_eq!(targets(run("only", &["--guests", &guests], &[]).1), ["here"]);
    let (output, results) = run("nothing", &["--guests", "gone=http://no-such-host.invalid:80"], &[]);
    one_line(&output, 3, "none of these hosts is known here: gone");
    assert!(results.is_none());
}

#[test]
fn guests_are_given_as_targets_are() {
    let (address, silent) = (server(|_| ok("hi")), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let refused = silent.local_addr().unwrap();
    drop(silent);
    let ours = format!("ours=http://{address}");
    one_line(&run("twice", &["--target", &ours, "--guests", &ours], &[]).0, 2, "--guests ours is given twice");
    one_line(
        &run("path", &["--guests", "a=http://127.0.0.1:1/x"], &[]).0,
        2,
        "--guests a=http://127.0.0.1:1/x: say '/x'",
    );
    one_line(&run("name", &["--guests", "http://x"], &[]).0, 2, "write NAME=VALUE");
    let (output, _) = run("word", &["--target", &ours, "--guest", "x=y"], &[]);
    assert!(stderr(&output).contains("the lab starts the models and the guests"), "{output:?}");
    let guest = format!("quiet=http://{refused}");
    one_line(&run("refused", &["--target", &ours, "--guests", &guest], &[]).0, 3, "quiet does not answer /");
    let (output, results) = run("waits", &["--target", &ours, "--guests", &guest, "--wait", "300ms"], &[]);
    assert!(stderr(&output).contains("quiet does not answer /"), "{output:?}");
    assert_eq!(targets(results), ["ours", "quiet"]);
    let metrics = ["--guests", "a=http://127.0.0.1:1", "--metrics", "b=http://127.0.0.1:2"];
    one_line(&run("metrics", &metrics, &[]).0, 2, "there is no --target of that name; there is a");
}

#[test]
fn guests_are_among_the_known_targets() {
    let guests = "here=http://127.0.0.1:1,gone.invalid,other=http://no-such-host.invalid:80";
    let known = |target: &str| {
        let mut command = program();
        command.args(["--target", target]).env("LOADTEST_TARGET", "epoll,uring").env("LOADTEST_GUESTS", guests);
        command.output().unwrap()
    };
    let output = known("epol");
    one_line(
        &output,
        2,
        "--target epol: there is none of that name here; there is epoll, uring, here, gone.invalid, other\n",
    );
    // Known by name: it fails only when it is asked.
    one_line(&known("gone.invalid"), 3, "http://gone.invalid:9080/metrics");
}
