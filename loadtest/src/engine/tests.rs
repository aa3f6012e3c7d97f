//! Tests of whole trials against a server on loopback.

use super::*;
use results::content::Content;
use results::{Arrivals, BackgroundLoad, OutcomeClass};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(10);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server that serves each connection on a thread of its own, which ends with the connection or with the tests.
fn serve(connection: fn(&mut TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || connection(&mut stream));
        }
    });
    address
}

/// A server that answers each read with a complete answer.
fn server() -> SocketAddr {
    serve(|stream| {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) && stream.write_all(ANSWER).is_ok() {}
    })
}

/// A load of four connections on two threads, for 0.7 s.
fn load(target: SocketAddr, script: &Script, schedule: Schedule) -> Load<'_> {
    Load {
        target,
        script,
        schedule,
        arrivals: Arrivals::Even,
        seed: 1,
        concurrency: 4,
        background: BackgroundLoad::default(),
        authority: "x",
        busy: script,
        slow_reader: script,
        threads: 2,
        cpus: &[],
        warmup: Duration::from_millis(50),
        duration: Duration::from_millis(700),
        shortest_timeout: TIMEOUT,
    }
}

fn measure(schedule: Schedule, change: impl FnOnce(&mut Load<'_>), observer: &mut dyn TrialObserver) -> Measurement {
    let script = Script::new("x", "/", &Content::default(), None, TIMEOUT, TIMEOUT);
    let script = if schedule == Schedule::Closed { script } else { script.open_loop() };
    let mut load = load(server(), &script, schedule);
    change(&mut load);
    trial(&load, (&AtomicBool::new(false)).into(), observer).unwrap().unwrap()
}

/// Waits in `window_ended` until a thousand further answers have come.
#[derive(Default)]
struct Patient {
    began: bool,
    ended: bool,
    further: u64,
}

impl TrialObserver for Patient {
    fn window_begins(&mut self, _: &dyn Fn() -> u64) {
        self.began = true;
    }

    fn tick(&mut self, _: Duration, _: u64, _: u64, _: &dyn Fn() -> LiveSnapshot) {}

    fn window_ended(&mut self, answered: &dyn Fn() -> u64) {
        self.ended = true;
        let (began, before) = (Instant::now(), answered());
        while self.further < 1_000 && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(1));
            self.further = answered() - before;
        }
    }
}

#[test]
fn the_load_goes_on_while_the_end_of_the_window_is_looked_at() {
    for schedule in [Schedule::Closed, Schedule::Rate(5_000.0)] {
        let mut patient = Patient::default();
        let measured = measure(schedule, |_| {}, &mut patient);
        assert!(patient.began && patient.ended && patient.further >= 1_000, "{schedule}: {}", patient.further);
        // What came after the window is not part of it: a closed loop aborts one request a connection.
        let mut recorder = Recorder::default();
        measured.threads.iter().for_each(|thread| recorder.add(&thread.recorder));
        let aborted = recorder.outcomes[OutcomeClass::AbortedAtEnd];
        assert_eq!(aborted, if schedule == Schedule::Closed { 4 } else { 0 });
        assert_eq!(recorder.outcomes.total() - aborted, recorder.outcomes[OutcomeClass::Ok]);
        if schedule != Schedule::Closed {
            // Each thread has 1750 requests that are due in its window, if it begins when it was decided to.
            assert!(recorder.outcomes.total() <= 3_502, "{}", recorder.outcomes.total());
            assert_eq!(recorder.latency.len(), recorder.service_time.len());
        }
    }
}

#[test]
fn without_a_warm_up_the_window_begins_with_the_load() {
    for schedule in [Schedule::Closed, Schedule::Rate(1_000.0)] {
        let none = |load: &mut Load<'_>| (load.warmup, load.concurrency) = (Duration::ZERO, 1);
        let measured = measure(schedule, none, &mut Patient::default());
        assert_eq!((measured.warmup, measured.threads.len()), (Duration::ZERO, 1));
        assert!(measured.threads[0].recorder.outcomes[OutcomeClass::Ok] > 0);
    }
}

/// The number of requests due in the window is what the seed makes it, not the rate times the window.
#[test]
fn the_offered_rate_of_poisson_arrivals_is_that_of_the_requests_that_were_due() {
    let poisson = |seed| {
        move |load: &mut Load<'_>| {
            // The window of a ramp begins when it was planned to.
            (load.arrivals, load.seed) = (Arrivals::Poisson, seed);
            (load.warmup, load.threads) = (Duration::from_millis(100), 1);
        }
    };
    let schedule = Schedule::Ramp { from: 1_000.0, to: 1_000.0 };
    let times = IntendedTimes::new(schedule, Duration::from_millis(100), Duration::from_millis(700)).unwrap();
    for seed in [1, 2] {
        let mut pacer = pacer::Pacer::new(times, Arrivals::Poisson, seed, 0, (0, 1));
        pacer.give_up(100_000_000);
        let expected = pacer.give_up(800_000_000);
        let measured = measure(schedule, poisson(seed), &mut Patient::default());
        let thread = &measured.threads[0];
        // On a busy machine a thread may learn of its window a little late.
        let whole = thread.window == Duration::from_millis(700);
        assert!(thread.recorder.started <= expected && (!whole || thread.recorder.started == expected));
        let offered = thread.recorder.started as f64 / thread.window.as_secs_f64();
        assert!((measured.offered.unwrap() - offered).abs() < 1e-6);
        assert_eq!(thread.recorder.outcomes[OutcomeClass::Ok], thread.recorder.started);
    }
}

#[test]
fn an_interrupted_window_has_an_outcome_for_each_request_that_was_due() {
    /// Stops the trial when the window of each thread has begun: only then a connection of it is shown as established.
    struct Stopper<'a>(&'a AtomicBool, u64);
    impl TrialObserver for Stopper<'_> {
        fn window_begins(&mut self, _: &dyn Fn() -> u64) {}
        fn tick(&mut self, _: Duration, answered: u64, _: u64, live: &dyn Fn() -> LiveSnapshot) {
            if live().established == 4 && answered > 0 {
                self.0.store(true, Relaxed);
            }
        }
        fn window_ended(&mut self, answered: &dyn Fn() -> u64) {
            self.1 = answered();
        }
    }
    // The server reads the requests and never answers, apart from the first one of each connection.
    let target = serve(|stream| {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(ANSWER);
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let script = Script::new("x", "/", &Content::default(), None, TIMEOUT, TIMEOUT).open_loop();
    let stop = AtomicBool::new(false);
    let load = Load {
        arrivals: Arrivals::Poisson,
        duration: Duration::from_secs(100),
        ..load(target, &script, Schedule::Rate(1_000.0))
    };
    let mut stopper = Stopper(&stop, 0);
    let measured = trial(&load, (&stop).into(), &mut stopper).unwrap().unwrap();
    assert!(stopper.1 > 0);
    for thread in &measured.threads {
        assert!(thread.interrupted && thread.recorder.check().is_ok());
        assert_eq!(thread.recorder.outcomes.total(), thread.recorder.started);
    }
    assert_eq!(measured.trend, None);
}

/// Each answer takes longer than the warm-up and the window together, so none comes in the window to a request that was
/// due in it.
#[test]
fn an_open_loop_counts_the_answers_in_its_window_and_waits_for_those_to_its_requests() {
    let target = serve(|stream| {
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            thread::sleep(Duration::from_secs(2));
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    });
    let slow = |load: &mut Load<'_>| (load.target, load.concurrency) = (target, 300);
    let measured = measure(Schedule::Rate(100.0), slow, &mut Patient { further: 1_000, ..Patient::default() });
    for thread in &measured.threads {
        let recorder = &thread.recorder;
        // Two threads share 70 requests. On a busy machine a thread may learn of its window a little late.
        assert!((1..=36).contains(&recorder.started), "{}", recorder.started);
        assert_eq!(recorder.outcomes[OutcomeClass::Ok], recorder.started);
        assert!(recorder.latency.min() >= 1_990_000_000, "{}", recorder.latency.min());
        // Answers that come in the window are answers to requests of the warm-up.
        assert_eq!(thread.served.iter().map(|&answers| u64::from(answers)).sum::<u64>(), thread.answers);
        assert_eq!(thread.established, 150);
    }
}
