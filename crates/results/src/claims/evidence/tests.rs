use super::*;
use crate::schema::tests::{empty_trial, results};
use crate::schema::{Flaw, Ruling, Trial};

/// An experiment with two loads, of 10 and 1000 connections, and what each target costs a request in each block of each load.
fn run(costs: &[(&str, [&[f64]; 2])]) -> Results {
    let mut run = results(&costs.iter().map(|(target, _)| *target).collect::<Vec<_>>());
    run.settings.loads = [10, 1000].map(|concurrency| Load { concurrency, ..Load::default() }).into();
    run.cells = run.settings.cells().into_iter().map(Cell::new).collect();
    for cell in &mut run.cells {
        let (_, costs) = costs.iter().find(|(target, _)| *target == cell.key.target).expect("it has costs");
        for (block, cost) in (0..).zip(costs[usize::from(cell.key.load.concurrency == 1000)]) {
            let mut trial = Trial { block: Some(block), ..empty_trial() };
            trial.figures.server.cpu_us_per_request = Some(*cost);
            trial.figures.server.threads = Some(*cost);
            trial.figures.throughput = Some(1e6 / cost);
            cell.trials.push(trial);
        }
        cell.summarise();
    }
    run
}

fn evidence(run: &Results) -> Evidence<'_> {
    Evidence { results: run, claims: 18 }
}

fn blocks(measure: &Measure) -> Vec<f64> {
    match &measure.values {
        Ok(Values::Blocks(values)) => values.iter().map(|value| (value * 1e6).round() / 1e6).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ratios_are_those_of_the_blocks_of_any_two_places() {
    let run = run(&[("a", [&[1.0, 2.0, 4.0], &[2.0, 4.0, 8.0]]), ("b", [&[1.0, 1.0, 1.0], &[3.0, 6.0, 12.0]])]);
    let seen = evidence(&run);
    assert_eq!(blocks(&seen.cpu_ratio(("a", 0), ("b", 0))), [1.0, 2.0, 4.0]);
    assert_eq!(blocks(&seen.cpu_ratio(("a", 1), ("a", 0))), [2.0, 2.0, 2.0]);
    assert_eq!(blocks(&seen.share_of("share", CPU, ("a", 0), 4.0)), [0.25, 0.5, 1.0]);
    let threads = seen.level("threads", "server.threads", ("a", 1));
    assert_eq!(threads.values, Ok(Values::Count { value: 8.0, low: 2.0, high: 8.0 }));
}

#[test]
fn a_slope_is_that_of_the_logarithms_in_each_block() {
    // Twice the CPU time with a hundred times the connections, and four times.
    let run = run(&[("a", [&[1.0, 3.0, 5.0], &[2.0, 6.0, 10.0]]), ("b", [&[1.0, 2.0, 3.0], &[4.0, 8.0, 12.0]])]);
    let slope = |factor: f64| (factor.ln() / 100.0_f64.ln() * 1e6).round() / 1e6;
    assert_eq!(blocks(&evidence(&run).steeper("slope", "b", "a")), [slope(2.0); 3]);
    assert_eq!(blocks(&evidence(&run).steeper("slope", "a", "b")), [-slope(2.0); 3]);
}

#[test]
fn a_figure_with_a_flaw_is_no_evidence() {
    let whole = run(&[("a", [&[1.0; 3], &[1.0; 3]]), ("b", [&[3.0; 3], &[3.0; 3]])]);
    let with = |verdict| {
        let mut run = whole.clone();
        for path in ["server", "throughput"] {
            run.cells[0].flaws.insert(path.into(), Flaw { verdict, why: "others".into(), bound: None });
        }
        run
    };
    let cpu = |run: &Results| evidence(run).cpu_ratio(("b", 0), ("a", 0)).at_least(2.0);
    let rate = |run: &Results| evidence(run).ratio("rate", THROUGHPUT, ("b", 0), ("a", 0)).at_most(0.5);
    assert_eq!((cpu(&whole).ruling, rate(&whole).ruling), (Ruling::Holds, Ruling::Holds));
    for verdict in [Verdict::Disturbed, Verdict::ClientLimited, Verdict::Errors, Verdict::Unstable] {
        let run = with(verdict);
        for part in [cpu(&run), rate(&run)] {
            let why = format!("a: {}: others", verdict.name());
            assert_eq!((part.ruling, part.why), (Ruling::CannotBeShown, Some(why)));
        }
    }
    // Those that get no answer do not change how many others get.
    let mut starved = with(Verdict::Starved);
    assert_eq!((cpu(&starved).ruling, rate(&starved).ruling), (Ruling::CannotBeShown, Ruling::Holds));
    for trial in &mut starved.cells[0].trials {
        trial.figures.machine.foreign_on_server_cpus = Some(0.5);
    }
    assert_eq!(rate(&starved).ruling, Ruling::CannotBeShown);
}

#[test]
fn what_was_not_measured_has_a_reason() {
    let mut run = run(&[("a", [&[1.0; 3], &[1.0; 3]]), ("b", [&[3.0; 3], &[3.0; 3]])]);
    run.cells[1].verdict = Verdict::Unsupported;
    run.cells[1].reasons = vec!["io_uring is forbidden".into()];
    run.cells.retain(|cell| cell.key.target == "b" || cell.key.load.concurrency == 10);
    let why = |of, to| evidence(&run).cpu_ratio(of, to).values.unwrap_err();
    assert_eq!(why(("b", 0), ("a", 0)), "b: io_uring is forbidden");
    assert_eq!(why(("a", 1), ("b", 1)), "a was not measured with / with 1000 connections, keep-alive");
    assert_eq!(why(("a", 2), ("a", 0)), "the experiment has no such load");
    let memory = evidence(&run).memory_ratio(("a", 0), ("a", 0)).values.unwrap_err();
    assert_eq!(memory, "a: the program that measured it did not have this figure");
}
