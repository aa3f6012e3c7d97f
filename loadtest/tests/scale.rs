//! Tests twenty thousand connections from one process, for which one source address does not have enough ports in the
//! long run.

mod common;

use common::{OK, OK_CLOSE, mortal, program};
use loadtest::limits;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{Backlog, listen};
use results::{Results, Verdict};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

const ASKED: usize = 20_000;

/// The most connections that the limits of this machine allow, and the limit that applies.
fn room() -> (usize, String) {
    let (_, open_files) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let files = (open_files - limits::SPARE, format!("the limit of open files is {open_files}"));
    let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok();
    let number = |name| sysctl(name).and_then(|text| text.trim().parse::<u64>().ok());
    // Connection tracking, if enabled, includes loopback, and drops connections that do not fit into its table.
    let tracked = number("max").zip(number("count")).map(|(max, count)| {
        (max.saturating_sub(count + 1000), format!("nf_conntrack_max is {max}, of which {count} are in use"))
    });
    let (room, why) = tracked.into_iter().chain([files]).min().unwrap();
    (room as usize, why)
}

/// What the server has seen: the highest number of concurrent connections, and the source addresses.
#[derive(Default)]
struct Seen {
    most: usize,
    addresses: BTreeSet<IpAddr>,
}

/// Answers every request on every connection, for ever.
fn serve(listener: TcpListener, seen: &Mutex<Seen>) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX)).unwrap();
    let mut streams = HashMap::<u64, TcpStream>::new();
    let mut number = 0;
    let mut events = vec![EpollEvent::empty(); 1024];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE).unwrap();
        for event in &events[..count] {
            if event.data() == u64::MAX {
                let (stream, peer) = listener.accept().unwrap();
                epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number)).unwrap();
                streams.insert(number, stream);
                number += 1;
                let mut seen = seen.lock().unwrap();
                seen.addresses.insert(peer.ip());
                seen.most = seen.most.max(streams.len());
                continue;
            }
            let mut stream = &streams[&event.data()];
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).unwrap_or(0);
            let close = String::from_utf8_lossy(&buffer[..read]).contains("Connection: close");
            // The socket accepts such a small answer at once.
            let over = read == 0 || stream.write_all(if close { OK_CLOSE } else { OK }).is_err();
            if over || close {
                streams.remove(&event.data());
            }
        }
    }
}

#[test]
fn one_process_holds_twenty_thousand_connections() {
    let (room, why) = room();
    let connections = ASKED.min(room);
    if connections < ASKED {
        println!("not {ASKED} but {connections} connections: {why}");
    }
    if connections < 1_000 {
        return println!("skipped: {why}");
    }
    // The server has the same limit, and needs the same spare descriptors.
    limits::make_room(connections).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, Backlog::MAXCONN).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let seen_by_server = seen.clone();
    thread::spawn(move || serve(listener, &seen_by_server));
    let file = std::env::temp_dir().join(format!("loadtest-scale-{}.json", std::process::id()));
    let mut command = program();
    command.args(["--target", &format!("x=http://{address}"), "-c", &connections.to_string()]);
    command.args(["-R", "2000", "-d", "1s", "-q", "--json"]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let results: Results = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    let (cell, trial) = (&results.cells[0], &results.cells[0].trials[0]);
    assert_eq!(trial.figures.client.established, Some(connections as f64), "{:?}", cell.reasons);
    assert_eq!(trial.local_failures, 0);
    assert_ne!(cell.verdict, Verdict::Errors, "{:?}", cell.reasons);
    let seen = seen.lock().unwrap();
    assert!(seen.most >= connections, "{}", seen.most);
    assert!(seen.addresses.len() > 1 || connections <= 10_000, "{:?}", seen.addresses);
}

/// The program runs under a limit of its own, as a shell's `ulimit -n` sets it.
#[test]
fn too_many_connections_for_the_limit_are_refused_with_advice() {
    let mut command = mortal(Command::new("sh"));
    let program = env!("CARGO_BIN_EXE_loadtest");
    command.args(["-c", &format!("ulimit -n 200; exec {program} --target x=http://127.0.0.1:1 -c 1000")]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("1000 connections need 1064 open files, and the limit is 200"), "{text}");
}
