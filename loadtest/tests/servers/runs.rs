//! Runs over targets that go away, are not ready or do not serve all connections, and runs that are interrupted.

use crate::common::{OK, OK_CLOSE, SingleTarget, only, request, run, server};
use crate::{plan, until};
use loadtest::events::{Event, Observer};
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::{Load, OutcomeClass, Plan, Results, Verdict};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

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
        let load = |workload: &str| Load { workload: workload.into(), concurrency: 2, ..Load::default() };
        let loads = ["/", "/b", "/c"].map(load).to_vec();
        let plan = Plan { loads, duration: Duration::from_secs(3), trials: 1, seed: 1, ..plan() };
        let mut observer = EndsInFirstTrial { server: &mut server, comes_back, ended: false };
        let results = loadtest::run(&plan, Instant::now(), &mut fleet, &mut observer, &AtomicBool::new(false)).unwrap();
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
    fn ready(&mut self, target: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
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
        &Plan {
            loads: vec![Load { concurrency: 64, ..Load::default() }],
            duration: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            ..plan()
        },
        address,
    );
    assert!(cell.outcomes[OutcomeClass::Ok] > 640, "{}", cell.outcomes[OutcomeClass::Ok]);
    let reason = &cell.reasons.iter().find(|reason| reason.contains("got no answer")).expect("it says so");
    assert!(reason.starts_with("60 of 64"), "{reason}");
    assert_eq!(cell.trials[0].unserved, Some(60));
    assert_eq!(cell.verdict, Verdict::Starved, "{:?}", cell.reasons);
}
