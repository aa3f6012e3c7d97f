//! Signals at each moment: before a run, in it, after it.

use crate::common::{mortal, program};
use crate::{empty_folder, interrupt, ok, send, server};
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn a_signal_before_anything_was_measured_ends_the_program_at_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // It takes connections, and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("a=http://{}", silent.local_addr().unwrap());
        let mut child = program().args(["--target", &target, "--timeout", "1h"]).spawn().unwrap();
        let _connection = silent.accept().unwrap();
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
    }
}

#[test]
fn an_interrupt_ends_the_run_soon_and_exits_with_130() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = program();
    command.args(["--target", &target, "-d", "1h", "-c", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The signal handler is in place before the first trial is announced.
    assert!(
        lines.map_while(Result::ok).any(|line| line.starts_with("block 1 of 1: ")),
        "it ended before its first trial"
    );
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8(output.stdout).unwrap().contains("interrupted"));
}

#[test]
fn a_signal_while_files_are_written_hides_no_failure() {
    let folder = empty_folder("signal-at-end");
    let pipe = folder.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = program();
    command.args(["--target", &target, "-d", "700ms", "-c", "1", "--csv", "/dev/full", "--json"]).arg(&pipe);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut table = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(table.any(|line| line.contains("verdict")));
    interrupt(&child); // the run is over, and the program waits for a reader of the pipe, now or soon
    let read = mortal(Command::new("cat")).arg(&pipe).output().unwrap();
    let results: results::Results = serde_json::from_slice(&read.stdout).unwrap();
    assert!(!results.interrupted);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("--csv /dev/full"), "{errors}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_signal_ends_the_wait_for_a_silent_prometheus() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let write = format!("http://{}", silent.local_addr().unwrap());
    let mut command = program();
    command.args(["--target", &target, "-d", "700ms", "-c", "1", "--remote-write", &write]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The table is printed at the end of the run.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("target")));
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_signal_ends_the_commands_that_read_results() {
    let fifo = std::env::temp_dir().join(format!("loadtest-fifo-{}", std::process::id()));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo_name = fifo.to_str().unwrap();
    for arguments in [&["show", fifo_name][..], &["merge", fifo_name, fifo_name], &["compare", fifo_name, fifo_name]] {
        let mut child = program().args(arguments).spawn().unwrap();
        // The other end can be opened as soon as the program reads.
        let _writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        send(&child, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}");
    }
    std::fs::remove_file(fifo).unwrap();
}

#[test]
fn nohup_keeps_a_hangup_from_ending_the_run() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let mut command = mortal(std::process::Command::new("nohup"));
    command.args([env!("CARGO_BIN_EXE_loadtest"), "--target", &target, "-d", "1h", "-c", "1"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("block 1 of 1: ")));
    let pid = child.id();
    send(&child, Signal::SIGHUP);
    // The kernel has it in the mask of ignored signals: bit 0 is signal 1. proc_pid_status(5)
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1);
    interrupt(&child);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}
