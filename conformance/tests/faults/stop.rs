//! SIGTERM: no request that was begun is lost, and a model with nothing to finish ends at once.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::client::{Client, last_request, request};
use crate::proc::{all_unread_bytes, children, halt, has_pending};
use crate::service::{PATIENCE, Service, start, wait_for};

/// The test looks for a race, so it runs more than once.
const ROUNDS: usize = 20;
/// How long a stop may take on a busy machine: less than the ten seconds after which the supervisor kills (`--grace`).
const SOON: Duration = Duration::from_secs(8);
/// A server that stops closes a connection that was idle for that long, even if a request is on its way.
const GRACE_TIME: Duration = Duration::from_secs(1);
/// On a busy machine, a client that was idle for that long may have sent its request too late for a server that stops.
const LATE: Duration = Duration::from_millis(200);

pub fn under_load_loses_nothing(model: &'static str) {
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let Some(service) = start(model, &[]) else { return };
        longest = longest.max(stop_under_load(service, round));
    }
    println!("{model}: stops under load within {longest:?}");
}

/// What the clients of a round share.
struct Load {
    server: SocketAddr,
    /// How many clients are in the middle of their requests.
    begun: AtomicUsize,
    stopping: AtomicBool,
}

/// How many requests were answered, or what was lost.
type Outcome = Result<usize, String>;

fn stop_under_load(service: Service, round: usize) -> Duration {
    let clients: Vec<fn(&Load) -> Outcome> = [
        (3, keep_alive as fn(&Load) -> Outcome),
        (3, one_request_a_connection),
        (3, asleep),
        (2, slow_download),
        (2, half_an_upload),
        (2, half_a_head),
    ]
    .into_iter()
    .flat_map(|(times, client)| std::iter::repeat_n(client, times))
    .collect();
    let load = Load { server: service.listen, begun: AtomicUsize::new(0), stopping: AtomicBool::new(false) };
    let (took, lost) = thread::scope(|scope| {
        let running: Vec<_> = clients.iter().map(|client| scope.spawn(|| client(&load))).collect();
        let is_over = || running.iter().any(|client| client.is_finished());
        wait_for("the load", || load.begun.load(SeqCst) == clients.len() || is_over());
        load.stopping.store(true, SeqCst);
        let took = service.stopped();
        (took, running.into_iter().filter_map(|client| client.join().expect("no panic").err()).collect::<Vec<_>>())
    });
    assert!(lost.is_empty(), "lost in round {round}: {lost:#?}");
    took
}

impl Load {
    /// Makes a connection; `None` once the server stops.
    fn connect(&self) -> Result<Option<Client>, String> {
        let begun = Instant::now();
        loop {
            let stopping = self.stopping.load(SeqCst);
            match Client::connect_within(self.server, Duration::from_millis(100)) {
                Ok(client) => return Ok(Some(client)),
                Err(error) => match error.kind() {
                    ErrorKind::ConnectionRefused | ErrorKind::TimedOut if stopping => return Ok(None),
                    ErrorKind::ConnectionRefused if self.stopping.load(SeqCst) => return Ok(None),
                    ErrorKind::TimedOut if begun.elapsed() < PATIENCE => {} // a busy machine, or a stop has begun
                    _ => return Err(format!("connecting: {error}")),
                },
            }
        }
    }

    /// Makes the only connection of a client that connects before SIGTERM.
    fn connected(&self) -> Result<Client, String> {
        self.connect()?.ok_or_else(|| "no connection".to_owned())
    }

    fn begun(&self) {
        self.begun.fetch_add(1, SeqCst);
    }
}

fn keep_alive(load: &Load) -> Outcome {
    let mut answers = 0;
    while let Some(mut client) = { load.connect()? } {
        let mut last = Instant::now();
        loop {
            let sent = client.send(&request("/"));
            let quiet = last.elapsed();
            last = Instant::now();
            match sent.and_then(|()| client.answer()) {
                Ok(answer) => {
                    answers += 1;
                    if answers == 10 {
                        load.begun();
                    }
                    if answer.close {
                        break;
                    }
                }
                Err(_) if quiet >= LATE && load.stopping.load(SeqCst) => break, // the client was late, not the server
                Err(error) => return Err(format!("keep-alive, {quiet:?} after the answer before: {error}")),
            }
        }
    }
    Ok(answers)
}

fn one_request_a_connection(load: &Load) -> Outcome {
    let mut answers = 0;
    loop {
        let begun = Instant::now();
        let Some(mut client) = load.connect()? else { return Ok(answers) };
        let sent = client.send(&last_request("/"));
        let quiet = begun.elapsed();
        match sent.and_then(|()| client.answer()) {
            Ok(_) => {
                answers += 1;
                if answers == 10 {
                    load.begun();
                }
            }
            Err(_) if quiet >= LATE && load.stopping.load(SeqCst) => {}
            Err(error) => return Err(format!("one request a connection, {quiet:?} after connecting: {error}")),
        }
    }
}

fn asleep(load: &Load) -> Outcome {
    let mut client = load.connected()?;
    let mut last = Instant::now();
    for answers in 1.. {
        let sent = client.send(&request("/sleep/300"));
        let quiet = last.elapsed();
        if answers == 1 {
            load.begun();
        }
        let answer = match sent.and_then(|()| client.answer()) {
            Ok(answer) => answer,
            Err(_) if quiet >= LATE && load.stopping.load(SeqCst) => return Ok(answers - 1),
            Err(error) => return Err(format!("asleep, {quiet:?} after the answer before: {error}")),
        };
        last = Instant::now();
        if answer.body != b"slept 300 ms\n" {
            return Err(format!("asleep: {answer:?}"));
        }
        if answer.close {
            return Ok(answers);
        }
    }
    Err("the server never closed the connection".to_owned())
}

fn slow_download(load: &Load) -> Outcome {
    let mut client = load.connected()?;
    let download = |client: &mut Client| -> io::Result<()> {
        client.send(&last_request("/files/10m"))?;
        let mut left = client.head()?.length;
        load.begun();
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let n = left.min(piece.len());
            client.read_exact(&mut piece[..n])?;
            left -= n;
            thread::sleep(Duration::from_millis(2)); // the client is slow on purpose
        }
        Ok(())
    };
    download(&mut client).map_err(|error| format!("a slow download: {error}")).map(|()| 1)
}

fn half_an_upload(load: &Load) -> Outcome {
    in_two_pieces(load, b"POST /counter HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234", b"56789")
}

fn half_a_head(load: &Load) -> Outcome {
    in_two_pieces(load, b"GET / HTTP/1.1\r\nHo", b"st: a\r\n\r\n")
}

/// Sends a request whose second half arrives when the server is stopping.
fn in_two_pieces(load: &Load, first: &[u8], second: &[u8]) -> Outcome {
    let mut client = load.connected()?;
    let sent = client.send(first);
    load.begun();
    wait_for("SIGTERM", || load.stopping.load(SeqCst));
    thread::sleep(Duration::from_millis(50)); // so that the stop is well under way
    let answer = sent.and_then(|()| client.send(second)).and_then(|()| client.answer());
    let answer = answer.map_err(|error| format!("{:?}: {error}", first.escape_ascii().to_string()))?;
    if answer.status == 200 { Ok(1) } else { Err(format!("{answer:?}")) }
}

/// Connections that were idle for a while bring a request just before SIGTERM.
pub fn answers_requests_sent_before_it(model: &'static str) {
    for _ in 0..3 {
        let Some(service) = start(model, &[]) else { return };
        let mut clients = idle_for(LATE, &service, 50);
        clients.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
        service.stopped();
        for mut client in clients {
            assert_eq!(client.answer().expect("an answer").status, 200);
        }
    }
}

/// Connections that were idle for longer than the grace time bring a request while the model is stopped (SIGSTOP). SIGTERM comes
/// before it, so a loop learns of the stop first; but the requests are in the receive buffers when the model runs again.
pub fn looks_once_more_at_idle_connections(model: &'static str) {
    let Some(service) = start(model, &[]) else { return };
    let mut clients = idle_for(GRACE_TIME, &service, 20);
    let pid = service.model_pid().expect("a model");
    let tree: Vec<_> = std::iter::once(pid).chain(children(pid)).collect();
    halt(&tree);
    service.signal(Signal::SIGTERM);
    wait_for("SIGTERM to be pending", || has_pending(pid, Signal::SIGTERM));
    clients.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
    // Each with bytes that are not read: a listener and a connection that is just closed have none.
    let arrived = || all_unread_bytes(service.listen).values().filter(|&&bytes| bytes > 0).count();
    wait_for("the requests to arrive", || arrived() == clients.len());
    tree.iter().for_each(|&pid| kill(pid, Signal::SIGCONT).expect("it lives"));
    for mut client in clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    let ended = service.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
}

pub fn serves_the_backlog(model: &'static str) {
    stop_with_a_backlog(model, &[], true);
    stop_with_a_backlog(model, &["--max-connections", "2"], false);
}

/// The model is stopped (SIGSTOP) while the clients connect, and has SIGTERM pending when it runs again. The clients
/// keep their connections open when they are answered, or close them.
fn stop_with_a_backlog(model: &'static str, flags: &[&str], clients_stay: bool) {
    let Some(service) = start(model, flags) else { return };
    let pid = service.model_pid().expect("a model");
    halt(&[pid]);
    let mut clients: Vec<_> =
        (0..50).map(|_| Client::connect(service.listen).expect("a place in the backlog")).collect();
    let (early, late) = clients.split_at_mut(25);
    early.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
    service.signal(Signal::SIGTERM);
    wait_for("the supervisor to stop", || service.admin_page("/healthz") == "stopping\n");
    late.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
    let begun = Instant::now();
    kill(pid, Signal::SIGCONT).expect("it lives");
    let mut staying = Vec::new();
    for mut client in clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
        staying.extend(clients_stay.then_some(client));
    }
    let ended = service.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

pub fn ends_an_idle_server_at_once(model: &'static str) {
    for connections in [0, 50] {
        // On a busy machine one stop may take longer, but hardly all five.
        let at_once = (0..5).any(|_| {
            let Some(service) = start(model, &[]) else { return true };
            let clients = idle_for(GRACE_TIME, &service, connections);
            let took = service.stopped();
            println!("{model}: stops within {took:?} with {connections} idle connections");
            for client in clients {
                assert_eq!(client.stream().peek(&mut [0]).expect("a clean end, no reset"), 0);
            }
            took < GRACE_TIME
        });
        assert!(at_once, "a stop with {connections} idle connections takes as long as the grace time of one");
    }
}

/// Opens connections that have had an answer, and were then idle for longer than that.
fn idle_for(time: Duration, service: &Service, connections: usize) -> Vec<Client> {
    let mut clients: Vec<_> =
        (0..connections).map(|_| Client::connect(service.listen).expect("a connection")).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }
    thread::sleep(time + Duration::from_millis(100));
    clients
}
