mod guests;

use super::*;
use crate::background::{BackgroundGroup, BackgroundLoad};
use crate::figures::Figures;
use crate::load::{Load, PerConnection};
use crate::plan::Twice;
use crate::schedule::Schedule;
use crate::schema::tests::{empty_trial, results};
use crate::schema::{Bound, Cell, Flaw, Trial, Verdict};
use crate::statistics::Figure;
use anstream::StripStream;

/// A model: CPU time a request with keep-alive, without it, beside idle connections and at /sleep/100, all in µs; memory a
/// connection in KiB; p90 beside long computations in ms, and the share of the requests that were answered in time.
const FIGURES: [(&str, [f64; 4], f64, f64, f64); 14] = [
    ("process-per-connection", [24.0, 690.0, 107.0, 67.0], 182.0, 3.7, 1.0),
    ("process-pool", [24.5, 168.0, 84.0, 69.0], 184.0, 4.1, 1.0),
    ("thread-per-connection", [19.0, 270.0, 69.0, 49.0], 43.5, 1.1, 1.0),
    ("thread-pool", [20.0, 181.0, 90.0, 63.0], 12.0, 4.0, 1.0),
    ("select", [14.0, 140.0, 787.0, 27.0], 2.4, 1_470.0, 0.40),
    ("poll", [13.5, 139.0, 767.0, 29.0], 3.5, 1_440.0, 0.41),
    ("epoll", [12.0, 140.0, 88.0, 21.0], 3.6, 1_300.0, 0.42),
    ("posix-aio", [12.1, 139.0, 94.0, 21.0], 3.7, 1_430.0, 0.41),
    ("linux-aio", [12.2, 141.0, 87.0, 21.0], 3.8, 1_480.0, 0.43),
    ("uring", [9.1, 147.0, 72.0, 21.9], 3.3, 55.6, 1.0),
    ("callback", [12.0, 145.0, 83.0, 22.0], 2.7, 1_470.0, 0.42),
    ("event-loop", [17.0, 134.0, 103.0, 22.0], 3.7, 1_460.0, 0.41),
    ("async-await", [15.0, 148.0, 145.0, 25.0], 5.2, 112.0, 1.0),
    ("framework", [20.0, 226.0, 129.0, 45.0], 18.9, 143.0, 1.0),
];

fn loads() -> Vec<Load> {
    let beside = |idle, busy| BackgroundLoad {
        idle,
        busy,
        busy_workload: (busy > 0).then(|| "/work/30000000".into()),
        ..BackgroundLoad::default()
    };
    let one = PerConnection("1".parse().ok());
    vec![
        Load::default(),
        Load { requests_per_connection: one, schedule: Schedule::Rate(500.0), ..Load::default() },
        Load { background: beside(1_000, 0), schedule: Schedule::Rate(500.0), ..Load::default() },
        Load { workload: "/sleep/100".into(), concurrency: 512, ..Load::default() },
        Load { background: beside(0, 2), schedule: Schedule::Rate(200.0), ..Load::default() },
    ]
}

/// A run of these targets under these loads, without trials.
fn unmeasured(targets: &[&str], loads: Vec<Load>) -> Results {
    let mut run = results(targets);
    run.settings.loads = loads;
    run.settings.twice = vec![Twice { target: "epoll".into(), load: 0 }];
    run.cells = run.settings.cells().into_iter().map(Cell::new).collect();
    run
}

/// Adds blocks to a cell; `figures` gives those of a block, which differ by up to two per cent from block to block.
fn measure(cell: &mut Cell, blocks: u64, figures: impl Fn(f64) -> Figures<Option<f64>>) {
    let own = cell.key.target.bytes().map(u64::from).sum::<u64>();
    for block in 0..blocks {
        let mut trial = empty_trial();
        trial.block = Some(block);
        trial.figures = figures(1.0 + 0.005 * ((own * 7 + block * 3) % 5) as f64);
        let asked = cell.key.load.background.idle as u64;
        let up = if cell.key.target == "thread-pool" { asked.min(192) } else { asked };
        trial.background.idle = BackgroundGroup { asked, up, ..BackgroundGroup::default() };
        cell.trials.push(trial);
    }
    cell.summarise();
}

/// The default run: all models under five loads.
fn default_run(blocks: u64) -> Results {
    let targets: Vec<&str> = FIGURES.iter().map(|(target, ..)| *target).collect();
    let mut run = unmeasured(&targets, loads());
    let loads = loads();
    for cell in &mut run.cells {
        let original = cell.key.target.trim_end_matches(" again").to_owned();
        let (_, cpu, memory, p90, share) = *FIGURES.iter().find(|(target, ..)| *target == original).unwrap();
        let load = loads.iter().position(|load| *load == cell.key.load).unwrap();
        let is_pool = original == "thread-pool";
        measure(cell, blocks, |noise| {
            let mut figures = Figures::<Option<f64>>::default();
            figures.server.cpu_us_per_request = cpu.get(load).map(|cpu| cpu * noise);
            figures.server.syscalls_per_request = Some(if original == "uring" { 0.1 } else { 2.0 });
            figures.machine.foreign_on_server_cpus = Some(0.004);
            figures.machine.steal = Some(0.001);
            (figures.server.processes, figures.server.threads) = (Some(1.0), Some(257.0));
            match load {
                2 if !is_pool => figures.server.memory_bytes_per_connection = Some(memory * 1024.0 * noise),
                3 => figures.throughput = Some(if is_pool { 2_560.0 } else { 5_110.0 }),
                4 => {
                    figures.pace.achieved_share = Some(share);
                    (figures.latency_us.p50, figures.latency_us.p90) = (Some(p90 * 500.0), Some(p90 * 1e3));
                }
                _ => {}
            }
            figures
        });
        let why = "256 of 512 connections got no answer; by chance it would be about 26".into();
        if load == 3 && is_pool {
            cell.flaws.insert("throughput".into(), Flaw { verdict: Verdict::Starved, why, bound: None });
        }
    }
    run
}

fn printed(results: &Results) -> String {
    let (mut out, answers) = (Vec::new(), answers(results));
    print(&answers, 100, &mut StripStream::new(&mut out)).unwrap();
    print_short(&answers, 100, &mut StripStream::new(&mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

/// The answer on this topic.
fn on(results: &Results, topic: &str) -> Answer {
    answers(results).into_iter().find(|answer| answer.topic == topic).unwrap()
}

#[test]
fn the_default_run_answers_its_questions() {
    let mut run = default_run(4);
    run.remarks = vec!["the budget left out 1 of 4 blocks".into()];
    let (printed, file) = (printed(&run), concat!(env!("CARGO_MANIFEST_DIR"), "/src/answers/default-run.txt"));
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(file, &printed).unwrap();
    }
    assert_eq!(printed, include_str!("default-run.txt"));
}

#[test]
fn a_single_block_gives_ratios_without_intervals() {
    let run = default_run(1);
    let uring = on(&run, "io_uring");
    assert!(uring.short.starts_with("cannot be told here: 0.77x (1 block) with keep-alive; "), "{}", uring.short);
    assert!(on(&run, "noise").details.contains(&"With fewer than 3 blocks a ratio has no interval.".to_owned()));
}

#[test]
fn what_may_not_be_compared_is_said_with_its_reason() {
    let mut run = default_run(4);
    let cell = |run: &Results, target: &str, load: usize| {
        let loads = loads();
        run.cells.iter().position(|cell| cell.key.target == target && cell.key.load == loads[load]).unwrap()
    };
    let disturbed = |bound| Flaw { verdict: Verdict::Disturbed, why: "other programs used 9 %".into(), bound };
    let at = cell(&run, "uring", 0);
    run.cells[at].flaws.insert("server.cpu_us_per_request".into(), disturbed(None));
    let uring = on(&run, "io_uring");
    assert!(
        uring.short.starts_with("yes: 0.82x (0.80 .. 0.84) beside 1,000 idle connections; 1.03 .. 1.08 (perhaps more)")
            && !uring.short.contains("with keep-alive"),
        "{}",
        uring.short
    );
    assert_eq!(uring.details[0], "Also: not told (disturbed: other programs used 9 %) with keep-alive.");

    for cell in run.cells.iter_mut().filter(|cell| cell.key.target == "uring") {
        cell.flaws.insert("server".into(), disturbed(None));
    }
    assert_eq!(on(&run, "io_uring").short, "cannot be told here: disturbed: other programs used 9 %");

    let at = cell(&run, "epoll", 3);
    run.cells[at].flaws.insert("throughput".into(), disturbed(Some(Bound::Lower)));
    let at = cell(&run, "poll", 3);
    run.cells[at].flaws.insert("throughput".into(), disturbed(None));
    let waiting = on(&run, "slow backend");
    assert!(
        waiting.short.starts_with("12 of 13 come within 5 % of 5,120/s; thread-pool 2,560/s, "),
        "{}",
        waiting.short
    );
    assert_eq!(waiting.details.last().unwrap(), "Not told: poll (disturbed: other programs used 9 %).");

    for cell in run.cells.iter_mut().filter(|cell| cell.key.load == loads()[2]) {
        cell.figures.server.memory_bytes_per_connection = None;
        cell.missing.insert("server".into(), "the account is gone".into());
    }
    let idle = on(&run, "10,000 idle");
    assert!(idle.short.starts_with("cannot be told here"), "{}", idle.short);
    assert!(idle.details.last().unwrap().ends_with("and framework (the account is gone)."), "{:?}", idle.details);
}

#[test]
fn other_targets_are_compared_with_the_one_that_takes_the_least_cpu_time() {
    let mut run = unmeasured(&["nginx", "node", "apache"], vec![Load::default()]);
    for (cell, cpu) in run.cells.iter_mut().zip([8.2, 16.4, 8.25]) {
        measure(cell, 4, |noise| {
            let mut figures = Figures::<Option<f64>>::default();
            figures.server.cpu_us_per_request = Some(cpu * noise);
            figures
        });
    }
    let [answer, noise] = &answers(&run)[..] else { panic!() };
    assert_eq!((&answer.topic[..], &answer.question[..]), ("/", "Which target takes the least CPU with keep-alive?"));
    let start = "cannot be told apart: nginx and apache; nginx with 8.26 µs; node 2.0x (";
    assert!(answer.short.starts_with(start), "{}", answer.short);
    assert_eq!(noise.topic, "noise");
    disturb(&mut run.cells, |cell| cell.key.target == "apache");
    let answer = &answers(&run)[0];
    assert!(answer.short.starts_with("nginx with 8.26 µs; node 2.0x ("), "{}", answer.short);
    disturb(&mut run.cells, |cell| cell.key.target == "node");
    let answer = &answers(&run)[0];
    assert_eq!(answer.short, "cannot be told here: only nginx has a figure");
    assert_eq!(answer.details, ["node and apache not told (disturbed: other programs used 9 %)."]);
    run.cells.truncate(1);
    assert_eq!(answers(&run), []);
}

#[test]
fn a_rate_that_is_only_a_lower_bound_may_be_the_highest() {
    let mut run = unmeasured(&["nginx", "node", "apache"], vec![Load::default()]);
    for (cell, rate) in run.cells.iter_mut().zip([20_000.0, 10_000.0, 15_000.0]) {
        measure(cell, 4, |noise| Figures { throughput: Some(rate * noise), ..Figures::default() });
    }
    let short = |run: &Results| answers(run)[0].short.clone();
    assert!(short(&run).starts_with("nginx with 20,1"), "{}", short(&run));
    let flaw = Flaw { verdict: Verdict::ClientLimited, why: "it was busy".into(), bound: Some(Bound::Lower) };
    run.cells[2].flaws.insert("throughput".into(), flaw);
    assert!(short(&run).starts_with("cannot be told apart: nginx and apache; nginx with 20,1"), "{}", short(&run));
}

/// Gives the CPU time a request of these cells a flaw.
fn disturb(cells: &mut [Cell], is_meant: impl Fn(&Cell) -> bool) {
    for cell in cells.iter_mut().filter(|cell| is_meant(cell)) {
        let flaw = Flaw { verdict: Verdict::Disturbed, why: "other programs used 9 %".into(), bound: None };
        cell.flaws.insert("server.cpu_us_per_request".into(), flaw);
    }
}

#[test]
fn a_model_is_only_recommended_by_evidence() {
    let run = default_run(4);
    let of = |target: &'static str| move |cell: &Cell| cell.key.target == target && cell.key.load.background.idle > 0;
    let has = |answer: &Answer, text: &str| answer.details.iter().any(|detail| detail == text);

    let mut uring_disturbed = run.clone();
    disturb(&mut uring_disturbed.cells, of("uring"));
    let answer = on(&uring_disturbed, "10,000 idle");
    assert!(answer.short.starts_with("epoll, posix-aio, linux-aio, callback, event-loop and "), "{}", answer.short);
    let why = "CPU a request beside them not told: uring (disturbed: other programs used 9 %).";
    assert!(has(&answer, why), "{:?}", answer.details);

    let mut epoll_disturbed = run.clone();
    disturb(&mut epoll_disturbed.cells, of("epoll"));
    let answer = on(&epoll_disturbed, "10,000 idle");
    assert!(answer.short.starts_with("by memory alone, select, poll, epoll, posix-aio"), "{}", answer.short);
    assert!(answer.short.contains("async-await: 24 to 51 MiB; "), "{}", answer.short);

    let mut without_epoll = run.clone();
    without_epoll.cells.retain(|cell| ["select", "poll", "framework"].contains(&cell.key.target.as_str()));
    let answer = on(&without_epoll, "10,000 idle");
    assert_eq!(answer.short, "by memory alone, select and poll: 24 to 35 MiB; framework 187 MiB");
    let why = "CPU a request beside them not told: select, poll and framework (epoll was not measured beside them).";
    assert!(has(&answer, why), "{:?}", answer.details);
}

#[test]
fn a_model_that_lost_idle_connections_is_not_recommended() {
    let lose = |run: &mut Results, lost: u64, is_meant: fn(&Trial) -> bool| {
        for trial in run.cells.iter_mut().flat_map(|cell| &mut cell.trials).filter(|trial| is_meant(trial)) {
            trial.background.idle.up = trial.background.idle.asked.saturating_sub(lost);
        }
    };
    let run = default_run(4);
    let usual = on(&run, "10,000 idle");
    let mut few = run.clone();
    lose(&mut few, 10, |trial| trial.background.idle.up == 1_000);
    assert_eq!(on(&few, "10,000 idle"), usual, "1 % may be on its way");

    let mut aborted = run.clone();
    for cell in &mut aborted.cells {
        cell.trials[0].background.idle.up = 0;
        cell.trials[0].aborted = true;
    }
    assert!(on(&aborted, "10,000 idle").short.starts_with("any model with loops but select"));

    let mut all = run.clone();
    lose(&mut all, 500, |trial| trial.background.idle.up == 1_000);
    let answer = on(&all, "10,000 idle");
    assert_eq!(answer.short, "cannot be told here: no model held all connections");
    let held = "async-await and framework held only 500 of 1,000 idle connections; thread-pool held only 192 of 1,000 idle \
                connections.";
    assert!(answer.details.len() == 1 && answer.details[0].ends_with(held), "{:?}", answer.details);

    let mut fewer = run;
    fewer.cells.iter_mut().for_each(|cell| cell.key.load.background.idle = cell.key.load.background.idle.min(900));
    assert!(answers(&fewer).iter().all(|answer| answer.topic != "10,000 idle"));
}

#[test]
fn a_no_needs_evidence() {
    let lead = |intervals: [(f64, f64); 2]| {
        let mut run = unmeasured(&["epoll", "uring"], loads()[..2].to_vec());
        for cell in &mut run.cells {
            let (low, high) = intervals[usize::from(cell.key.load != Load::default())];
            let (middle, spread) = (f64::sqrt(low * high), (high / low).powf(0.2));
            let is_uring = cell.key.target == "uring";
            for block in 0..5 {
                let mut trial = Trial { block: Some(block), ..empty_trial() };
                let uring = middle * spread.powf(block as f64 - 2.0);
                trial.figures.server.cpu_us_per_request = Some(if is_uring { 10.0 * uring } else { 10.0 });
                cell.trials.push(trial);
            }
            cell.summarise();
        }
        on(&run, "io_uring").short.split(": ").next().unwrap().to_owned()
    };
    let (less, same, more, unclear) = ((0.5, 0.6), (0.995, 1.005), (2.0, 2.4), (0.7, 1.5));
    for (intervals, expected) in [
        ([less, more], "it depends"),
        ([less, unclear], "yes"),
        ([same, more], "no"),
        ([same, same], "no"),
        ([more, unclear], "cannot be told here"),
        ([same, unclear], "cannot be told here"),
    ] {
        assert_eq!(lead(intervals), expected, "{intervals:?}");
    }
}

#[test]
fn a_target_without_cpu_time_is_not_one_that_cannot_wait() {
    let mut run = default_run(4);
    let load = loads()[3].clone();
    run.cells.retain(|cell| cell.key.load == load && ["epoll", "poll", "thread-pool"].contains(&&*cell.key.target));
    assert!(
        on(&run, "slow backend").short.starts_with("all but thread-pool come within 5 % of 5,120/s; thread-pool 2,5")
    );
    let server = |run: &mut Results, target: &str, rate: f64, cpus: f64| {
        let cell = run.cells.iter_mut().find(|cell| cell.key.target == target).unwrap();
        let once = |median| Some(Figure { median, low: None, high: None });
        (cell.server_cpus, cell.figures.server.threads) = (Some(2), once(1.0));
        (cell.figures.throughput, cell.figures.server.cpus_used) = (once(rate), once(cpus));
    };
    server(&mut run, "poll", 4_000.0, 0.95);
    let answer = on(&run, "slow backend");
    let expected = "epoll comes within 5 % of 5,120/s; thread-pool 2,560/s, 256 connections at a time";
    assert_eq!(answer.short, expected);
    assert_eq!(answer.details[1], "thread-pool has 1 process with 257 threads; 256 of 512 connections got no answer.");
    assert_eq!(answer.details[2], "Not told: poll (it used all its CPU time).");
    server(&mut run, "poll", 4_000.0, 0.5);
    server(&mut run, "epoll", 4_100.0, 0.5);
    let short = on(&run, "slow backend").short;
    assert!(short.starts_with("none comes within 5 % of 5,120/s; thread-pool 2,560/s, 256 connections"), "{short}");
}

#[test]
fn a_sweep_over_connections_tells_its_loads_apart() {
    let loads = [1, 8, 64, 512].map(|concurrency| Load { concurrency, ..Load::default() }).to_vec();
    let costs = [("epoll", [10.0; 4]), ("select", [10.0, 10.1, 11.0, 40.0]), ("uring", [12.0, 9.0, 8.0, 7.0])];
    let mut run = unmeasured(&costs.map(|(target, _)| target), loads.clone());
    for cell in &mut run.cells {
        let (_, cpu) = costs.iter().find(|(target, _)| cell.key.target.starts_with(target)).unwrap();
        let load = loads.iter().position(|load| *load == cell.key.load).unwrap();
        measure(cell, 4, |noise| {
            let mut figures = Figures::<Option<f64>>::default();
            figures.server.cpu_us_per_request = Some(cpu[load] * noise);
            figures
        });
    }
    let (select, uring) = (on(&run, "select"), on(&run, "io_uring"));
    assert!(select.short.starts_with("yes: 4.0x ("), "{}", select.short);
    assert!(select.short.contains(") with keep-alive (512 connections); 1.1"), "{}", select.short);
    assert!(select.short.contains("with keep-alive (1 connection)"), "{}", select.short);
    assert!(uring.short.starts_with("it depends: 0.7"), "{}", uring.short);
    assert!(uring.short.contains("; 1.2"), "{}", uring.short);
    run.cells.retain(|cell| cell.key.target != "select");
    for cell in &mut run.cells {
        cell.key.target = cell.key.target.replace("uring", "nginx").replace("epoll", "node");
    }
    let plain: Vec<(String, String)> =
        answers(&run).into_iter().map(|answer| (answer.topic, answer.question)).take(4).collect();
    for ((topic, question), connections) in plain.iter().zip(["1 connection", "8 connections"]) {
        assert_eq!(*topic, format!("with keep-alive ({connections})"));
        assert_eq!(*question, format!("Which target takes the least CPU with keep-alive ({connections})?"));
    }
}
