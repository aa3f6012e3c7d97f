//! A chart of one figure of the targets under a load, and the table of all of them.

use crate::chart::rows::{Row, Rows};
use crate::target::Targets;
use maud::{Markup, html};
use results::{Cell, Verdict};

/// A figure that is shown in rows.
pub struct Shown {
    /// Its path in results.json.
    pub path: &'static str,
    /// What it is made of: paths of figures, from the axis on.
    pub made_of: &'static [&'static str],
    /// What these are called.
    pub bars: &'static [&'static str],
    /// What is shown, with its unit.
    pub caption: String,
    /// Writes a value.
    pub written: fn(f64) -> String,
    /// Whether the values are bytes.
    pub is_bytes: bool,
    /// How to read it.
    pub primer: &'static [&'static str],
}

/// The chart of a figure of these cells.
pub fn rows<'r>(shown: Shown, cells: &[&'r Cell], targets: &'r Targets<'r>) -> Rows<'r> {
    let rows = cells.iter().filter_map(|cell| row(&shown, cell, targets)).collect();
    let Shown { bars, caption, written, is_bytes, primer, .. } = shown;
    Rows { caption, written, is_bytes, rows, band: None, bars, primer }
}

fn row<'r>(shown: &Shown, cell: &'r Cell, targets: &'r Targets<'r>) -> Option<Row<'r>> {
    let (name, figure) = cell.figures.at(shown.path);
    let counted = cell.counted_trials();
    let trials = cell.trials.iter().filter_map(|trial| {
        let value = (*trial.figures.at(shown.path).1)?;
        Some((value, trial.is_one_of(&counted)))
    });
    let bars = shown.made_of.iter().map(|path| cell.figures.at(path).1.map(|figure| figure.median));
    Some(Row {
        target: targets.get(&cell.key.target)?,
        figure: figure.ok_or_else(|| why_missing(cell, shown.path)),
        mark: cell.mark(&name),
        flaw: flaw(cell, shown.path),
        bars: bars.collect::<Option<_>>().unwrap_or_default(),
        trials: trials.collect(),
    })
}

/// Why this figure of a cell may not be compared, with its verdict; `None` if it may.
pub fn flaw(cell: &Cell, path: &str) -> Option<String> {
    let (name, _) = cell.figures.at(path);
    match cell.verdict_on(&name) {
        Verdict::Valid => None,
        verdict => {
            let why = cell.flaw(&name).map(|flaw| flaw.why.clone()).or_else(|| cell.reasons.first().cloned());
            Some(why.map_or_else(|| verdict.name().to_owned(), |why| format!("{}: {why}", verdict.name())))
        }
    }
}

/// Why this figure of a cell is not there.
pub fn why_missing(cell: &Cell, path: &str) -> String {
    let (name, _) = cell.figures.at(path);
    let why = cell.why_missing(&name).or_else(|| cell.reasons.first().map(String::as_str));
    why.unwrap_or("it was not measured").to_owned()
}

/// A table as the terminal has it: the texts of each row, of which the first names its target and the last has its verdict, and whether the
/// row is grey. A head without a text is that of the targets.
pub fn texts<'r>(heads: &[&str], rows: impl Iterator<Item = (&'r [String], bool)>) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="figures" {
            table.figures.verdicts {
                thead { tr { @for head in heads { th scope="col" { (if head.is_empty() { "target" } else { head }) } } } }
                tbody {
                    @for (row, is_grey) in rows {
                        tr class=[is_grey.then_some("grey")] {
                            @for (number, text) in row.iter().enumerate() {
                                @if number == 0 { th scope="row" { (text) } } @else { td { (text) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
