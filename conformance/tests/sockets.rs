//! Plays every transcript over sockets to a minimal server: a thread for each connection, and blocking calls.

mod common;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use app::App;
use conformance::socket::run_over_socket;
use conformance::{Cut, Transcript, table};
use http1::{Conn, Want};

fn server() -> &'static (SocketAddr, PathBuf) {
    static SERVER: OnceLock<(SocketAddr, PathBuf)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let files = common::files("sockets");
        let app = common::app(&files);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                thread::spawn(move || serve(stream.unwrap(), app));
            }
        });
        (address, files)
    })
}

fn serve(mut stream: TcpStream, app: App) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    stream.set_nodelay(true)?;
    let mut conn: Conn<App> = app.connect(Instant::now());
    loop {
        let time = conn.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if time.is_some_and(|time| time.is_zero()) {
            conn.expired(Instant::now());
            continue;
        }
        let moved = match conn.want() {
            Want::Read => {
                stream.set_read_timeout(time)?;
                stream.read(&mut buffer).map(|n| conn.received(&buffer[..n], Instant::now()))
            }
            Want::Write { bytes, .. } => {
                stream.set_write_timeout(time)?;
                stream.write(bytes).map(|n| conn.sent(n, Instant::now()))
            }
            Want::SendFile(piece) => {
                let len = buffer.len().min(piece.len as usize);
                let n = piece.file.read_at(&mut buffer[..len], piece.offset)?;
                stream.set_write_timeout(time)?;
                stream.write(&buffer[..n]).map(|n| conn.sent(n, Instant::now()))
            }
            Want::Sleep(until) => {
                thread::sleep(until - Instant::now());
                conn.woke(Instant::now());
                Ok(())
            }
            Want::Block(job) => {
                let reply = job.run();
                conn.done(reply, Instant::now());
                Ok(())
            }
            Want::Shut => {
                stream.shutdown(Shutdown::Write)?;
                conn.shut(Instant::now());
                Ok(())
            }
            Want::Pending | Want::Close => return Ok(()),
        };
        match moved {
            Err(e) if e.kind() == ErrorKind::WouldBlock => conn.expired(Instant::now()),
            other => other?,
        }
    }
}

#[track_caller]
fn run(transcripts: &[(&Transcript, Cut)]) {
    let (address, files) = server();
    let failures = run_over_socket(*address, transcripts, files);
    assert!(failures.is_empty(), "{} failed:\n{}\n", failures.len(), failures.join("\n"));
}

#[test]
fn transcripts_pass_whole() {
    run(&table().iter().filter(|t| !t.takes_time()).map(|t| (t, Cut::Whole)).collect::<Vec<_>>());
}

#[test]
fn transcripts_pass_split_at_every_byte() {
    let table = table();
    let short = table.iter().filter(|t| !t.takes_time() && t.is_short());
    run(&short.flat_map(|t| t.cuts().map(move |cut| (t, cut))).collect::<Vec<_>>());
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let (address, files) = server();
    let table = table();
    let mut wrong = table.iter().find(|t| t.name == "a GET is answered").unwrap().clone();
    wrong.replies[0].status = 201;
    assert_eq!(run_over_socket(*address, &[(&wrong, Cut::Whole)], files).len(), 1);
    wrong.replies[0].status = 200;
    wrong.replies.push(wrong.replies[0].clone());
    assert_eq!(run_over_socket(*address, &[(&wrong, Cut::Whole)], files).len(), 1);
    wrong.replies.clear();
    assert_eq!(run_over_socket(*address, &[(&wrong, Cut::At(5))], files).len(), 1);
}
