//! Guests that fail: each is a clear line, and its log is kept.

use crate::measured::python;
use crate::run::{Ran, hyper_after, is_installed, run, run_for};

/// Runs a guest that fails before the run begins.
fn fails(test: &str, guest: &str) -> Ran {
    let ran = run(test, &["--models", "none", "--guest", guest, "--workload", "/"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let lines = ran.stderr.lines().filter(|line| line.starts_with("lab: ")).count();
    assert_eq!(lines, 1, "{}", ran.stderr);
    ran
}

#[test]
fn a_guest_that_exits_at_once_is_named_with_the_end_of_its_log() {
    let ran = fails("exits", "mine=sh -c 'for i in 1 2 3 4 5 6 7; do echo line $i; done; echo {port} >&2; exit 3'");
    assert!(ran.stderr.contains("lab: mine: the guest's process exited with code 3; its log is /"), "{}", ran.stderr);
    assert!(ran.stderr.contains("mine: line 7\n") && !ran.stderr.contains("line 3"), "{}", ran.stderr);
    assert_eq!(ran.log().lines().count(), 8);
}

#[test]
fn a_guest_without_a_word_leaves_no_log() {
    let ran = fails("silent", "mine=sh -c 'exit 3 {port}'");
    assert!(ran.stderr.ends_with("lab: mine: the guest's process exited with code 3\n"), "{}", ran.stderr);
    assert!(ran.left.is_empty(), "{:?}", ran.left);
}

#[test]
fn a_guest_that_goes_into_the_background_is_told_to_stay_in_the_foreground() {
    let ran = fails("background", "mine=sh -c 'sleep 600 & exit 0; {port}'");
    assert!(ran.stderr.contains("lab: mine: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("tell it to stay in the foreground"), "{}", ran.stderr);
}

#[test]
fn a_guest_that_does_not_listen_is_not_waited_for_without_end() {
    let ran = fails("deaf", "mine=sh -c 'echo I wait for {port}; exec sleep 600'");
    assert!(ran.stderr.contains("lab: mine: it does not listen on 127.0.0.1:"), "{}", ran.stderr);
    assert!(ran.log().starts_with("I wait for "));
}

#[test]
fn a_guest_without_a_page_at_the_root_is_refused_if_that_is_requested() {
    if !is_installed("python3") {
        return;
    }
    let empty = "mine=python3 -c 'import http.server as h, sys; \
                 h.HTTPServer((\"127.0.0.1\", int(sys.argv[1])), h.BaseHTTPRequestHandler).serve_forever()' {port}";
    let ran = fails("no-root", empty);
    assert!(ran.stderr.contains("lab: mine: it answers / with 501"), "{}", ran.stderr);
}

#[test]
fn a_guest_that_ends_during_a_trial_is_named_with_its_log() {
    if !is_installed("python3") {
        return;
    }
    let ran = run_for("ends", "3s", &["--models", "none", "--guest", &python("mine", "8"), "--workload", "/"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("mine: the guest's process exited with code 7\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("mine: has served enough\n"), "{}", ran.stderr);
    assert_eq!(ran.log(), "has served enough\n");
    assert_eq!(ran.cell("mine", "/")["verdict"], "errors");
}

#[test]
fn a_guest_that_fails_only_in_the_run_has_a_cell_with_the_reason() {
    // It starts once, for the check, and not again.
    let once = "mkdir \"$TMPDIR/once\" || exit 5;";
    let ran = run("once", &["--models", "none", "--guest", &hyper_after("mine", once), "--workload", "/"]);
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    let cell = ran.cell("mine", "/");
    assert_eq!(cell["verdict"], "errors", "{cell}");
    assert!(cell["reasons"].to_string().contains("exited with code 5; its log is "), "{cell}");
    assert!(ran.stderr.contains("File exists"), "{}", ran.stderr);
}
