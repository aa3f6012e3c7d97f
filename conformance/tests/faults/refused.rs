//! Values of flags that a model cannot keep: the service does not start, and one line says which flag, and why.

use lab::MODELS;

use crate::service::{command, start};

/// Refused by every model. Larger values than these are refused for the same reasons.
const BY_ALL: &[(&[&str], &str)] = &[
    (&["--threads", "0"], "--threads"),
    (&["--threads", "18446744073709551615"], "--threads 18446744073709551615: it must be at most "),
    (&["--max-connections", "0"], "--max-connections"),
    (&["--max-connections", "18446744073709551615"], "--max-connections 18446744073709551615 is more than "),
    (&["--backlog", "0"], "--backlog"),
    (&["--backlog", "2147483648"], "--backlog"),
    (&["--max-head", "63"], "--max-head"),
    (&["--max-head", "1025m"], "--max-head"),
    (&["--max-request-line", "0"], "--max-request-line"),
    (&["--max-head", "1k", "--max-request-line", "2k"], "--max-request-line is more than --max-head"),
    (&["--max-body", "0"], "--max-body"),
    (&["--head-timeout", "0s"], "--head-timeout"),
    (&["--body-timeout", "0s"], "--body-timeout"),
    (&["--idle-timeout", "0s"], "--idle-timeout"),
    (&["--write-timeout", "25h"], "--write-timeout"),
    (&["--grace", "25h"], "--grace"),
];

/// Refused by one model.
const BY_ONE: &[(&str, &[&str], &str)] = &[
    ("epoll", &["--threads", "1025"], "--threads 1025: it must be at most 1024: each loop has a thread"),
    ("framework", &["--max-head", "8191"], "--max-head 8191: it must be at least 8192: hyper's buffer"),
    (
        "framework",
        &["--max-head", "64k", "--max-request-line", "65535"],
        "--max-request-line 65535: it must be at most 65534: hyper takes",
    ),
    ("posix-aio", &["--threads", "32"], "--threads 32: it must be at most 31: each loop has a real-time signal"),
    ("process-pool", &["--start", "0"], "--start"),
    (
        "process-pool",
        &["--start", "6", "--max-connections", "5"],
        "--start 6: it is more than the connections that may be",
    ),
    ("process-pool", &["--min-spare", "3", "--max-spare", "2"], "--min-spare 3: it is more than the 2 of --max-spare"),
    ("process-pool", &["--min-spare", "3", "--max-connections", "2"], "--min-spare 3: it is more than the connections"),
    ("process-pool", &["--start", "18446744073709551615"], "--start 18446744073709551615: it is more than"),
    ("thread-pool", &["--workers", "0"], "--workers"),
    ("thread-pool", &["--workers", "3", "--max-connections", "2"], "--workers 3: it is more than the connections"),
    ("thread-pool", &["--workers", "18446744073709551615"], "--workers 18446744073709551615: it is more than"),
    ("thread-pool", &["--queue", "0"], "--queue"),
];

/// Values at a bound, and combinations in which a default yields.
const KEPT: &[(&str, &[&str])] = &[
    ("framework", &["--max-head", "8k"]),
    ("framework", &["--max-head", "64k", "--max-request-line", "65534"]),
    ("posix-aio", &["--threads", "31"]),
    ("process-pool", &["--max-connections", "1"]),
    ("process-pool", &["--max-spare", "1"]),
    ("process-pool", &["--start", "1", "--min-spare", "12"]),
    ("thread-pool", &["--max-connections", "1", "--queue", "18446744073709551615"]),
    ("thread-pool", &["--workers", "1", "--queue", "1"]),
];

#[track_caller]
fn is_refused(model: &str, flags: &[&str], expected: &str) {
    let output = command(model, flags).output().expect("serve-model starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{model} {flags:?}: {said}");
    assert!(said.lines().count() == 1 && said.contains(expected), "{model} {flags:?}: {said}");
}

#[test]
fn values_that_no_model_can_keep_are_refused() {
    for model in MODELS {
        BY_ALL.iter().for_each(|(flags, expected)| is_refused(model.name, flags, expected));
    }
}

#[test]
fn values_that_one_model_cannot_keep_are_refused_by_it() {
    BY_ONE.iter().for_each(|(model, flags, expected)| is_refused(model, flags, expected));
}

#[test]
fn values_at_a_bound_are_kept() {
    for (model, flags) in KEPT {
        let service = start(model, flags).expect("every machine permits it");
        service.is_well(service.model_pid().expect("a model"));
        service.stopped();
    }
}
