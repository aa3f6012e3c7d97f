//! Runs with servers of others. All figures are invented: they show what is said, and nothing about any server.

use super::*;
use crate::lacks;
use crate::schema::{AnswerSeen, Target};
use crate::table;

/// A guest with its version, its CPU time a request with keep-alive, without it and beside idle connections in µs, and its memory a
/// connection in KiB.
const GUESTS: [(&str, &str, [f64; 3], f64); 9] = [
    ("nginx", "1.22.1", [15.2, 158.0, 92.0], 1.6),
    ("lighttpd-poll", "1.4.69", [17.0, 160.0, 780.0], 4.9),
    ("apache-prefork", "2.4.62", [112.0, 410.0, 310.0], 390.0),
    ("apache-worker", "2.4.62", [71.0, 372.0, 205.0], 61.0),
    ("apache-event", "2.4.62", [74.0, 380.0, 140.0], 4.4),
    ("node", "18.19.0", [44.0, 301.0, 190.0], 14.0),
    ("express", "4.18.2", [121.0, 402.0, 300.0], 15.0),
    ("busybox", "1.35.0", [630.0, 640.0, 700.0], 210.0),
    ("hyper", "", [14.6, 149.0, 121.0], 4.9),
];

/// Adds these guests to a run: they have `/` alone.
fn add_guests(run: &mut Results, guests: &[(&str, &str, [f64; 3], f64)], blocks: u64) {
    let loads = run.settings.loads.clone();
    for (name, version, cpu, memory) in guests {
        run.settings.targets.push((*name).to_owned());
        let facts = [("version", *version)].into_iter().filter(|(_, version)| !version.is_empty());
        let facts = facts.map(|(fact, value)| (fact.to_owned(), value.to_owned())).collect();
        run.targets.insert((*name).to_owned(), Target { facts, is_guest: true, ..Target::default() });
        for (number, load) in loads.iter().enumerate() {
            let mut cell = Cell::new(crate::load::Key { target: (*name).to_owned(), load: load.clone() });
            match cpu.get(number) {
                Some(cpu) => measure(&mut cell, blocks, |noise| {
                    let mut figures = Figures::<Option<f64>>::default();
                    figures.server.cpu_us_per_request = Some(cpu * noise);
                    figures.server.memory_bytes_per_connection = Some(memory * 1024.0 * noise).filter(|_| number == 2);
                    figures
                }),
                None => {
                    cell.verdict = Verdict::Unsupported;
                    let lacked = load.requested().last().unwrap();
                    cell.reasons.push(lacks::why(lacked, if *name == "busybox" { 501 } else { 404 }));
                }
            }
            run.cells.push(cell);
        }
    }
}

fn with_guests() -> Results {
    let mut run = default_run(4);
    add_guests(&mut run, &GUESTS, 4);
    run
}

/// A run of these models and guests of the run with all of them.
fn only(targets: &[&str]) -> Results {
    let mut run = with_guests();
    run.cells.retain(|cell| targets.contains(&cell.key.target.as_str()));
    run
}

#[test]
fn models_and_guests_side_by_side() {
    let mut run = with_guests();
    let mut printed = format!("Invented figures:\n{}", printed(&run));
    let without_guests = include_str!("../default-run.txt");
    assert!(printed.lines().count() < without_guests.lines().count() * 3 / 2, "{printed}");
    for cell in &mut run.cells {
        let is_other = ["busybox", "hyper"].contains(&cell.key.target.as_str());
        let answer = AnswerSeen { bytes: Some(if is_other { 612 } else { 12 }), hash: None };
        cell.trials.iter_mut().for_each(|trial| trial.answer = Some(answer.clone()));
    }
    crate::ranks::rank(&mut run.cells);
    let mut out = Vec::new();
    table::print(&run, Some(118), &mut StripStream::new(&mut out)).unwrap();
    printed += &String::from_utf8(out).unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/answers/run-with-guests.txt");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(file, &printed).unwrap();
    }
    assert_eq!(printed, include_str!("../run-with-guests.txt"));
}

#[test]
fn what_is_said_of_models_is_the_same_beside_guests() {
    let (alone, beside) = (answers(&default_run(4)), answers(&with_guests()));
    let topics: Vec<&str> = beside.iter().map(|answer| answer.topic.as_str()).collect();
    assert_eq!(topics[7..], ["servers of others", "noise"]);
    assert_eq!(alone[..7], beside[..7]);
}

/// What is answered, without what is said of noise.
fn answered(run: &Results) -> Vec<Answer> {
    answers(run).into_iter().filter(|answer| answer.topic != "noise").collect()
}

#[test]
fn a_guest_is_compared_with_the_models_of_its_kind_and_else_with_epoll() {
    let [nginx] = &answered(&only(&["epoll", "nginx"]))[..] else { panic!() };
    assert_eq!(nginx.short, "with keep-alive: epoll/nginx 0.79x (0.78 .. 0.81)");
    assert!(nginx.details[0].starts_with("with 1 request a connection: epoll/nginx 0.89x ("), "{:?}", nginx.details);
    assert!(
        nginx.details[2]
            .starts_with("Memory a connection beside 1,000 idle connections (ours/theirs): epoll/nginx 2.3x (")
    );

    let [node] = &answered(&only(&["epoll", "node"]))[..] else { panic!() };
    assert!(node.short.starts_with("with keep-alive: epoll/node 0.27x (0."), "{}", node.short);

    let mut mine = only(&["epoll", "event-loop", "node", "apache-event"]);
    let said = mine.targets.remove("apache-event").unwrap();
    mine.targets.insert("mine".into(), said);
    let apache = |cell: &&mut Cell| cell.key.target == "apache-event";
    mine.cells.iter_mut().filter(apache).for_each(|cell| cell.key.target = "mine".into());
    let short = on(&mine, "servers of others").short;
    assert!(
        short.starts_with("with keep-alive: epoll/mine 0.16x") && short.contains("; event-loop/node 0."),
        "{short}"
    );
}

#[test]
fn where_no_model_is_to_compare_with_the_targets_are_compared_with_the_best() {
    let questions =
        |targets: &[&str]| answered(&only(targets)).into_iter().map(|answer| answer.question).collect::<Vec<_>>();
    let plain = ["with keep-alive", "with 1 request a connection", "beside 1,000 idle connections"]
        .map(|load| format!("Which target takes the least CPU {load}?"));
    assert_eq!(questions(&["nginx", "node", "apache-event"]), plain);
    let asked = questions(&["thread-pool", "nginx"]);
    assert_eq!(asked.iter().filter(|question| plain.contains(question)).count(), 3, "{asked:?}");
    assert!(asked.iter().all(|question| !question.contains("servers of others")), "{asked:?}");
    assert_eq!(questions(&["nginx"]), [""; 0]);
}

#[test]
fn of_models_that_no_question_is_about_nothing_is_lost_beside_a_guest() {
    let topics =
        |targets: &[&str]| answered(&only(targets)).into_iter().map(|answer| answer.question).collect::<Vec<_>>();
    let (alone, beside) = (topics(&["epoll", "poll"]), topics(&["epoll", "poll", "nginx"]));
    assert!(alone.iter().any(|question| question.starts_with("Which target")), "{alone:?}");
    assert!(alone.iter().all(|question| beside.contains(question)), "{beside:?}");
}

#[test]
fn what_cannot_be_compared_with_a_guest_is_said_with_its_reason() {
    let mut run = only(&["epoll", "uring", "nginx"]);
    disturb(&mut run.cells, |cell| cell.key.target == "uring");
    let others = on(&run, "servers of others");
    let expected =
        "with keep-alive: epoll/nginx 0.79x (0.78 .. 0.81); not told: uring/nginx (disturbed: other programs used 9 %)";
    assert_eq!(others.short, expected);
    disturb(&mut run.cells, |cell| cell.key.target == "nginx" && cell.key.load == loads()[0]);
    assert!(on(&run, "servers of others").short.starts_with("with 1 request a connection: epoll/nginx 0.89x"));
    disturb(&mut run.cells, |cell| cell.key.target == "nginx");
    let short = on(&run, "servers of others").short;
    assert!(short.starts_with(
            "cannot be told here: epoll/nginx (nginx: disturbed: other programs used 9 %); uring/nginx (disturbed: other"
        ),
        "{short}"
    );
}

#[test]
fn of_many_loads_the_most_telling_ones_are_told() {
    let loads = [1, 8, 64, 256, 512, 1_024].map(|concurrency| Load { concurrency, ..Load::default() }).to_vec();
    let mut run = unmeasured(&["epoll"], loads);
    for cell in &mut run.cells {
        measure(cell, 4, |noise| {
            let mut figures = Figures::<Option<f64>>::default();
            figures.server.cpu_us_per_request = Some(10.0 * noise);
            figures
        });
    }
    add_guests(&mut run, &[("nginx", "1", [20.0; 3], 1.0)], 4);
    for cell in run.cells.iter_mut().filter(|cell| cell.verdict == Verdict::Unsupported) {
        cell.verdict = Verdict::Valid;
        measure(cell, 4, |noise| {
            let mut figures = Figures::<Option<f64>>::default();
            figures.server.cpu_us_per_request = Some(20.0 * noise);
            figures
        });
    }
    let answer = on(&run, "servers of others");
    assert!(answer.short.starts_with("with keep-alive (1,024 connections): epoll/nginx 0.5"), "{}", answer.short);
    assert!(
        answer.details[0].starts_with("with keep-alive (512 connections): epoll/nginx 0.5"),
        "{:?}",
        answer.details
    );
    assert_eq!(answer.details[3..], ["2 loads more in the tables."]);
}

#[test]
fn a_target_that_lost_idle_connections_is_not_compared_beside_them() {
    let mut run = only(&["epoll", "process-pool", "nginx", "apache-prefork"]);
    for cell in run.cells.iter_mut().filter(|cell| ["process-pool", "nginx"].contains(&&*cell.key.target)) {
        cell.trials.iter_mut().for_each(|trial| trial.background.idle.up /= 2);
    }
    let others = on(&run, "servers of others").details;
    let expected = "beside 1,000 idle connections: not told: epoll/nginx (nginx held only 500 of 1,000 idle connections); \
                    process-pool/apache-prefork (held only 500 of 1,000 idle connections).";
    assert!(others.iter().any(|detail| detail == expected), "{others:?}");
    assert!(others.iter().all(|detail| !detail.starts_with("Memory")), "{others:?}");
}
