//! Tests of the load generator against servers that misbehave, each in its own way, on loopback.

mod common;

use common::{LIFETIME, OK, OK_CLOSE, SingleTarget, only, request, run, server, unchecked_server};
use loadtest::events::{Event, Observer};
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::{Cell, OutcomeClass, PerConnection, Plan, Results, Verdict};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Keeps a connection open until the client closes it.
fn hold(mut stream: &TcpStream) {
    while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
}

fn plan() -> Plan {
    Plan {
        targets: vec!["x".into()],
        concurrencies: vec![2],
        duration: Duration::from_secs(1),
        warmup: Duration::ZERO,
        // The time-outs are long, so that a busy machine does not turn one class into another.
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Plan::default()
    }
}

/// The classes of errors that occurred.
fn classes(cell: &Cell) -> BTreeMap<&str, u64> {
    let some = cell.outcomes.iter().filter(|&(class, count)| class.is_error() && count > 0);
    some.map(|(class, count)| (class.name(), count)).collect()
}

/// A plan with a short request time-out, for servers that do not answer at all.
fn impatient() -> Plan {
    Plan { timeout: Duration::from_millis(50), ..plan() }
}

#[track_caller]
fn fails_as(class: &str, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) {
    let plan = if class == "read_timeout" { impatient() } else { plan() };
    let cell = only(&plan, server(serve));
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&class], "{cell:?}");
    assert_eq!((cell.verdict, cell.outcomes[OutcomeClass::Ok]), (Verdict::Errors, 0));
    assert_eq!(cell.figures.latency_us.p50, None);
    assert!(cell.missing.contains_key("latency_us"));
}

#[test]
fn a_good_server_is_valid() {
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty());
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
    assert!(cell.figures.latency_us.mean.is_some());
    assert_eq!(cell.figures.server.cpu_us_per_request, None);
    assert!(cell.missing.contains_key("server"));
}

#[test]
fn an_error_status_is_counted_and_has_no_latency() {
    fails_as("status", |stream, _| {
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        while request(&stream).is_some() && (&stream).write_all(answer).is_ok() {}
    });
}

#[test]
fn silence_is_a_read_timeout() {
    fails_as("read_timeout", |stream, _| hold(&stream));
}

#[test]
fn a_head_that_trickles_is_a_read_timeout() {
    fails_as("read_timeout", |stream, _| {
        for byte in OK.iter().cycle() {
            if (&stream).write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn a_connection_closed_without_an_answer_is_closed() {
    fails_as("closed", |stream, _| drop(request(&stream)));
}

#[test]
fn a_content_length_that_is_too_large_is_closed() {
    fails_as("closed", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort");
    });
}

#[test]
fn a_content_length_that_is_too_small_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ntoo long");
        hold(&stream);
    });
}

#[test]
fn garbage_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"\0\x01\x02 what?\r\n\r\n");
        hold(&stream);
    });
}

#[test]
fn an_endless_head_is_a_protocol_error() {
    fails_as("protocol", |stream, _| {
        request(&stream);
        let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\n");
        while (&stream).write_all(&b"X-Again: and again\r\n".repeat(64)).is_ok() {}
    });
}

#[test]
fn a_reset_is_classified_as_reset() {
    fails_as("reset", |stream, _| {
        request(&stream);
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    });
}

/// The server answers the check, and has closed its listener when the load begins.
#[test]
fn a_target_without_a_listener_is_connect_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        drop(listener);
        request(&stream);
        let _ = (&stream).write_all(OK_CLOSE);
    });
    let cell = only(&plan(), address);
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"connect_refused"]);
    // Because of the back-off, two connections try no more than some dozens of times.
    assert!(cell.outcomes.total() < 100, "{}", cell.outcomes.total());
}

/// If a listener's backlog is full, further connections have to wait.
#[test]
fn a_full_backlog_is_connect_timeout() {
    use nix::sys::socket::{Backlog, listen};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (full, filled) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Fill the backlog before the check is answered, so that it is full when the load begins.
        let waiting: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(50))).collect();
        request(&stream);
        let _ = (&stream).write_all(OK_CLOSE);
        full.send((listener, waiting)).unwrap();
    });
    let limits = Plan { timeout: Duration::from_secs(2), connect_timeout: Duration::from_millis(100), ..plan() };
    let cell = only(&limits, address);
    assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"connect_timeout"]);
    drop(filled);
}

#[test]
fn a_target_that_stops_answering_has_the_verdict_errors() {
    let answered = AtomicUsize::new(0);
    let plan = Plan { timeout: Duration::from_secs(2), ..plan() };
    let cell = only(
        &plan,
        server(move |stream, _| {
            while request(&stream).is_some() && answered.fetch_add(1, Relaxed) < 20 {
                (&stream).write_all(OK).unwrap();
            }
            hold(&stream);
        }),
    );
    assert!(
        cell.outcomes[OutcomeClass::Ok] > 0 && classes(&cell).is_empty(),
        "no request has waited for too long yet: {cell:?}"
    );
    assert_eq!(cell.verdict, Verdict::Errors);
    assert!(cell.reasons[0].contains("did not answer any more"), "{:?}", cell.reasons);
}

#[test]
fn each_connection_carries_exactly_n_requests() {
    for limit in [1, 3] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let address = server(move |stream, _| {
            let mut pattern = String::new();
            while let Some(text) = request(&stream) {
                let last = text.contains("Connection: close\r\n");
                pattern.push(if last { 'c' } else { 'k' });
                let answer = if last { OK_CLOSE } else { OK };
                if (&stream).write_all(answer).is_err() || last {
                    break;
                }
            }
            // A connection that the end of the window cuts short shows only part of the pattern.
            if pattern.ends_with('c') {
                log.lock().unwrap().push(pattern);
            }
        });
        let mode = PerConnection(NonZeroU32::new(limit));
        let cell = only(&Plan { requests_per_connection: vec![mode], ..plan() }, address);
        assert!(classes(&cell).is_empty(), "{cell:?}");
        let seen = seen.lock().unwrap();
        assert!(!seen.is_empty());
        let expected = "k".repeat(limit as usize - 1) + "c";
        let others: Vec<_> = seen.iter().filter(|pattern| **pattern != expected).collect();
        assert!(others.is_empty() || others == ["c"], "but for the check at the end: {others:?}");
    }
}

#[test]
fn a_connection_that_the_server_closes_between_requests_is_not_an_error() {
    let address = server(|stream, _| {
        for answer in [OK, OK, OK_CLOSE] {
            if request(&stream).is_none() || (&stream).write_all(answer).is_err() {
                return;
            }
        }
    });
    let cell = &until(20, &plan(), address).cells[0];
    assert!(classes(cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 6);
}

#[test]
fn large_chunked_answers_are_read_completely() {
    let address = unchecked_server(|stream, _| {
        let body = vec![b'x'; 3_000_000];
        while request(&stream).is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
            let whole = [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            if (&stream).write_all(&whole).is_err() {
                return;
            }
        }
    });
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
}

#[test]
fn large_answers_that_end_with_the_connection_are_read_completely() {
    let address = unchecked_server(|stream, _| {
        request(&stream);
        let _ =
            (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").and_then(|()| (&stream).write_all(&vec![b'x'; 8_000_000]));
    });
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
}

#[test]
fn a_target_that_only_redirects_is_told() {
    let address = server(|stream, _| {
        let answer = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n";
        while request(&stream).is_some() && (&stream).write_all(answer).is_ok() {}
    });
    let cell = &until(20, &plan(), address).cells[0];
    assert_eq!(cell.trials[0].redirections, BTreeMap::from([(301, cell.outcomes[OutcomeClass::Ok])]));
    assert!(cell.reasons.iter().any(|reason| reason.starts_with("all answers redirect (301)")), "{:?}", cell.reasons);
}

/// A server that can be ended, with all its connections, and started again at the same address.
struct Restartable {
    address: SocketAddr,
    /// Ends the server that runs.
    end: Option<(Arc<AtomicBool>, thread::JoinHandle<()>)>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    waited: usize,
}

impl Restartable {
    fn start(&mut self) {
        // The standard library sets SO_REUSEADDR, so connections in TIME_WAIT do not matter.
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let (ended, open) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.open));
        let is_over = Arc::clone(&ended);
        let accepts = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Relaxed) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                thread::spawn(move || while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
            }
        });
        self.end = Some((ended, accepts));
    }

    fn end(&mut self) {
        let Some((ended, accepts)) = self.end.take() else { return };
        ended.store(true, Relaxed);
        let _ = TcpStream::connect(self.address);
        accepts.join().unwrap();
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Ends the server in the first trial, and starts it again when the run waits for it, if `comes_back`.
struct EndsInFirstTrial<'a> {
    server: &'a mut Restartable,
    comes_back: bool,
    ended: bool,
}

impl Observer for EndsInFirstTrial<'_> {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Progress { answered, .. } if answered > 0 && !self.ended => {
                self.ended = true;
                self.server.end();
            }
            Event::WaitsForTarget { target } => {
                assert_eq!(target, "x");
                self.server.waited += 1;
                if self.comes_back {
                    self.server.start();
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_target_that_was_gone_and_came_back_is_told_and_its_other_cells_are_measured() {
    for comes_back in [true, false] {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut server = Restartable { address, end: None, open: Arc::default(), waited: 0 };
        server.start();
        let mut fleet = SingleTarget(server.address);
        let workloads = vec!["/".into(), "/b".into(), "/c".into()];
        let plan = Plan { workloads, duration: Duration::from_secs(3), trials: 1, seed: 1, ..plan() };
        let mut observer = EndsInFirstTrial { server: &mut server, comes_back, ended: false };
        let results = loadtest::run(&plan, &mut fleet, &mut observer, &AtomicBool::new(false)).unwrap();
        server.end();
        assert_eq!(server.waited, 1, "a target that does not come back is waited for once");
        let (gone, others): (Vec<_>, Vec<_>) =
            results.cells.iter().partition(|cell| cell.outcomes[OutcomeClass::ConnectRefused] > 0);
        assert_eq!((gone.len(), gone[0].verdict), (1, Verdict::Errors));
        let says = |words: &str| gone[0].reasons.iter().any(|reason| reason.contains(words));
        assert_eq!(says("was gone in a trial and came back"), comes_back, "{:?}", gone[0].reasons);
        assert_eq!(says("did not answer any more at the end"), !comes_back, "{:?}", gone[0].reasons);
        for cell in others {
            assert_eq!(cell.trials.len(), usize::from(comes_back), "{:?}", cell.reasons);
            assert_eq!(cell.verdict == Verdict::Errors, !comes_back, "{:?}", cell.reasons);
        }
    }
}

/// SingleTarget target is unsupported, the other one unreachable.
struct UnreadyTargets(AtomicUsize);

impl Fleet for UnreadyTargets {
    fn ready(&mut self, target: &str) -> Result<Endpoint, NotReady> {
        self.0.fetch_add(1, Relaxed);
        Err(match target {
            "no" => NotReady::Unsupported("seccomp".into()),
            _ => NotReady::Unreachable("it does not start".into()),
        })
    }
}

#[test]
fn targets_that_are_not_ready_have_a_verdict_and_are_not_tried_again() {
    let mut fleet = UnreadyTargets(AtomicUsize::new(0));
    let plan = Plan { targets: vec!["no".into(), "gone".into()], trials: 3, ..plan() };
    let results = run(&plan, &mut fleet);
    let verdict = |index: usize| (results.cells[index].verdict, results.cells[index].reasons[0].as_str());
    assert_eq!(verdict(0), (Verdict::Unsupported, "seccomp"));
    assert_eq!(verdict(1), (Verdict::Errors, "unreachable: it does not start"));
    assert_eq!(fleet.0.load(Relaxed), 2);
    assert_eq!(results.cells[0].figures.throughput, None);
    assert_eq!(results.cells[0].missing["throughput"], "seccomp");
}

/// Sets the stop flag after this number of answers.
struct StopAfterAnswers<'a>(&'a AtomicBool, u64);

impl Observer for StopAfterAnswers<'_> {
    fn on(&mut self, event: Event<'_>) {
        if matches!(event, Event::Progress { answered, .. } if answered >= self.1) {
            self.0.store(true, Relaxed);
        }
    }
}

/// Runs the plan's only cell until there are this many answers, even if a busy machine takes long for them.
fn until(answers: u64, plan: &Plan, address: SocketAddr) -> Results {
    let stop = AtomicBool::new(false);
    let plan = Plan { duration: LIFETIME, ..plan.clone() };
    loadtest::run(&plan, &mut SingleTarget(address), &mut StopAfterAnswers(&stop, answers), &stop).unwrap()
}

#[test]
fn an_interrupted_run_reports_what_was_measured() {
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let results = until(1, &Plan { trials: 5, ..plan() }, address);
    assert!(results.interrupted);
    let cell = &results.cells[0];
    assert_eq!(cell.trials.len(), 1);
    assert!(cell.trials[0].aborted);
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
    assert!(cell.reasons.iter().any(|reason| reason.contains("interrupted")));
}

#[test]
fn results_survive_being_written_and_read_as_json() {
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let mut results = run(&plan(), &mut SingleTarget(address));
    let json = serde_json::to_string(&results).unwrap();
    // Slices have a file of their own.
    results.cells.iter_mut().flat_map(|cell| &mut cell.trials).for_each(|trial| trial.slices.clear());
    let again: Results = serde_json::from_str(&json).unwrap();
    assert_eq!(again, results);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["schema"], results::schema::SCHEMA);
    assert_eq!(value["cells"][0]["requests_per_connection"], "unlimited");
    assert_eq!(value["cells"][0]["schedule"], "closed");
    assert!(value["cells"][0]["server"]["cpu_us_per_request"].is_null());
    assert!(value["cells"][0]["throughput"]["low"].is_null());
    assert!(value["cells"][0]["trials"][0]["latency_histogram"].as_str().unwrap().starts_with("HIST"));
}

/// A pool of four threads, each of which serves one connection until that closes: sixty of 64 clients wait.
#[test]
fn a_pool_of_four_threads_under_64_clients_is_starved() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..4 {
        let listener = listener.try_clone().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                while let Some(text) = request(&stream) {
                    let last = text.contains("Connection: close\r\n");
                    if (&stream).write_all(if last { OK_CLOSE } else { OK }).is_err() || last {
                        break;
                    }
                }
            }
        });
    }
    // Even a slow machine reaches 10 answers per connection, below which starvation is not judged: four workers do far
    // more than 640.
    let cell = only(
        &Plan { concurrencies: vec![64], duration: Duration::from_secs(2), timeout: Duration::from_secs(5), ..plan() },
        address,
    );
    assert!(cell.outcomes[OutcomeClass::Ok] > 640, "{}", cell.outcomes[OutcomeClass::Ok]);
    let reason = &cell.reasons.iter().find(|reason| reason.contains("got no answer")).expect("it says so");
    assert!(reason.starts_with("60 of 64"), "{reason}");
    assert_eq!(cell.trials[0].unserved, Some(60));
    assert_eq!(cell.verdict, Verdict::Starved, "{:?}", cell.reasons);
}

/// A server that answers with the wrong content once in a while: each 1000th answer of a connection has one wrong byte.
#[test]
fn one_wrong_byte_in_a_thousand_answers_is_found() {
    let wrong = Arc::new(AtomicUsize::new(0));
    let sent = wrong.clone();
    let address = server(move |stream, _| {
        for n in 1.. {
            if request(&stream).is_none() {
                return;
            }
            let mut answer = OK.to_vec();
            if n % 1000 == 0 {
                *answer.last_mut().unwrap() ^= 1;
                sent.fetch_add(1, Relaxed);
            }
            if (&stream).write_all(&answer).is_err() {
                return;
            }
        }
    });
    let cell = &until(5_000, &plan(), address).cells[0];
    let (found, sent) = (cell.outcomes[OutcomeClass::Content], wrong.load(Relaxed) as u64);
    // The last answer of each connection may have come too late.
    assert!(found >= 2 && (found..=found + 2).contains(&sent), "{found} of {sent}");
    assert_eq!(classes(cell), BTreeMap::from([("content", found)]));
    assert_eq!(cell.trials[0].contents_checked, Some(cell.outcomes.answered()));
    assert_eq!(cell.verdict, Verdict::Errors);
    let told = |words: &str| cell.reasons.iter().any(|reason| reason.contains(words));
    assert!(told("requests ended as content"), "{:?}", cell.reasons);
    assert!(told("ended as content: byte 2 of 2 is 0x68 instead of 0x69"), "{:?}", cell.reasons);
}

/// A server whose answers are good at first; then `later` makes them of the number of requests before.
fn changes(later: fn(usize) -> String) -> SocketAddr {
    let answered = AtomicUsize::new(0);
    server(move |stream, _| {
        while request(&stream).is_some() {
            let answer = match answered.fetch_add(1, Relaxed) {
                0..10 => OK.to_vec(),
                number => {
                    let body = later(number);
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
                }
            };
            if (&stream).write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// An answer that changes with time is no error: the wrong answers differ from one another, and when the target is asked
/// again at the end, it answers with something else, too.
#[test]
fn answers_that_change_with_time_are_not_compared() {
    let cell = only(&plan(), changes(|number| format!("{:02}", number % 100)));
    assert!(classes(&cell).is_empty() && cell.outcomes[OutcomeClass::Ok] > 0, "{cell:?}");
    assert_eq!((cell.trials.len(), cell.trials[0].contents_checked), (1, None));
    let remark = "the trial was repeated without comparing what varies (the first answer that ended as content: byte ";
    assert!(cell.reasons.iter().any(|reason| reason.contains(remark)), "{:?}", cell.reasons);
}

/// A target that the load has spoilt for good gives one wrong answer, again and again, and when it is asked at the end.
#[test]
fn a_target_that_answers_wrongly_from_some_time_on_has_errors() {
    for wrong in [|_| "ho".to_owned(), |_| "hi and more".to_owned(), |_| String::new()] {
        let cell = only(&Plan { duration: Duration::from_millis(700), ..plan() }, changes(wrong));
        assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"content"]);
        assert_eq!(cell.verdict, Verdict::Errors);
        let repeated = cell.reasons.iter().any(|reason| reason.contains("was repeated"));
        assert!(!repeated, "{:?}", cell.reasons);
    }
}
