//! What the lab's containers rely on: targets that are not there yet, CPUs that are not there, and two output streams that
//! come to one terminal.

mod common;

use common::{OK_CLOSE, program, request};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket, socketpair,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Output, Stdio};
use std::thread;

fn loadtest(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// Answers one request a connection.
fn serve_on(listener: TcpListener) -> String {
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || request(&stream).map(|_| stream.write_all(OK_CLOSE)));
        }
    });
    address
}

fn server() -> String {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap())
}

/// A socket that has an address and refuses connections until it listens.
fn refusing() -> (OwnedFd, String) {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let address: SockaddrIn = getsockname(socket.as_raw_fd()).unwrap();
    (socket, address.to_string())
}

#[test]
fn a_target_that_does_not_answer_yet_is_waited_for() {
    let (socket, address) = refusing();
    let mut command = program();
    command.args(["--target", &format!("late=http://{address}"), "--wait", "5m", "-d", "700ms", "-c", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().unwrap(), "loadtest: waiting up to 5m for late");
    listen(&socket, Backlog::new(64).unwrap()).unwrap();
    serve_on(TcpListener::from(socket));
    assert_eq!(lines.filter(|line| line.contains("waiting")).count(), 0, "it says so once");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_target_that_never_answers_is_named_and_the_others_are_measured() {
    let (_socket, silent) = refusing();
    let targets = format!("here=http://{},silent=http://{silent}", server());
    let output = loadtest(&["--target", &targets, "--wait", "1ms", "-d", "700ms", "-c", "1"]);
    let (table, lines) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{lines}");
    assert!(lines.contains("silent does not answer / at ") && lines.contains("; the others are measured\n"), "{lines}");
    assert!(!lines.contains("?;"), "{lines}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{table}"));
    assert!(row("silent").ends_with("errors") && !row("here").ends_with("errors"), "{table}");

    let output = loadtest(&["--target", &format!("silent=http://{silent}"), "--wait", "1ms"]);
    assert_eq!(output.status.code(), Some(3), "none answers: {output:?}");
}

#[test]
fn every_line_is_written_at_once() {
    // Each read from this socket returns what one write(2) has sent.
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let target = format!("a=http://{}", server());
    let folder = std::env::temp_dir().join(format!("loadtest-lines-{}", std::process::id()));
    let mut command = program();
    command.args(["--target", &target, "-d", "700ms", "-c", "1", "--dashboard", "http://localhost:3000"]);
    command.arg("--results").arg(&folder).stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    drop(command); // it has the other end of the socket
    let (mut ours, mut buffer, mut all) = (File::from(ours), [0; 64 * 1024], String::new());
    while let read @ 1.. = ours.read(&mut buffer).unwrap() {
        let text = std::str::from_utf8(&buffer[..read]).unwrap();
        assert!(text.ends_with('\n'), "not a whole line: {text:?}");
        all += text;
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{all}");
    let last: Vec<&str> = all.lines().rev().take(2).collect();
    assert!(last[0].starts_with("Run ") && last[1].starts_with("report: "), "{all}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_load_runs_on_the_cpus_that_are_there() {
    let target = format!("a=http://{}", server());
    let output = loadtest(&["--target", &target, "-d", "700ms", "-c", "1", "--cpus", "1023"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--cpus: there is no CPU 1023 here to use: CPU "));
}
