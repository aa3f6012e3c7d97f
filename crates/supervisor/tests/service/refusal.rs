//! What cannot be is said in one line, with exit code 2.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;

use nix::sys::resource::{Resource, setrlimit};

use crate::running::command;

crate::tests![
    a_port_in_use_is_named_with_its_flag,
    an_unknown_address_is_named_with_its_flag,
    a_missing_directory_is_named,
    a_store_that_is_none_is_named,
    a_limit_that_is_too_low_is_named,
    bad_values_are_named,
    help_is_no_error,
];

/// The line that the service ends with.
fn refused(flags: &[&str]) -> String {
    line_of(command("plain", flags))
}

fn line_of(mut command: std::process::Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
    said
}

fn a_port_in_use_is_named_with_its_flag() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let line = refused(&[flag, &taken]);
        assert!(line.contains(&taken) && line.contains(flag) && line.contains("in use"), "{line}");
    }
    drop(holder);
}

fn an_unknown_address_is_named_with_its_flag() {
    let line = refused(&["--admin", "192.0.2.1:9080"]); // RFC 5737: an address for documents
    assert!(line.contains("192.0.2.1:9080") && line.contains("--admin"), "{line}");
}

fn a_missing_directory_is_named() {
    let line = refused(&["--files", "/nowhere/at/all"]);
    assert!(line.contains("/nowhere/at/all") && line.contains("no such directory"), "{line}");
    let line = refused(&["--files", "/proc/version"]);
    assert!(line.contains("not a directory"), "{line}");
}

fn a_store_that_is_none_is_named() {
    for (file, why) in
        [("/nowhere/at/all.db", "unable to open"), ("/proc/version", "database"), ("/", "unable to open")]
    {
        let line = refused(&["--store", file]);
        assert!(line.contains(&format!("--store {file}: ")) && line.contains(why), "{line}");
    }
}

fn a_limit_that_is_too_low_is_named() {
    let mut limited = command("plain", &["--max-connections", "1000", "--threads", "1"]);
    // SAFETY: setrlimit(2) is one system call.
    unsafe { limited.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 200, 500)?)) };
    let line = line_of(limited);
    assert!(line.contains("RLIMIT_NOFILE") && line.contains("at most 420"), "{line}");
    let line = line_of(command("processes", &["--max-connections", "99999999"]));
    assert!(line.contains("--max-connections") && line.contains("at most"), "{line}");
}

fn bad_values_are_named() {
    for (flags, says) in [
        (["--grace", "10"], "10s"),
        (["--threads", "none"], "number"),
        (["--listen", "8080"], "ADDRESS:PORT"),
        (["--lisen", "127.0.0.1:80"], "--listen"),
    ] {
        let line = refused(&flags);
        assert!(line.contains(flags[0]) && line.contains(says), "{line}");
    }
}

fn help_is_no_error() {
    let output = command("plain", &["--help"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in ["--listen", "MAX_CONNECTIONS", "healthcheck"] {
        assert!(help.contains(flag), "{help}");
    }
}
