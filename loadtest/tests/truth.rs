//! Tests of the measured times and counts against servers whose behaviour is known exactly, on loopback.
//!
//! A busy machine can only make a time longer. So lower bounds are exact, and upper bounds leave room.

mod common;

use common::{LIFETIME, OK, SingleTarget, only, program, request, server};
use hdrhistogram::Histogram;
use loadtest::events::{Event, Observer};
use results::slices::SLICES;
use results::{BackgroundLoad, Cell, Load, OutcomeClass, OutcomeCounts, PerConnection, Plan, Schedule, Verdict};
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// These tests measure times, so only one of them runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps, and spins through the last part, so that it takes exactly this long unless the machine interferes.
fn sleep_exactly(time: Duration) {
    let began = Instant::now();
    thread::sleep(time.saturating_sub(Duration::from_micros(300)));
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// When a request had arrived, and when its answer was about to be sent, by the server's clock, which is also the
/// generator's.
type ServerTimes = (Instant, Instant);

/// Starts a server that does `work` for each request and then answers. It records the times of the trial's first
/// connection.
fn recording_server(work: impl Fn() + Send + Sync + 'static) -> (SocketAddr, mpsc::Receiver<Vec<ServerTimes>>) {
    let (ended, records) = mpsc::channel();
    let address = server(move |stream, number| {
        let mut record = Vec::new();
        while request(&stream).is_some() {
            let came = Instant::now();
            work();
            record.push((came, Instant::now()));
            if (&stream).write_all(OK).is_err() {
                break;
            }
        }
        if number == 1 {
            ended.send(record).unwrap();
        }
    });
    (address, records)
}

/// Checks each measured time from a request's sending to its answer, in a cell of one connection, against the server's
/// record. No time may be shorter than the server took, and none may be longer than the server's own record leaves room
/// for.
///
/// A request was sent after the previous answer had left the server, and before the request arrived there. Its answer
/// arrived after it had left the server, and before the next request arrived there. This holds however busy the machine
/// is, and the bounds are tight if it is not busy.
///
/// The measured requests are successive ones of the record: warm-up comes before them, and the load goes on after them.
fn assert_agrees(cell: &Cell, histogram: &str, record: &[ServerTimes]) {
    let nanos = |from: Instant, to: Instant| (to - from).as_nanos() as u64;
    let histogram = decode(histogram);
    let reported: Vec<u64> = histogram
        .iter_recorded()
        .flat_map(|step| std::iter::repeat_n(step.value_iterated_to(), step.count_at_value() as usize))
        .collect();
    assert!(!reported.is_empty());
    assert_eq!(reported.len() as u64, cell.outcomes[OutcomeClass::Ok]);
    let next = |n: usize| match (n.checked_sub(1), record.get(n + 1)) {
        (Some(before), Some(&(came, _))) => nanos(record[before].1, came),
        _ => u64::MAX,
    };
    let sorted = |mut times: Vec<u64>| {
        times.sort_unstable();
        times
    };
    let disagreement = |first: usize| {
        let measured = first..first + reported.len();
        let shortest = sorted(record[measured.clone()].iter().map(|&(came, left)| nanos(came, left)).collect());
        let longest = sorted(measured.map(next).collect());
        let bounds = shortest.into_iter().zip(longest);
        // The histogram resolves a time to a thousandth of it.
        bounds.zip(&reported).position(|((shortest, longest), &reported)| {
            histogram.highest_equivalent(reported) < shortest || histogram.lowest_equivalent(reported) > longest
        })
    };
    let disagreements: Vec<Option<usize>> = (0..=record.len() - reported.len()).map(disagreement).collect();
    assert!(disagreements.contains(&None), "{disagreements:?} of {}", reported.len());
}

/// The plan with this background.
fn beside(background: BackgroundLoad, mut plan: Plan) -> Plan {
    plan.loads.iter_mut().for_each(|load| load.background = background.clone());
    plan
}

fn plan(schedule: Schedule, connections: usize, millis: u64) -> Plan {
    Plan {
        targets: vec!["x".into()],
        loads: vec![Load { schedule, concurrency: connections, ..Load::default() }],
        duration: Duration::from_millis(millis),
        warmup: Duration::from_millis(50),
        ..Plan::default()
    }
}

/// A percentile of a trial's latency histogram in milliseconds.
fn latency(cell: &Cell, quantile: f64) -> f64 {
    quantile_of(&cell.trials[0].latency_histogram, quantile)
}

fn decode(histogram: &str) -> Histogram<u64> {
    results::histogram::decode(histogram).expect("a histogram")
}

fn quantile_of(histogram: &str, quantile: f64) -> f64 {
    decode(histogram).value_at_quantile(quantile) as f64 / 1e6
}

/// In virtual time, a test of the client shows that 10 ms are reported as 10 ms ± 1 % at every percentile. Here the
/// machine has an influence, so each time is compared with what the server itself recorded.
#[test]
fn a_delay_of_ten_milliseconds_agrees_with_the_servers_record() {
    let _alone = alone();
    for schedule in [Schedule::Closed, Schedule::Rate(50.0), Schedule::Rate(200.0)] {
        let (address, records) = recording_server(|| sleep_exactly(Duration::from_millis(10)));
        let cell = only(&plan(schedule, 1, 2000), address);
        let histogram = match schedule {
            Schedule::Closed => &cell.trials[0].latency_histogram,
            _ => &cell.trials[0].service_time_histogram,
        };
        assert_agrees(&cell, histogram, &records.recv_timeout(LIFETIME).unwrap());
        assert!(latency(&cell, 0.0) >= 10.0, "{schedule}: {}", latency(&cell, 0.0));
    }
}

#[test]
fn two_different_delays_agree_with_the_servers_record() {
    let _alone = alone();
    let number = AtomicU64::new(0);
    // Every fourth request takes 40 ms, the others 5 ms.
    let (address, records) = recording_server(move || {
        let slow = number.fetch_add(1, Relaxed) % 4 == 3;
        sleep_exactly(Duration::from_millis(if slow { 40 } else { 5 }));
    });
    let cell = only(&plan(Schedule::Closed, 1, 2000), address);
    assert_agrees(&cell, &cell.trials[0].latency_histogram, &records.recv_timeout(LIFETIME).unwrap());
    assert!(latency(&cell, 0.0) >= 5.0 && latency(&cell, 0.85) >= 40.0, "{}", latency(&cell, 0.85));
}

/// The server stalls for 100 ms of each second: 50 of the 500 requests of a second are due during a stall and wait for
/// 50 ms on average.
#[test]
fn a_stall_shows_in_the_latency_but_not_in_the_service_time() {
    let _alone = alone();
    let began = Instant::now();
    let (address, records) = recording_server(move || {
        let into = began.elapsed().as_millis() as u64 % 1000;
        if into < 100 {
            thread::sleep(Duration::from_millis(100 - into));
        }
    });
    let cell = only(&plan(Schedule::Rate(500.0), 1, 3000), address);
    // A tenth of the requests was due during a stall; half of these waited for 50 ms or longer.
    assert!(latency(&cell, 0.96) > 45.0, "{}", latency(&cell, 0.96));
    assert!(latency(&cell, 0.99) > 80.0, "{}", latency(&cell, 0.99));
    // Only one request of each stall took long after it was sent.
    let service = &cell.trials[0].service_time_histogram;
    assert_agrees(&cell, service, &records.recv_timeout(LIFETIME).unwrap());
    assert!(latency(&cell, 0.98) > quantile_of(service, 0.98));
}

/// Instead of its fifth answer, each connection is closed: four answers and one error, again and again.
#[test]
fn every_unanswered_request_is_counted_as_an_error() {
    let _alone = alone();
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let address = server(move |stream, _| {
        for _ in 0..4 {
            if request(&stream).is_none() || (&stream).write_all(OK).is_err() {
                return;
            }
        }
        if request(&stream).is_some() {
            count.fetch_add(1, Relaxed);
        }
    });
    let cell = only(&Plan { warmup: Duration::ZERO, ..plan(Schedule::Closed, 1, 500) }, address);
    let closed = cell.outcomes[OutcomeClass::Closed];
    assert_eq!(cell.verdict, Verdict::Errors);
    // The window may begin and end at any of the five requests.
    let ended = cell.outcomes[OutcomeClass::Ok] + closed;
    assert!((ended / 5..=ended.div_ceil(5)).contains(&closed), "{closed} of {ended}");
    // The load goes on for a moment after the window.
    assert!(refused.load(Relaxed) >= closed);
}

#[test]
fn a_server_that_ignores_connection_close_is_reported() {
    let _alone = alone();
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    // A constant rate, so that not all ports of the machine are used up.
    let mut plan = plan(Schedule::Rate(200.0), 4, 500);
    plan.loads[0].requests_per_connection = PerConnection(NonZeroU32::new(1));
    let cell = only(&plan, address);
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
    assert!(
        cell.trials[0].close_ignored.abs_diff(cell.outcomes[OutcomeClass::Ok]) <= 4,
        "{} of {}",
        cell.trials[0].close_ignored,
        cell.outcomes[OutcomeClass::Ok]
    );
    assert!(cell.reasons.iter().any(|reason| reason.contains("that it was asked to close")), "{:?}", cell.reasons);
}

/// The program is stopped for 19 of every 20 milliseconds.
#[test]
fn a_generator_with_five_per_cent_of_a_cpu_is_client_limited() {
    use nix::sys::signal::{Signal, kill};
    let _alone = alone();
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    let file = std::env::temp_dir().join(format!("loadtest-truth-{}.json", std::process::id()));
    let mut command = program();
    command.args(["--target", &format!("x=http://{address}"), "-R", "500", "-c", "4", "-d", "1s", "-q", "--json"]);
    let mut child = command.arg(&file).process_group(0).spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let status = loop {
        kill(pid, Signal::SIGSTOP).unwrap();
        thread::sleep(Duration::from_millis(19));
        kill(pid, Signal::SIGCONT).unwrap();
        thread::sleep(Duration::from_millis(1));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    let results = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(status.success(), "{status}");
    let results: results::Results = serde_json::from_slice(&results).unwrap();
    let cell = &results.cells[0];
    assert_eq!(cell.verdict, Verdict::ClientLimited, "{:?} {:?}", cell.reasons, cell.figures.schedule_lag_us);
}

#[test]
fn background_connections_are_counted_separately() {
    let _alone = alone();
    let address = server(|stream, _| {
        while let Some(text) = request(&stream) {
            let body = if text.contains("/files/1m") { vec![b'x'; 1 << 20] } else { b"hi".to_vec() };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let closes = text.contains("Connection: close");
            if (&stream).write_all(&[head.as_bytes(), &body].concat()).is_err() || closes {
                return;
            }
        }
    });
    let background = BackgroundLoad {
        idle: 50,
        slow_senders: 5,
        slow_readers: 3,
        resetters: 2,
        busy: 2,
        busy_workload: Some("/".into()),
        slow_reader_workload: Some("/".into()),
    };
    let cell = only(&beside(background, plan(Schedule::Rate(200.0), 4, 500)), address);
    let seen = cell.trials[0].background;
    assert_eq!(
        (seen.idle.up, seen.idle.cut_off, seen.slow_senders.up, seen.slow_readers.up),
        (50, 0, 5, 3),
        "{seen:?}"
    );
    assert!(seen.resets > 2, "{seen:?}");
    assert!(seen.busy_answers >= 2 && seen.busy.cut_off == 0, "{seen:?}");
    assert_eq!(cell.outcomes.errors(), 0, "{:?}", cell.outcomes);
    // The requests that were due in the window are counted, and no others.
    let due = cell.trials[0].seconds * 200.0;
    assert!((cell.outcomes.total() as f64 - due).abs() <= 1.0, "{} of {due}", cell.outcomes.total());
}

/// Each part of the window is in one slice, whatever the threads do at its ends.
#[test]
fn the_slices_add_up_to_the_trial() {
    let _alone = alone();
    let address = server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {});
    for schedule in [Schedule::Closed, Schedule::Rate(2000.0)] {
        let cell = only(&Plan { threads: 2, ..plan(schedule, 8, 700) }, address);
        let trial = &cell.trials[0];
        assert_eq!(trial.slices.len(), SLICES);
        assert!(trial.outcomes[OutcomeClass::Ok] > 0);
        let (mut outcomes, mut bytes) = (OutcomeCounts::default(), 0);
        let mut latency = decode(&trial.latency_histogram);
        for (number, slice) in trial.slices.iter().enumerate() {
            assert_eq!(slice.slice, number);
            let before = number.checked_sub(1).map_or(0.0, |before| trial.slices[before].to_seconds);
            assert_eq!(slice.from_seconds, before);
            outcomes.add(&slice.outcomes);
            bytes += slice.bytes;
            let part = decode(&slice.latency_histogram);
            assert_eq!(part.len(), slice.outcomes[OutcomeClass::Ok]);
            latency.subtract(&part).unwrap();
        }
        assert_eq!((outcomes, latency.iter_recorded().count()), (trial.outcomes, 0));
        let seconds = trial.slices[SLICES - 1].to_seconds;
        assert_eq!(seconds, trial.seconds);
        assert!((bytes as f64 / seconds / trial.figures.bytes_per_second.unwrap() - 1.0).abs() < 1e-6);
    }
}

/// The server answers the first hundred requests and stalls for 1.5 s then, until after the window. The open loop waits for
/// the answers to the requests that were due in the window.
#[test]
fn an_open_loop_sees_a_stall_at_the_windows_end() {
    let _alone = alone();
    let (number, stalls_until) = (AtomicU64::new(0), OnceLock::new());
    let address = server(move |stream, _| {
        while request(&stream).is_some() {
            if number.fetch_add(1, Relaxed) >= 100 {
                let until = stalls_until.get_or_init(|| Instant::now() + Duration::from_millis(1500));
                thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            if (&stream).write_all(OK).is_err() {
                return;
            }
        }
    });
    // Without a warm-up the hundredth request is one of the window's thousand.
    let cell = only(&Plan { warmup: Duration::ZERO, ..plan(Schedule::Rate(1000.0), 4, 1000) }, address);
    let trial = &cell.trials[0];
    let max = trial.figures.latency_us.max.unwrap() / 1e6;
    assert!(max >= 1.498, "{max} s");
    assert_eq!(trial.outcomes[OutcomeClass::Ok], trial.outcomes.total(), "{:?}", trial.outcomes);
}

/// The server answers five requests and no more. The window ends half a second later or more. A closed loop's maximum
/// includes how long the requests had waited that were in flight then.
#[test]
fn a_closed_loop_sees_a_stall_at_the_windows_end() {
    /// Ends the window half a second after the stall has begun.
    struct EndsInStall<'a>(&'a OnceLock<Instant>, &'a AtomicBool);
    impl Observer for EndsInStall<'_> {
        fn on(&mut self, event: Event<'_>) {
            let stalls = || self.0.get().is_some_and(|began| began.elapsed() >= Duration::from_millis(500));
            // Connections are shown as established when the window has begun.
            if matches!(event, Event::Progress { live, .. } if live.established == 4) && stalls() {
                self.1.store(true, Relaxed);
            }
        }
    }
    let _alone = alone();
    let (number, stall, stop) = (AtomicU64::new(0), Arc::new(OnceLock::new()), AtomicBool::new(false));
    let stalls = stall.clone();
    let address = server(move |stream, _| {
        while request(&stream).is_some() && number.fetch_add(1, Relaxed) < 5 {
            (&stream).write_all(OK).unwrap();
        }
        let _ = stalls.set(Instant::now());
        while request(&stream).is_some() {}
    });
    let plan = Plan { warmup: Duration::ZERO, duration: LIFETIME, timeout: LIFETIME, ..plan(Schedule::Closed, 4, 0) };
    let mut observer = EndsInStall(&stall, &stop);
    let results = loadtest::run(&plan, Instant::now(), &mut SingleTarget(address), &mut observer, &stop).unwrap();
    let trial = &results.cells[0].trials[0];
    let max = trial.figures.latency_us.max.unwrap() / 1e6;
    assert!(max >= 0.5, "{max} s");
    assert_eq!(trial.outcomes[OutcomeClass::AbortedAtEnd], 4);
}

/// The server needs 10 ms a request, and one is due every 5 ms. All of them are answered in the end, but at most half of
/// them in the window.
#[test]
fn an_overloaded_server_did_not_achieve_the_rate_although_all_requests_are_answered() {
    let _alone = alone();
    let address = server(|stream, _| {
        while request(&stream).is_some() {
            thread::sleep(Duration::from_millis(10));
            if (&stream).write_all(OK).is_err() {
                return;
            }
        }
    });
    let cell = only(&plan(Schedule::Rate(200.0), 1, 700), address);
    let trial = &cell.trials[0];
    assert_eq!(trial.outcomes[OutcomeClass::Ok], trial.outcomes.total(), "{:?}", trial.outcomes);
    // A window that a busy machine makes shorter has room for fewer answers, too, and one crosses each of its ends.
    let (due, pace) = (trial.outcomes.total() as f64, &trial.figures.pace);
    let most_answers = trial.seconds * 100.0 + 2.0;
    assert!(pace.achieved_share.unwrap() * due <= most_answers + 1e-6, "{pace:?} of {due} in {} s", trial.seconds);
    assert!(pace.unsent.unwrap() >= due - most_answers, "{pace:?} of {due} in {} s", trial.seconds);
}

/// The target closes idle connections: each close is counted, and the connection is opened again.
#[test]
fn idle_connections_that_the_target_closes_are_counted() {
    let _alone = alone();
    let address = server(|stream, number| {
        if number > 2 && number <= 12 {
            let _ = request(&stream);
            return;
        }
        while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {}
    });
    let background = BackgroundLoad { idle: 40, ..BackgroundLoad::default() };
    let cell = only(&beside(background, plan(Schedule::Rate(20.0), 1, 1500)), address);
    let seen = cell.trials[0].background.idle;
    assert!((9..=10).contains(&seen.cut_off) && seen.up == 40, "{seen:?}");
}

/// The load begins when all idle connections are answered, and not when they are established.
#[test]
fn the_load_begins_when_the_idle_connections_are_answered() {
    let _alone = alone();
    let idle = Arc::new(AtomicU64::new(0));
    let (began, idle_at_begin) = mpsc::channel();
    let address = server(move |stream, _| {
        while let Some(text) = request(&stream) {
            if text.starts_with("GET / ") {
                thread::sleep(Duration::from_millis(300));
                idle.fetch_add(1, Relaxed);
            } else {
                let _ = began.send(idle.load(Relaxed));
            }
            if (&stream).write_all(OK).is_err() {
                return;
            }
        }
    });
    let background = BackgroundLoad { idle: 10, ..BackgroundLoad::default() };
    let mut plan = beside(background, plan(Schedule::Closed, 1, 700));
    plan.loads[0].workload = "/measured".into();
    let cell = only(&plan, address);
    assert_eq!(idle_at_begin.recv_timeout(LIFETIME), Ok(10));
    assert_eq!(cell.trials[0].background.idle.up, 10, "{:?}", cell.trials[0].background);
}
