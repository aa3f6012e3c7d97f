//! The conditions of `--fail-on` that every cell has to meet: `p99<50ms`, `errors<0.1%`, `throughput>1000`.

use crate::schema::{Cell, Results, Verdict};
use crate::statistics::Figure;
use crate::units::{micros, parse_duration};
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

/// A figure that conditions can be about: its name, its kind, and its value in a cell, as the median over the trials.
#[derive(Debug)]
struct Conditional {
    name: &'static str,
    kind: Kind,
    value: fn(&Cell) -> Option<f64>,
}

fn median(figure: Option<Figure>) -> Option<f64> {
    figure.map(|figure| figure.median)
}

const ERRORS: &str = "errors";
const FIGURES: &[Conditional] = &[
    Conditional { name: "mean", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.mean) },
    Conditional { name: "p50", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.p50) },
    Conditional { name: "p90", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.p90) },
    Conditional { name: "p99", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.p99) },
    Conditional { name: "p99.9", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.p999) },
    Conditional { name: "max", kind: Kind::Time, value: |cell| median(cell.figures.latency_us.max) },
    Conditional { name: "cpu", kind: Kind::Time, value: |cell| median(cell.figures.server.cpu_us_per_request) },
    Conditional { name: "throughput", kind: Kind::PerSecond, value: |cell| median(cell.figures.throughput) },
    Conditional {
        name: ERRORS,
        kind: Kind::Share,
        value: |cell| {
            let requests = cell.outcomes.total();
            (requests > 0).then(|| cell.outcomes.errors() as f64 / requests as f64)
        },
    },
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

    /// Returns a line for each cell that does not meet the condition. A cell without that figure does not meet it;
    /// unsupported cells are left out.
    pub fn crossed(&self, results: &Results) -> Vec<String> {
        let tried = results.cells.iter().filter(|cell| cell.verdict != Verdict::Unsupported);
        let lines = tried.filter_map(|cell| {
            let value = (self.figure.value)(cell);
            let met = value.is_some_and(|value| if self.below { value < self.bound } else { value > self.bound });
            let shown = match (value, self.figure.kind) {
                (None, _) => "could not be had".into(),
                (Some(value), Kind::Share) => format!("{:.3} %", value * 100.0),
                (Some(value), Kind::PerSecond) => format!("{value:.1}"),
                (Some(us), Kind::Time) => micros(us),
            };
            (!met).then(|| format!("--fail-on {self}: {}: {} {shown}", cell.key, self.figure.name))
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::OutcomeClass;
    use crate::schema::tests::results;

    #[test]
    fn a_condition_lists_the_cells_that_do_not_meet_it() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        cell.figures.latency_us.p99 = Figure::of(&[49_000.0]);
        cell.figures.throughput = Figure::of(&[1_000.0]);
        cell.outcomes[OutcomeClass::Ok] = 499;
        cell.outcomes[OutcomeClass::Reset] = 1;
        cell.outcomes[OutcomeClass::AbortedAtEnd] = 500;
        let crossed = |text: &str| text.parse::<Condition>().unwrap().crossed(&results);
        assert!(crossed("p99<50ms").is_empty() && crossed("errors < 0.2%").is_empty());
        assert_eq!(
            crossed("throughput>1000"),
            ["--fail-on throughput>1000: a / with 64 connections, keep-alive: throughput 1000.0"]
        );
        assert!(crossed("errors<0.1%")[0].ends_with("errors 0.100 %"));
        assert!(crossed("p50<1h")[0].ends_with("p50 could not be had"));
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
