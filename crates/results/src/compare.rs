//! Compares two runs: what changed beyond noise.
//!
//! The trials of a run share the state of the machine, and of what was started once for the whole run, so two runs of the
//! same thing can differ by more than their trials do (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time",
//! ISMM 2013). The trials of two single runs therefore show only whether these two runs differ. Whether it is a change
//! for better or worse, runs as replicates show: merged results of at least two runs on each side.

use crate::load::Key;
use crate::ranks::{COMPARED, Compared, values};
use crate::schema::{Cell, Results, Verdict};
use crate::statistics::{self, Ratio};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

/// What the values are that are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replicates {
    /// The trials of single runs.
    Trials,
    /// Several runs, each by the geometric mean of its trials.
    Runs,
}

/// A figure of a cell that two runs have.
pub struct Change<'r> {
    /// The cell.
    pub key: &'r Key,
    /// The figure as it is called in what is printed: `CPU/r`.
    pub figure: &'static str,
    /// The second run's figure to the first one's.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What that says, in words.
    pub judgement: &'static str,
    /// Whether it changed beyond noise, and by 3 % or more.
    pub is_change: bool,
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { key, figure, ratio, low, high, judgement, .. } = self;
        write!(f, "{key}: {figure} x{ratio:.3} ({low:.3} to {high:.3}): {judgement}")
    }
}

/// What two runs say of each other.
pub struct Comparison<'r> {
    /// What is not compared, and why, a line each.
    pub left_out: Vec<String>,
    /// What is compared.
    pub changes: Vec<Change<'r>>,
    /// What has to be known of these changes; `None` if nothing has.
    pub note: Option<&'static str>,
}

/// A change between two single runs may be one of these two runs.
const TWO_RUNS: &str = "Whether it would differ in other runs, too, two runs cannot tell: merge several runs of each (loadtest \
                        merge), and compare those.";

/// Compares each figure of each cell that both runs have. Holm's method corrects for the number of comparisons, and a difference
/// below 3 % is none. A figure that neither run has is not mentioned.
pub fn compare<'r>(first: &'r Results, second: &'r Results) -> Comparison<'r> {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for before in &first.cells {
        let Some(after) = second.cells.iter().find(|after| after.key == before.key) else {
            left_out.push(format!("{}: only in {}", before.key, first.run_id));
            continue;
        };
        let [verdict, other] =
            [before, after].map(|cell| if cell.flaws.is_empty() { cell.verdict } else { Verdict::Valid });
        if let Some(invalid) = [verdict, other].into_iter().find(|verdict| *verdict != Verdict::Valid) {
            left_out.push(format!("{}: {}, so not compared", before.key, invalid.name()));
            continue;
        }
        let is_told = |figure: &&Compared| [before, after].iter().any(|cell| has_value_or_flaw(cell, figure));
        for figure in COMPARED.iter().filter(is_told) {
            match ratio(before, after, figure) {
                Ok((replicates, ratio)) => found.push((&before.key, figure, replicates, ratio)),
                Err(why) => left_out.push(format!("{}: {}: {why}", before.key, figure.name)),
            }
        }
    }
    let is_new = |after: &&Cell| first.cells.iter().all(|before| before.key != after.key);
    left_out
        .extend(second.cells.iter().filter(is_new).map(|after| format!("{}: only in {}", after.key, second.run_id)));
    let significant = statistics::holm(&found.iter().map(|(.., ratio)| ratio.p).collect::<Vec<_>>());
    let change = |((key, figure, replicates, ratio), is_significant): (_, bool)| {
        change(key, figure, replicates, ratio, is_significant)
    };
    let changes: Vec<Change<'_>> = found.into_iter().zip(significant).map(change).collect();
    let is_open = changes.iter().any(|change| change.judgement == DIFFERS);
    Comparison { left_out, changes, note: is_open.then_some(TWO_RUNS) }
}

/// What is said of a change between two single runs.
const DIFFERS: &str = "differs in these two runs";

fn change<'r>(
    key: &'r Key,
    figure: &'static Compared,
    replicates: Replicates,
    of: Ratio,
    is_significant: bool,
) -> Change<'r> {
    let judgement = match replicates {
        _ if !is_significant => "no change beyond noise",
        _ if of.is_negligible() => "no change: below 3 %",
        Replicates::Trials => DIFFERS,
        Replicates::Runs if (of.ratio > 1.0) == figure.higher_is_better => "better",
        Replicates::Runs => "worse",
    };
    let Ratio { ratio, low, high, .. } = of;
    let is_change = is_significant && !of.is_negligible();
    Change { key, figure: figure.name, ratio, low, high, judgement, is_change }
}

/// Prints what changed beyond noise from the first run to the second, as [`compare`] finds it.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(first: &Results, second: &Results, out: &mut dyn Write) -> io::Result<()> {
    let Comparison { left_out, changes, note } = compare(first, second);
    left_out.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    changes.iter().try_for_each(|change| writeln!(out, "{change}"))?;
    note.iter().try_for_each(|note| writeln!(out, "{note}"))
}

fn has_value_or_flaw(cell: &Cell, figure: &Compared) -> bool {
    let (name, value) = cell.figures.at(figure.path);
    value.is_some() || cell.flaw(&name).is_some()
}

/// The ratio of a figure in two cells; `Err` says why it cannot be had.
fn ratio(before: &Cell, after: &Cell, figure: &Compared) -> Result<(Replicates, Ratio), String> {
    let (name, _) = before.figures.at(figure.path);
    if let Some(flaw) = before.flaw(&name).or(after.flaw(&name)) {
        return Err(format!("{}, so not compared", flaw.verdict.name()));
    }
    let [mine, theirs] = [before, after].map(|cell| by_run(cell, figure));
    if mine.len().min(theirs.len()) >= 2 {
        let ratio = statistics::unpaired(&mine, &theirs);
        return ratio.map(|ratio| (Replicates::Runs, ratio)).ok_or("a value is not above zero".into());
    }
    let [mine, theirs] = [before, after].map(|cell| values(cell, figure));
    let least = statistics::MIN_TRIALS;
    let enough = mine.len().min(theirs.len()) >= least;
    let ratio = statistics::unpaired(&mine, &theirs).filter(|_| enough);
    ratio.map(|ratio| (Replicates::Trials, ratio)).ok_or_else(|| {
        format!("needs {least} trials with that figure in each, or several runs in each") //
    })
}

/// The geometric mean of the figure in each run whose trials the cell has; empty if a trial lacks it.
fn by_run(cell: &Cell, figure: &Compared) -> Vec<f64> {
    let mut logarithms: BTreeMap<Option<&str>, Vec<f64>> = BTreeMap::new();
    for (trial, value) in cell.counted_trials().into_iter().zip(values(cell, figure)) {
        logarithms.entry(trial.run_id.as_deref()).or_default().push(value.ln());
    }
    logarithms.values().map(|of_run| (of_run.iter().sum::<f64>() / of_run.len() as f64).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::merge;
    use crate::schema::Flaw;
    use crate::schema::tests::run;

    fn printed(first: &Results, second: &Results) -> String {
        let mut out = Vec::new();
        print(first, second, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn two_runs_show_only_whether_these_two_differ() {
        let before = run("r", &[("a", 100.0)], 5);
        let against = |speed: f64| printed(&before, &run("s", &[("a", speed)], 5));
        assert!(against(100.1).contains("no change beyond noise\n"));
        assert!(against(102.9).contains("x1.029 (1.016 to 1.042): no change: below 3 %\n"), "{}", against(102.9));
        let faster = against(120.0);
        assert!(
            faster.contains("x1.200") && faster.contains(": differs in these two runs\nWhether it would"),
            "{faster}"
        );
        assert!(printed(&before, &run("s", &[("a", 80.0)], 3)).contains("req/s: needs 4 trials"));
    }

    #[test]
    fn merged_runs_are_compared_by_run() {
        let several = |prefix: &str, speeds: [f64; 3]| {
            let runs = speeds.iter().zip(0..).map(|(&speed, n)| run(&format!("{prefix}{n}"), &[("a", speed)], 5));
            runs.reduce(|all, one| merge(all, one).unwrap()).unwrap()
        };
        let before = several("r", [100.0, 101.0, 99.0]);
        let line = |speeds| printed(&before, &several("s", speeds));
        assert!(line([80.0, 81.0, 79.0]).contains(": worse\n"));
        assert!(line([120.0, 121.0, 119.0]).contains(": better\n"));
        // Each trial of one side is better than each of the other, but the runs differ among themselves by more.
        assert!(line([103.2, 112.0, 103.4]).contains(": no change beyond noise\n"), "{}", line([103.2, 112.0, 103.4]));
    }

    #[test]
    fn a_figure_with_a_flaw_is_not_compared_and_the_others_are() {
        let (mut before, after) = (run("r", &[("a", 100.0)], 5), run("s", &[("a", 100.0)], 5));
        before.cells[0].verdict = Verdict::Starved;
        assert_eq!(printed(&before, &after), "a / with 64 connections, keep-alive: starved, so not compared\n");
        let flaw = Flaw { verdict: Verdict::Starved, why: "why".into(), bound: None };
        before.cells[0].flaws.insert("latency_us".into(), flaw.clone());
        let text = printed(&before, &after);
        assert!(text.contains("p99: starved, so not compared\n") && text.contains("req/s x1.000"), "{text}");
        before.cells[0].flaws.insert("throughput".into(), flaw);
        assert!(printed(&before, &after).contains("req/s: starved, so not compared\n"));
    }
}
