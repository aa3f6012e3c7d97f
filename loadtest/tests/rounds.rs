//! Tests of whole runs: blocks, what targets say of themselves, and the search for the knee.

mod common;

use common::{OK, request, run, server};
use loadtest::cost::CostSource;
use loadtest::events::{Event, Observer};
use loadtest::fleet::{Endpoint, Fleet, NotReady};
use results::{Load, Plan, Probe, Schedule, Target, Trial, Verdict};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use std::time::{Duration, SystemTime};

fn plan(targets: &[&str]) -> Plan {
    Plan {
        targets: targets.iter().map(|&name| name.to_owned()).collect(),
        loads: vec![Load { concurrency: 2, ..Load::default() }],
        duration: Duration::from_millis(700),
        warmup: Duration::ZERO,
        timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Plan::default()
    }
}

fn good_server() -> SocketAddr {
    server(|stream, _| while request(&stream).is_some() && (&stream).write_all(OK).is_ok() {})
}

/// Running targets, of which "talkative" says something of itself.
struct Targets(BTreeMap<&'static str, SocketAddr>);

fn said() -> Target {
    Target { facts: BTreeMap::from([("model".to_owned(), "threads".to_owned())]), ..Target::default() }
}

impl Fleet for Targets {
    fn ready(&mut self, target: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
        let url = format!("http://{}", self.0[target]).parse().unwrap();
        let says = if target == "talkative" { said() } else { Target::default() };
        Ok(Endpoint { url, cost: CostSource::None, cpus: None, says })
    }
}

#[test]
fn each_trial_has_its_block_and_its_time() {
    let mut fleet = Targets([("talkative", good_server()), ("b", good_server())].into());
    let before = SystemTime::now();
    let results = run(&Plan { trials: 2, ..plan(&["talkative", "b"]) }, &mut fleet);
    let began = |cell: usize, block: usize| {
        let trial = &results.cells[cell].trials[block];
        assert_eq!(trial.block, Some(block as u64));
        humantime::parse_rfc3339(trial.began_at.as_deref().unwrap()).unwrap()
    };
    let blocks = [0, 1].map(|block| [began(0, block), began(1, block)]);
    assert!(blocks[0].iter().max() < blocks[1].iter().min(), "{blocks:?}");
    let of_one = blocks[1][0].duration_since(blocks[0][0]).unwrap();
    assert!(of_one >= Duration::from_millis(699), "{of_one:?}");
    // The time has whole milliseconds.
    assert!(blocks[0].iter().all(|&began| began + Duration::from_millis(1) > before && began < SystemTime::now()));
    assert_eq!(results.targets, BTreeMap::from([("talkative".to_owned(), said())]));
}

/// Counts the windows of knee searches.
struct Windows(Vec<(usize, f64)>);

impl Observer for Windows {
    fn on(&mut self, event: Event<'_>) {
        if let Event::KneeWindow { cell, trial: 0, number, rate } = event {
            assert_eq!(cell.target, "good");
            self.0.push((number, rate));
        }
    }
}

/// Requests are due at this rate in the trial, which has one thread: in its window there is a whole number of them.
fn assert_offers(trial: &Trial, rate: f64) {
    let offered = trial.figures.pace.offered_per_second.unwrap();
    assert!((offered - rate).abs() * trial.seconds <= 1.001, "{offered} and {rate} in {} s", trial.seconds);
}

/// How many windows there are, and where the knee lies, depends on the machine; what is kept does not.
#[test]
fn a_knee_search_keeps_the_window_at_the_knee_whatever_stands_beside_it() {
    let broken = server(|stream, _| {
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        while request(&stream).is_some() && (&stream).write_all(answer).is_ok() {}
    });
    let mut fleet = Targets([("good", good_server()), ("broken", broken)].into());
    let plan = Plan {
        loads: Schedule::KNEE.map(|schedule| Load { schedule, concurrency: 2, ..Load::default() }).to_vec(),
        ..plan(&["good", "broken"])
    };
    let mut windows = Windows(Vec::new());
    let results = loadtest::run(&plan, Instant::now(), &mut fleet, &mut windows, &AtomicBool::new(false)).unwrap();
    let cell = |target: &str, schedule: Schedule| {
        results.cells.iter().find(|cell| cell.key.target == target && cell.key.load.schedule == schedule).unwrap()
    };
    let [closed, knee, common] = Schedule::KNEE;
    let ceiling = cell("good", closed).figures.throughput.unwrap().median;

    let found = cell("good", knee);
    let trial = &found.trials[0];
    let tried: Vec<(usize, f64)> = trial.probes.iter().map(|probe| probe.rate).enumerate().collect();
    assert_eq!(tried, windows.0);
    assert!((tried[0].1 / (ceiling * 0.1) - 1.0).abs() < 1e-6, "{tried:?} and {ceiling}");
    let kept_up = trial.probes.iter().filter(|probe| probe.kept_up);
    let highest = kept_up.max_by(|a, b| a.rate.total_cmp(&b.rate)).unwrap_or(&trial.probes[0]);
    assert_offers(trial, highest.rate);
    let is_kept = |probe: &&Probe| probe.rate == highest.rate && probe.p99_us == trial.figures.latency_us.p99;
    assert!(trial.probes.iter().any(|probe| is_kept(&probe)), "{trial:?}");

    let without = cell("broken", knee);
    assert_eq!((without.verdict, without.trials.len()), (Verdict::Errors, 0));
    assert_eq!(without.reasons, ["the closed loop gave no ceiling"]);
    for target in ["good", "broken"] {
        let trial = &cell(target, common).trials[0];
        let names = |remark: &String| remark.starts_with("the rate is 50 % of the ceiling of good, ");
        assert!(trial.remarks.iter().any(names), "{:?}", trial.remarks);
        assert_offers(trial, ceiling * 0.5);
    }
}
