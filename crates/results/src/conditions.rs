//! The conditions of `--fail-on` that every cell has to meet: `p99<50ms`, `errors<0.1%`, `throughput>1000`.
//!
//! A figure that may not be compared does not meet a condition, unless it is a bound that decides it: a throughput of at
//! least 26,000 is above 1000, and a latency of at most 1 ms is below 50 ms.

use crate::figures::CPU;
use crate::schema::{Bound, Cell, Results, Verdict};
use crate::units::{micros, parse_duration};
use crate::verdict;
use std::fmt;
use std::str::FromStr;

/// What a condition's bound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A time; the figure is in microseconds.
    Time,
    /// A number a second.
    PerSecond,
    /// A share; the bound is in per cent.
    Share,
}

/// A figure that conditions can be about: its name, its kind, and its path in results.json. The share of failed requests
/// is no figure, and has no path.
#[derive(Debug)]
struct Conditional {
    name: &'static str,
    kind: Kind,
    path: &'static str,
}

impl Conditional {
    /// The value in this cell: the median over its trials, and of the maximum the maximum over its trials. `Err` says why
    /// it could not be had.
    fn value(&self, cell: &Cell) -> Result<f64, String> {
        if self.name == ERRORS {
            let requests = cell.outcomes.total();
            let share = cell.outcomes.errors() as f64 / requests as f64;
            return if requests > 0 { Ok(share) } else { Err("no request was sent".into()) };
        }
        let (name, figure) = cell.figures.at(self.path);
        let figure = figure.ok_or_else(|| cell.why_missing(&name).unwrap_or("it is missing").to_owned())?;
        let trials = cell.counted_trials().into_iter();
        let largest = trials.filter_map(|trial| *trial.figures.at(self.path).1);
        Ok(if self.name == MAX { largest.fold(figure.median, f64::max) } else { figure.median })
    }

    fn show(&self, value: f64) -> String {
        match self.kind {
            Kind::Share => format!("{:.3} %", value * 100.0),
            Kind::PerSecond => format!("{value:.1}"),
            Kind::Time => micros(value),
        }
    }
}

const ERRORS: &str = "errors";
const MAX: &str = "max";
const FIGURES: &[Conditional] = &[
    Conditional { name: "mean", kind: Kind::Time, path: "latency_us.mean" },
    Conditional { name: "p50", kind: Kind::Time, path: "latency_us.p50" },
    Conditional { name: "p90", kind: Kind::Time, path: "latency_us.p90" },
    Conditional { name: "p99", kind: Kind::Time, path: "latency_us.p99" },
    Conditional { name: "p99.9", kind: Kind::Time, path: "latency_us.p999" },
    Conditional { name: MAX, kind: Kind::Time, path: "latency_us.max" },
    Conditional { name: "cpu", kind: Kind::Time, path: CPU },
    Conditional { name: "throughput", kind: Kind::PerSecond, path: "throughput" },
    Conditional { name: ERRORS, kind: Kind::Share, path: "" },
];

/// One condition of `--fail-on`.
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    figure: &'static Conditional,
    below: bool,
    bound: f64,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let wrong = |what: &str| format!("'{text}': {what}; write it as in p99<50ms, errors<0.1% or throughput>1000");
        let no_sign = || wrong("there is no < or > in it (a shell takes one that is not in quotes)");
        let at = text.find(['<', '>']).ok_or_else(no_sign)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        if bound.is_empty() || bound.starts_with(['=', '<', '>']) {
            return Err(wrong("a bound comes after one < or >"));
        }
        let unknown = || {
            let names: Vec<&str> = FIGURES.iter().map(|figure| figure.name).collect();
            wrong(&format!("there is no figure '{name}'; there is {}", names.join(", ")))
        };
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(unknown)?;
        let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        let bound = match figure.kind {
            Kind::Time => parse_duration(bound).map_err(|why| wrong(&why))?.as_secs_f64() * 1e6,
            Kind::PerSecond => number(bound).ok_or_else(|| wrong(&format!("'{bound}' is no number")))?,
            Kind::Share => {
                let percent = bound.strip_suffix('%').and_then(number);
                let percent = percent.filter(|percent| *percent <= 100.0);
                percent.ok_or_else(|| wrong("a share of errors is a number up to 100 with a %"))? / 100.0
            }
        };
        Ok(Condition { text: text.into(), figure, below: text[at..].starts_with('<'), bound })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// Whether the condition is about failed requests. Then failed requests alone do not fail the run.
    pub fn is_about_errors(&self) -> bool {
        self.figure.name == ERRORS
    }

    /// Why this cell does not meet the condition; `None` if it does.
    fn objection(&self, cell: &Cell) -> Option<String> {
        let Conditional { name, path, .. } = self.figure;
        let value = match self.figure.value(cell) {
            Ok(value) => value,
            Err(why) => return Some(format!("{name} could not be had: {why}")),
        };
        let is_met = if self.below { value < self.bound } else { value > self.bound };
        let shown = self.figure.show(value);
        let objection = (!is_met).then(|| format!("{name} {shown}"));
        if self.is_about_errors() {
            return objection;
        }
        let (figure, _) = cell.figures.at(path);
        let flaw = cell.flaw(&figure);
        let decides = match flaw.and_then(|flaw| flaw.bound) {
            Some(Bound::Lower) => !self.below,
            Some(Bound::Upper) => self.below,
            None => false,
        };
        match cell.verdict_on(&figure) {
            Verdict::Valid => objection,
            _ if decides && is_met => None,
            verdict => {
                let why =
                    flaw.map(|flaw| flaw.why.clone()).or_else(|| cell.reasons.first().cloned()).unwrap_or_default();
                let bound = flaw.filter(|flaw| flaw.bound.is_some()).map_or("", |flaw| flaw.mark());
                Some(format!("{name} {bound}{shown} is not valid: {}: {why}", verdict.name()))
            }
        }
    }
}

/// A line for each condition and each cell that does not meet it. A cell without that figure does not meet it;
/// unsupported cells are left out. A condition on errors allows some failures, so then failed requests make no other
/// figure invalid; what else speaks against a figure does.
pub fn crossed(conditions: &[Condition], results: &Results) -> Vec<String> {
    let is_about_errors = conditions.iter().any(Condition::is_about_errors);
    let tolerates = |cell: &Cell| is_about_errors && cell.verdict == Verdict::Errors;
    let tried = results.cells.iter().filter(|cell| cell.verdict != Verdict::Unsupported);
    let tolerated: Vec<Option<Cell>> = tried
        .clone()
        .map(|cell| tolerates(cell).then(|| verdict::beneath_errors(cell, results.machine.cpus)))
        .collect();
    let lines = conditions.iter().flat_map(|condition| {
        tried.clone().zip(&tolerated).filter_map(move |(cell, tolerated)| {
            let judged = tolerated.as_ref().filter(|_| !condition.is_about_errors()).unwrap_or(cell);
            Some(format!("--fail-on {condition}: {}: {}", cell.key, condition.objection(judged)?))
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;
    use crate::outcomes::OutcomeClass;
    use crate::schema::Flaw;
    use crate::schema::tests::{empty_trial, results};
    use crate::statistics::Figure;

    fn lines(results: &Results, texts: &[&str]) -> Vec<String> {
        let conditions: Vec<Condition> = texts.iter().map(|text| text.parse().unwrap()).collect();
        crossed(&conditions, results)
    }

    #[test]
    fn a_condition_lists_the_cells_that_do_not_meet_it() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        cell.figures.latency_us.p99 = Figure::of(&[49_000.0]);
        cell.figures.throughput = Figure::of(&[1_000.0]);
        cell.outcomes[OutcomeClass::Ok] = 499;
        cell.outcomes[OutcomeClass::Reset] = 1;
        cell.outcomes[OutcomeClass::AbortedAtEnd] = 500;
        cell.missing.insert("latency_us.p50".into(), "needs 20 samples, has 7".into());
        assert!(lines(&results, &["p99<50ms", "errors < 0.2%"]).is_empty());
        assert_eq!(
            lines(&results, &["throughput>1000"]),
            ["--fail-on throughput>1000: a / with 64 connections, keep-alive: throughput 1000.0"]
        );
        assert!(lines(&results, &["errors<0.1%"])[0].ends_with("errors 0.100 %"));
        assert!(lines(&results, &["p50<1h"])[0].ends_with("p50 could not be had: needs 20 samples, has 7"));
        assert!(lines(&results, &["p90<1h"])[0].ends_with("p90 could not be had: it is missing"));
        assert!(FIGURES.iter().all(|it| it.name == ERRORS || Figures::all(()).at(it.path).0.path() == it.path));
    }

    #[test]
    fn a_figure_with_a_flaw_meets_a_condition_only_if_it_is_a_bound_that_decides_it() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        cell.figures.latency_us = crate::figures::Times::all(Figure::of(&[1_200.0]));
        cell.figures.throughput = Figure::of(&[26_000.0]);
        cell.figures.server.cpu_us_per_request = Figure::of(&[7.0]);
        let flaw = |verdict, bound| Flaw { verdict, why: "it was busy".into(), bound };
        cell.verdict = Verdict::ClientLimited;
        cell.flaws.insert("throughput".into(), flaw(Verdict::ClientLimited, Some(Bound::Lower)));
        cell.flaws.insert("latency_us".into(), flaw(Verdict::ClientLimited, Some(Bound::Upper)));
        assert!(lines(&results, &["throughput>1000", "p99<50ms", "cpu<8us"]).is_empty());
        let line = |condition: &str| lines(&results, &[condition]).concat();
        assert!(line("throughput>27000").contains("throughput >=26000.0 is not valid"));
        assert!(line("throughput<30000").contains("throughput >=26000.0 is not valid: client-limited: it was busy"));
        assert!(line("p99<1ms").contains("p99 <=1.20ms is not valid: client-limited: it was busy"));
        assert!(line("p99>1ms").contains("p99 <=1.20ms is not valid"));
        results.cells[0].flaws.insert("latency_us.p99".into(), flaw(Verdict::Starved, None));
        assert!(lines(&results, &["p99<50ms"]).concat().contains("p99 1.20ms is not valid: starved: it was busy"));
        assert!(lines(&results, &["p50<50ms"]).is_empty());
    }

    #[test]
    fn a_condition_on_errors_allows_the_other_figures_of_a_cell_with_failed_requests() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        cell.figures.throughput = Figure::of(&[26_000.0]);
        cell.outcomes[OutcomeClass::Ok] = 999;
        cell.outcomes[OutcomeClass::Reset] = 1;
        (cell.verdict, cell.reasons) = (Verdict::Errors, vec!["1 of 1000 requests ended as reset".into()]);
        let why = "throughput 26000.0 is not valid: errors: 1 of 1000 requests ended as reset";
        assert!(lines(&results, &["throughput>1000"]).concat().ends_with(why));
        assert!(lines(&results, &["throughput>1000", "errors<1%"]).is_empty());
        let mut trial = empty_trial();
        (trial.seconds, trial.figures.machine.steal) = (5.0, Some(0.5));
        trial.outcomes = results.cells[0].outcomes;
        results.cells[0].trials.push(trial);
        let line = lines(&results, &["throughput>1000", "errors<1%"]).concat();
        assert!(line.contains("throughput 26000.0 is not valid: disturbed: the hypervisor gave"), "{line}");
    }

    #[test]
    fn the_maximum_is_that_of_all_trials() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        for max in [1_000.0, 2_000.0, 90_000.0] {
            let mut trial = empty_trial();
            trial.figures.latency_us.max = Some(max);
            cell.trials.push(trial);
        }
        cell.summarise();
        assert_eq!(cell.figures.latency_us.max.unwrap().median, 2_000.0);
        assert!(lines(&results, &["max<50ms"]).concat().ends_with("max 90.0ms"));
    }

    #[test]
    fn a_wrong_condition_is_refused_with_an_example() {
        for (bad, words) in [
            ("", "in quotes"),
            ("p99", "in quotes"),
            ("p99<", "a bound comes after"),
            ("p99<=50ms", "a bound comes after"),
            ("errors<<1%", "a bound comes after"),
            ("p99<50", "'50' is no time"),
            ("p98<5ms", "there is no figure 'p98'"),
            ("<5ms", "there is no figure ''"),
            ("P99<5ms", "there is mean, p50"),
            ("errors<1", "with a %"),
            ("errors<101%", "up to 100"),
            ("throughput>many", "'many' is no number"),
            ("throughput>1e999", "'1e999' is no number"),
            ("throughput>1>2", "'1>2' is no number"),
            ("cpu>-1us", "'-1us' is no time"),
        ] {
            let why = bad.parse::<Condition>().unwrap_err();
            assert!(why.contains(words) && why.contains("write it as in p99<50ms"), "{why}");
        }
    }
}
