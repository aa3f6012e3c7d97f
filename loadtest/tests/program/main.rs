//! Tests of the program as its users call it: exit codes, messages, signals and files.

#[path = "../common/mod.rs"]
mod common;

mod guests;
mod outputs;
mod runs;
mod signals;
mod usage;

use common::program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::sync::{Arc, Mutex};
use std::thread;

fn loadtest(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// A server that answers one request a connection with `answer(path)`.
fn server(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..read]);
                let path = text.split(' ').nth(1).unwrap_or("");
                let _ = stream.write_all(answer(path).as_bytes());
            });
        }
    });
    address.to_string()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A server that keeps what it was sent, and answers when it has read a head and as many bytes of body as that says.
fn recording_server() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                    if !head.ends_with("\r\n\r\n") {
                        continue;
                    }
                    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                    reader.read_exact(&mut body).unwrap();
                    let end =
                        if body.iter().all(|&byte| byte == b'x') { format!("{} x", body.len()) } else { String::new() };
                    kept.lock().unwrap().insert(format!("{}{end}", std::mem::take(&mut head).replace("\r\n", "|")));
                    reader.get_mut().write_all(ok("hi").replace("Connection: close\r\n", "").as_bytes()).unwrap();
                }
            });
        }
    });
    (address, requests)
}

#[track_caller]
fn one_line(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(words), "{text}");
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn interrupt(child: &Child) {
    send(child, Signal::SIGINT);
}

/// An empty folder that only this test uses.
fn empty_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    folder
}
