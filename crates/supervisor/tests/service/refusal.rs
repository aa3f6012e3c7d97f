//! Tests of services that cannot start: they print one line that says what to change, and exit with code 2.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;

use nix::sys::resource::{Resource, setrlimit};

use crate::running::command;

crate::tests![
    the_error_for_a_port_in_use_names_the_port_and_the_flag,
    the_error_for_an_unknown_address_names_the_address_and_the_flag,
    the_error_for_a_missing_directory_names_it,
    the_error_for_an_unusable_store_names_it,
    the_error_for_a_limit_that_is_too_low_names_it,
    errors_for_bad_values_name_the_flag,
    help_exits_with_success,
];

/// Starts a service that must fail, and returns the line that it prints.
fn error_line(flags: &[&str]) -> String {
    error_line_of(command("plain", flags))
}

fn error_line_of(mut command: std::process::Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

fn the_error_for_a_port_in_use_names_the_port_and_the_flag() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let line = error_line(&[flag, &taken]);
        assert!(line.contains(&taken) && line.contains(flag) && line.contains("in use"), "{line}");
    }
    drop(listener);
}

fn the_error_for_an_unknown_address_names_the_address_and_the_flag() {
    let line = error_line(&["--admin", "192.0.2.1:9080"]); // an address for documentation: RFC 5737
    assert!(line.contains("192.0.2.1:9080") && line.contains("--admin"), "{line}");
}

fn the_error_for_a_missing_directory_names_it() {
    let line = error_line(&["--files", "/nowhere/at/all"]);
    assert!(line.contains("/nowhere/at/all") && line.contains("no such directory"), "{line}");
    let line = error_line(&["--files", "/proc/version"]);
    assert!(line.contains("not a directory"), "{line}");
}

fn the_error_for_an_unusable_store_names_it() {
    for (file, reason) in
        [("/nowhere/at/all.db", "unable to open"), ("/proc/version", "database"), ("/", "unable to open")]
    {
        let line = error_line(&["--store", file]);
        assert!(line.contains(&format!("--store {file}: ")) && line.contains(reason), "{line}");
    }
}

fn the_error_for_a_limit_that_is_too_low_names_it() {
    let mut limited = command("plain", &["--max-connections", "1000", "--threads", "1"]);
    // SAFETY: setrlimit(2) is one system call, which is safe between fork and exec.
    unsafe { limited.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 200, 500)?)) };
    let line = error_line_of(limited);
    assert!(line.contains("RLIMIT_NOFILE") && line.contains("at most 420"), "{line}");
    let line = error_line_of(command("processes", &["--max-connections", "99999999"]));
    assert!(line.contains("--max-connections") && line.contains("at most"), "{line}");
}

fn errors_for_bad_values_name_the_flag() {
    for (flags, expected) in [
        (["--grace", "10"], "10s"),
        (["--threads", "none"], "number"),
        (["--threads", "18446744073709551615"], "at most 1024"),
        (["--backlog", "junk"], "number from 1"),
        (["--listen", "8080"], "ADDRESS:PORT"),
        (["--admin", ":9080"], "127.0.0.1:9080"),
        (["--lisen", "127.0.0.1:80"], "--listen"),
    ] {
        let line = error_line(&flags);
        assert!(line.contains(flags[0]) && line.contains(expected), "{line}");
    }
}

fn help_exits_with_success() {
    let output = command("plain", &["--help"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in ["--listen", "MAX_CONNECTIONS", "healthcheck"] {
        assert!(help.contains(flag), "{help}");
    }
}
