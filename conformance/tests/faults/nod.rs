//! The store: every nod that was acknowledged is saved, exactly once; and a request that waits for the store does not
//! delay another one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use nix::sys::signal::{Signal, kill};
use rusqlite::Connection;

use crate::client::{Client, get};
use crate::service::{SetOnDrop, command, ready, spawn, start, wait_for};

const CLIENTS: usize = 64;

pub fn is_saved_exactly_once(model: &'static str) {
    const EACH: usize = 20;
    let file = store(model, "exactly-once");
    let Some(service) = start(model, &["--store", text(&file)]) else { return };
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            scope.spawn(move || {
                let mut client = Client::connect(service.listen).expect("a connection");
                for nth in 0..EACH {
                    let status = post(&mut client, &format!("{n}-{nth}")).expect("an answer");
                    assert_eq!(status, 303);
                }
            });
        }
    });
    service.stopped();
    let sent = (0..CLIENTS).flat_map(|n| (0..EACH).map(move |nth| format!("{n}-{nth}")));
    assert_eq!(saved(&file), sent.collect());
}

/// Each nod has its own text, so a text that is in the store twice was saved twice. The store keeps the latest 4000 nods, so
/// at most the latest 3000 acknowledged ones are looked for, after each kill.
pub fn survives_kills(model: &'static str) {
    const KILLS: usize = 3;
    const LOOKED_FOR: usize = 3000;
    let file = store(model, "kills");
    let Some(service) = start(model, &["--store", text(&file)]) else { return };
    let acknowledged = Mutex::new(Vec::new());
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let answers = || acknowledged.lock().expect("no panic").len();
    let look = || {
        let all = acknowledged.lock().expect("no panic").clone();
        let (saved, latest) = (saved(&file), &all[all.len().saturating_sub(LOOKED_FOR)..]);
        let lost: Vec<&String> = latest.iter().filter(|&nod| !saved.contains(nod)).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), latest.len());
    };
    let load = |server: SocketAddr| {
        while !over.load(SeqCst) {
            let mut client = Client::connect(server).expect("the listener outlives its model");
            while !over.load(SeqCst) {
                let nod = next.fetch_add(1, SeqCst).to_string();
                match post(&mut client, &nod) {
                    Ok(503) => continue, // it waited too long for the lock of the store
                    Ok(status) => assert_eq!(status, 303),
                    Err(_) => break, // the model was killed; this nod may be saved or not
                }
                acknowledged.lock().expect("no panic").push(nod);
            }
        }
    };
    thread::scope(|scope| {
        let _end = SetOnDrop(&over);
        (0..CLIENTS).for_each(|_| drop(scope.spawn(|| load(service.listen))));
        for kills in 0..=KILLS {
            let before = answers();
            wait_for("load", || answers() > before + 300);
            if kills < KILLS {
                kill(service.model_pid().expect("a model"), Signal::SIGKILL).expect("it lives");
                wait_for("a new process", || service.metric("server_restarts_total") == kills as f64 + 1.0);
                look();
            }
        }
    });
    service.stopped();
    look();
    println!("{model}: {} nods acknowledged", answers());
}

/// More calls wait for the lock than there are helper threads, and there is one event loop.
pub fn a_lock_does_not_delay_other_requests(model: &'static str) {
    let file = store(model, "lock");
    let Some(service) = start(model, &["--threads", "1", "--store", text(&file)]) else { return };
    let lock = Connection::open(&file).expect("the store");
    lock.execute_batch("BEGIN IMMEDIATE").expect("no other connection writes");
    let mut waiting: Vec<_> = (0..8).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    for (n, client) in waiting.iter_mut().enumerate() {
        client.send(&request(&n.to_string())).expect("it is open");
    }
    let mut other = Client::connect(service.listen).expect("a connection");
    for _ in 0..20 {
        assert_eq!(other.get("/").expect("an answer").status, 200);
        assert_eq!(get(service.listen, "/").expect("an answer").status, 200);
    }
    assert!(!waiting.iter().any(Client::is_readable), "a nod was answered although the store was locked");
    lock.execute_batch("COMMIT").expect("the lock is ours");
    for client in &mut waiting {
        assert_eq!(client.answer().expect("an answer").status, 303);
    }
    service.stopped();
    assert_eq!(saved(&file), (0..8).map(|n| n.to_string()).collect());
}

/// Without `--store` the service makes a temporary store. It outlives the model's process, and the service deletes it.
pub fn a_temporary_store_goes_with_the_service(model: &'static str) {
    let temporary = folder(model, "temporary");
    let mut command = command(model, &[]);
    command.env("TMPDIR", &temporary);
    let Some(service) = ready(spawn(model, command)) else { return };
    let mut client = Client::connect(service.listen).expect("a connection");
    assert_eq!(post(&mut client, "a").expect("an answer"), 303);
    kill(service.model_pid().expect("a model"), Signal::SIGKILL).expect("it lives");
    wait_for("a new process", || service.metric("server_restarts_total") == 1.0);
    assert_eq!(get(service.listen, "/nods").expect("an answer").body, b"alice: a\n");
    assert_eq!(fs::read_dir(&temporary).expect("a folder").count(), 1);
    service.stopped();
    assert_eq!(fs::read_dir(&temporary).expect("a folder").count(), 0);
}

/// A request that saves a nod of alice.
pub fn request(nod: &str) -> Vec<u8> {
    let form = format!("nod={nod}");
    let fields = "Cookie: account=alice\r\nContent-Type: application/x-www-form-urlencoded";
    format!("POST /nod HTTP/1.1\r\nHost: a\r\n{fields}\r\nContent-Length: {}\r\n\r\n{form}", form.len()).into_bytes()
}

/// Sends a nod; gives the status of the answer.
fn post(client: &mut Client, nod: &str) -> io::Result<u16> {
    client.send(&request(nod))?;
    Ok(client.answer()?.status)
}

/// The texts that were saved. Asserts that none was saved twice.
fn saved(file: &Path) -> BTreeSet<String> {
    let store = Connection::open(file).expect("the store");
    let mut nods = store.prepare("SELECT text FROM nod").expect("its table");
    let nods = nods.query_map([], |row| row.get(0)).expect("rows");
    let mut saved = BTreeSet::new();
    for nod in nods {
        let nod: String = nod.expect("a nod");
        assert!(saved.insert(nod.clone()), "{nod} was saved twice");
    }
    saved
}

/// A new file for the store.
pub fn store(model: &str, test: &str) -> PathBuf {
    folder(model, test).join("nods.db")
}

fn folder(model: &str, test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{model}-nods-{test}"));
    let _ = fs::remove_dir_all(&folder); // what an earlier run has left
    fs::create_dir(&folder).expect("a place for the store");
    folder
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
