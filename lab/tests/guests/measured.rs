//! Guests that work.

use crate::run::{Ran, has_guest, hyper_after, is_installed, run, run_for};

/// A guest of Python, which answers `/` with as many bytes as the models, but others, `/files/small` as they do, and nothing else.
pub fn python(name: &str, more: &str) -> String {
    format!("{name}=python3 '{}/tests/guests/python.py' {{port}} {more}", env!("CARGO_MANIFEST_DIR"))
}

/// The guest was measured under this workload.
fn assert_measured(ran: &Ran, target: &str, workload: &str) {
    let cell = ran.cell(target, workload);
    assert!(cell["trials"].as_array().is_some_and(|trials| !trials.is_empty()), "{cell}\n{}", ran.stderr);
    assert!(!["errors", "unsupported"].contains(&cell["verdict"].as_str().expect("a verdict")), "{cell}");
}

#[test]
fn a_guest_is_measured_beside_a_model_and_charged() {
    let args = ["--models", "epoll", "--guests", "hyper", "--workload", "/"];
    let mut ran = run("hyper", &args);
    // On a machine with much else to do, a guest may get no CPU within a short time. Then it has more.
    if ran.cost("hyper", "/").is_none() || ran.cost("epoll", "/").is_none() {
        ran = run_for("hyper", "3s", &args);
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.left.is_empty(), "{:?}", ran.left);
    let targets = &ran.results["targets"];
    assert_eq!((&targets["hyper"]["is_guest"], targets["epoll"]["is_guest"].as_bool()), (&true.into(), None));
    assert!(targets["hyper"]["facts"]["command"].is_string(), "{targets}");
    let costs = (ran.cost("epoll", "/"), ran.cost("hyper", "/"));
    assert!(matches!(costs, (Some(model), Some(guest)) if model > 0.0 && guest > 0.0), "{costs:?}\n{}", ran.stdout);
    assert!(ran.stdout.contains("hyper") && !ran.stderr.contains("its answer to"), "{}", ran.stderr);
}

#[test]
fn an_aa_run_measures_a_guest_twice() {
    let ran = run("aa", &["aa", "--models", "none", "--guests", "hyper", "--workload", "/"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for target in ["hyper", "hyper again"] {
        assert_measured(&ran, target, "/");
    }
}

#[test]
fn what_a_guest_lacks_is_unsupported_and_what_differs_is_said() {
    if !is_installed("python3") {
        return;
    }
    let loads = ["--load", "/", "--load", "/sleep/1", "--load", "/files/small"];
    let busy = ["--load", "/ --busy 1 --busy-workload /work/1"];
    let ran = run("lacks", &[&["--models", "none", "--guest", &python("mine", "")], &loads[..], &busy].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("mine: its answer to / is as long as the models', 12 bytes, but has other content"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("its answer to /files/small"), "{}", ran.stderr);
    assert_measured(&ran, "mine", "/");
    assert_measured(&ran, "mine", "/files/small");
    let sleep = ran.cell("mine", "/sleep/1");
    let expected = serde_json::json!(["it does not have /sleep/1: it answers 404"]);
    assert_eq!((&sleep["verdict"], &sleep["reasons"]), (&"unsupported".into(), &expected), "{}", ran.stderr);
    let verdicts = ran.results["cells"].as_array().expect("cells").iter().map(|cell| &cell["verdict"]);
    assert_eq!(
        verdicts.filter(|verdict| **verdict == "unsupported").count(),
        2,
        "the busy clients' workload is missing"
    );
    assert!(ran.left.is_empty(), "{:?}", ran.left);
}

#[test]
fn a_guest_that_answers_any_path_has_no_workload_of_the_models() {
    if !is_installed("python3") {
        return;
    }
    let workloads = "/,/own,/sleep/1,POST /counter";
    let ran = run("any-path", &["--models", "none", "--guest", &python("any", "any"), "--workload", workloads]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for workload in ["/sleep/1", "POST /counter"] {
        let cell = ran.cell("any", workload);
        let reason = format!("it does not have {workload}: it answers every path alike");
        let expected = (&"unsupported".into(), &serde_json::json!([reason]));
        assert_eq!((&cell["verdict"], &cell["reasons"]), expected, "{}", ran.stderr);
        let line = format!("any: it answers {workload} as it answers any path, so it does not have it");
        assert!(ran.stderr.contains(&line), "{}", ran.stderr);
    }
    for workload in ["/", "/own"] {
        assert_measured(&ran, "any", workload);
    }
}

#[test]
fn the_addresses_that_a_guest_prints_are_not_taken_for_its_service() {
    let before =
        "echo any: listening on http://127.0.0.1:1, admin on http://127.0.0.1:2 elsewhere; echo http://a http://b >&2;";
    let ran = run("urls", &["--models", "none", "--guest", &hyper_after("any", before), "--workload", "/"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_measured(&ran, "any", "/");
    assert!(ran.left.is_empty(), "{:?}", ran.left);
}

#[test]
fn nginx_serves_the_same_files_as_the_models() {
    if !has_guest("nginx") {
        return;
    }
    let args = ["--models", "epoll", "--guests", "nginx", "--workload", "/,/files/small"];
    let ran = run("nginx", &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for workload in ["/", "/files/small"] {
        assert_measured(&ran, "nginx", workload);
        assert_measured(&ran, "epoll", workload);
    }
    assert!(!ran.stderr.contains("nginx: its answer"), "{}", ran.stderr);
    assert!(ran.left.is_empty(), "{:?}", ran.left);
}
