use super::print;
use crate::background::BackgroundLoad;
use crate::cache::Cache;
use crate::disk::{Ceiling, Disk, FileSet};
use crate::load::Load;
use crate::schedule::Schedule;
use crate::schema::tests::{empty_trial, results};
use crate::schema::{Bound, Cell, Flaw, Results, Trial, Verdict};
use anstream::StripStream;

/// A cold run of these targets: fetches/s, CPU time a fetch in µs, and p99 of a bystander in ms.
fn run(targets: &[(&str, f64, f64, f64)]) -> Results {
    let names: Vec<&str> = targets.iter().map(|target| target.0).collect();
    let mut run = results(&names);
    let fetch = Load { workload: "@100k".into(), cache: Some(Cache::Cold), ..Load::default() };
    let busy = BackgroundLoad { busy: 64, busy_workload: Some("@100k".into()), ..BackgroundLoad::default() };
    let beside = Load { background: busy, schedule: Schedule::Rate(1_200.0), workload: "/".into(), ..fetch.clone() };
    run.settings.loads = vec![fetch, beside];
    run.cells = run.settings.cells().into_iter().map(Cell::new).collect();
    let ceiling = |depth, files_per_second| Ceiling { depth, files_per_second };
    run.settings.disk = Some(Disk {
        dir: "disk-files".into(),
        file_system: "ext4".into(),
        device: "vda".into(),
        memory_bytes: Some(1 << 30),
        sets: vec![FileSet {
            workload: "@100k".into(),
            files: 40_000,
            bytes: 100_000,
            ceilings: vec![ceiling(1, 8_000.0), ceiling(16, 25_000.0), ceiling(32, 24_000.0)],
        }],
    });
    for cell in &mut run.cells {
        let &(_, fetches, cpu, p99) = targets.iter().find(|target| target.0 == cell.key.target).unwrap();
        let is_fetch = cell.key.load.workload == "@100k";
        for block in 0..5 {
            let varied = |value: f64| Some(value * (1.0 + 0.01 * (block % 3) as f64));
            let mut trial = Trial { block: Some(block), ..empty_trial() };
            if is_fetch {
                trial.figures.throughput = varied(fetches);
                trial.figures.server.cpu_us_per_request = varied(cpu);
            } else {
                trial.background.bytes = (fetches * 1e5) as u64;
            }
            trial.figures.bytes_per_second = Some(if is_fetch { fetches * 1e5 } else { 0.0 });
            trial.figures.machine.server_cpus_idle = Some(0.25);
            trial.figures.machine.server_cpus_iowait = Some(0.125);
            trial.figures.machine.disk_bytes_per_second = Some(fetches * 1.02e5);
            trial.figures.latency_us.p99 = if is_fetch { None } else { varied(p99 * 1e3) };
            cell.trials.push(trial);
        }
        cell.summarise();
    }
    run
}

fn printed(run: &Results, width: Option<usize>) -> String {
    let mut out = Vec::new();
    let disk = run.settings.disk.as_ref().unwrap();
    print(run, disk, width, &mut StripStream::new(&mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_run_says_what_the_disk_allows_and_what_each_target_makes_of_it() {
    let mut run =
        run(&[("epoll", 7_000.0, 70.0, 40.0), ("posix-aio", 13_000.0, 72.0, 4.0), ("linux-aio", 22_000.0, 32.0, 3.0)]);
    let flaw = Flaw { verdict: Verdict::Disturbed, why: "other programs used 9 % of its CPUs".into(), bound: None };
    run.cells[2].flaws.insert("latency_us".into(), flaw.clone());
    run.cells[1].flaws.insert("server".into(), flaw.clone());
    let late =
        Flaw { verdict: Verdict::ClientLimited, why: "one request of ten was late".into(), bound: Some(Bound::Upper) };
    run.cells[4].flaws.insert("latency_us".into(), late);
    run.cells[0].trials.iter_mut().for_each(|trial| trial.trend = Some(0.31));
    let expected = include_str!("printed.txt");
    let text = printed(&run, Some(100));
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/disk_report/printed.txt"), &text).unwrap();
    }
    assert_eq!(text, expected);
}

#[test]
fn a_disk_that_reads_no_faster_at_a_depth_is_told() {
    let mut run = run(&[("epoll", 7_000.0, 70.0, 40.0)]);
    run.settings.disk.as_mut().unwrap().sets[0].ceilings[0].files_per_second = 20_000.0;
    let text = printed(&run, None);
    assert!(
        text.contains(
            "only 1.2 times as much as at depth 1 (less than 1.5): on this disk, reads at the same time gain little"
        ),
        "{text}"
    );
    run.settings.disk.as_mut().unwrap().sets[0].ceilings.clear();
    assert!(!printed(&run, None).contains("The disk alone"));
}

#[test]
fn without_any_valid_figure_the_reasons_are_left() {
    let mut run = run(&[("epoll", 7_000.0, 70.0, 40.0), ("linux-aio", 22_000.0, 32.0, 3.0)]);
    for cell in &mut run.cells {
        cell.trials.clear();
        (cell.verdict, cell.reasons) = (Verdict::Unsupported, vec!["not permitted here".into()]);
        cell.summarise();
    }
    let text = printed(&run, None);
    assert!(text.contains("* linux-aio: not permitted here\n") && text.contains("fetches/s not known"), "{text}");
}

#[test]
fn files_that_have_no_room_in_memory_are_told_with_the_memory_that_there_is() {
    let mut run = run(&[("epoll", 7_000.0, 70.0, 40.0)]);
    run.cells.iter_mut().for_each(|cell| cell.key.load.cache = Some(Cache::Thrash));
    let text = printed(&run, None);
    assert!(text.contains("\n100k, thrash · 40000 files, 4000 MB with 1073 MB of memory, 64 connections\n"), "{text}");
    assert!(
        text.contains("epoll serves 7,070 fetches/s at 70.7µs of CPU time a fetch."),
        "memory gives some of them: {text}"
    );
}
