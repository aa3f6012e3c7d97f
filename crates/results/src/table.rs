//! Prints the comparison tables of a run.

mod columns;
mod notes;
mod ranked_by;
mod reasons;
#[cfg(test)]
mod tests;
mod wording;

use crate::lacks::{self, lacking};
use crate::lists::{each_once, names};
use crate::noise::aa_name;
use crate::schedule::{Arrivals, Schedule};
use crate::schema::{Cell, Results, Verdict, by_load};
use crate::units::plural;
use crate::unlike_answers;
use crate::wrap::wrap;
use anstyle::{AnsiColor, Style};
use columns::Column;
use notes::{Printed, notes};
use ranked_by::RankedBy;
use std::io::{self, Write};

/// What stands after the name of a guest.
const GUEST: &str = "*";

/// Prints all cells: a table for each load, and under each table what is to be said of its rows. What needs an explanation
/// gets it at the end, if it occurs. Headings are bold and verdicts have colours; a stream that is no terminal has to leave
/// these out, as `anstream::AutoStream` does.
///
/// The rows are compared by CPU time a request; beside busy clients by a high percentile of the latency, and by another
/// figure where no target has that. Where it has an interval, they are sorted by it, the best first: the order of single
/// values is chance. A row is grey if that figure of it may not be compared. A dash stands for a figure that is missing,
/// and a column without any figure is not printed; results.json says why they are missing. Where there are too few requests
/// for a 99th percentile, the 90th stands in its place, with its name.
///
/// A table is at most `width` columns wide: of what does not fit, the least telling columns are left out, and a line below
/// the table names them. Without a width, everything is printed.
///
/// The copy of a target that is measured twice has no row: how much it differs is noise. If it failed, a line says why.
/// Targets that do not have the workload have a line instead of rows, unless none has it. A guest has an asterisk.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let tables = tables(results, width);
    for (number, table) in tables.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        table.print(width, out)?;
    }
    for (number, line) in below(results, &tables).into_iter().enumerate() {
        let space = if number == 0 { "\n" } else { "" };
        writeln!(out, "{space}{}", wrap(&line, 2, width))?;
    }
    if results.interrupted && results.cells.is_empty() {
        writeln!(out, "interrupted: nothing was measured")?;
    } else if results.interrupted {
        writeln!(out, "\ninterrupted: only what was measured until then is shown")?;
    }
    Ok(())
}

/// A table for each load, in the order of the run.
pub fn tables(results: &Results, width: Option<usize>) -> Vec<Table<'_>> {
    let of_load = |load: Vec<usize>| Table::of(results, load.iter().map(|&at| &results.cells[at]).collect(), width);
    by_load(&results.cells).into_iter().map(of_load).collect()
}

/// What is said below all tables of a run: which flags targets ran with, which are guests, and how to read the tables.
pub fn below(results: &Results, tables: &[Table<'_>]) -> Vec<String> {
    let given = results.targets.iter().filter(|(_, said)| !said.given.is_empty()).map(|(target, said)| {
        let given: Vec<String> = said.given.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        format!("{target} ran with {}", given.join(" "))
    });
    let printed: Vec<&Printed> = tables.iter().map(|table| &table.printed).collect();
    given.chain(guests(results)).chain(notes(&printed)).collect()
}

/// The table of the cells under a load, as texts.
pub struct Table<'r> {
    /// Names the load.
    pub heading: String,
    /// Its rows, in their order.
    pub rows: Vec<Row<'r>>,
    /// The heading of each column.
    pub heads: Vec<&'static str>,
    /// What is said of its rows below it.
    pub lines: Vec<String>,
    /// The path in results.json of the figure that the rows are compared by; `None` if they have none.
    pub by: Option<&'static str>,
    printed: Printed,
}

/// A row of a table.
pub struct Row<'r> {
    /// The cell.
    pub cell: &'r Cell,
    /// The text in each column.
    pub texts: Vec<String>,
    /// Whether the figure that the rows are compared by may not be compared, or is not there.
    pub is_grey: bool,
}

impl<'r> Table<'r> {
    fn of(results: &'r Results, mut cells: Vec<&'r Cell>, width: Option<usize>) -> Table<'r> {
        let load = &cells[0].key.load;
        let heading = heading(cells[0], results.settings.arrivals);
        let by = RankedBy::of(&cells);
        let sorted_by = by.filter(|by| by.orders(&cells));
        if let Some(by) = sorted_by {
            by.sort(&mut cells);
        }
        let mut rows: Vec<&Cell> = cells.iter().copied().filter(|cell| !is_copy(&cells, cell)).collect();
        let lacking = without_those_that_lack_it(&mut rows);
        let unlike = unlike_answers::lines(&rows, |target| results.is_guest(target));
        cells.retain(|cell| cell.verdict == Verdict::Errors || rows.iter().any(|row| row.key == cell.key));
        let all = columns::columns(&rows, by);
        let text = |column: Column, cell: &Cell| match column {
            Column::Target if results.is_guest(&cell.key.target) => format!("{} {GUEST}", cell.key.target),
            _ => column.text(cell, by),
        };
        let texts = |column: Column| rows.iter().map(|cell| text(column, cell)).collect::<Vec<_>>();
        let columns: Vec<Texts> = all.iter().map(|&column| (column, texts(column))).collect();
        let (columns, left_out) = fit(columns, &columns::by_telling(load, &rows, by), width);
        let left_out_line = || format!("left out for want of width: {}", left_out.join(", "));
        let lines = (!left_out.is_empty()).then(left_out_line).into_iter().chain(lacking);
        let lines = lines.chain(unlike).chain(reasons::lines(&cells, by)).collect();
        let row = |(number, &cell): (usize, &&'r Cell)| Row {
            cell,
            texts: columns.iter().map(|(_, texts)| texts[number].clone()).collect(),
            is_grey: by.is_some_and(|by| !by.is_valid(cell)),
        };
        Table {
            heading,
            rows: rows.iter().enumerate().map(row).collect(),
            heads: columns.iter().map(|(column, _)| column.head()).collect(),
            lines,
            by: by.map(|by| by.path),
            printed: Printed {
                sorted_by,
                rows: rows.len(),
                columns,
                is_beside_busy: load.background.busy > 0,
                left_out: !left_out.is_empty(),
            },
        }
    }

    fn print(&self, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let bold = Style::new().bold();
        writeln!(out, "{bold}{}{bold:#}", wrap(&self.heading, 2, width))?;
        let widths: Vec<usize> = self.printed.columns.iter().map(text_width).collect();
        write_row(out, &self.heads, &widths, Style::new(), Style::new())?;
        for row in &self.rows {
            let texts: Vec<&str> = row.texts.iter().map(String::as_str).collect();
            let row_style = if row.is_grey { Style::new().dimmed() } else { Style::new() };
            write_row(out, &texts, &widths, row_style, style(row.cell.verdict))?;
        }
        self.lines.iter().try_for_each(|line| writeln!(out, "{}", wrap(&format!("  {line}"), 4, width)))
    }
}

/// Takes out the cells that were not measured because their target does not have the workload, unless none would be left,
/// and returns what is to be said of them.
fn without_those_that_lack_it(rows: &mut Vec<&Cell>) -> Vec<String> {
    if rows.iter().all(|cell| lacking(cell).is_some()) {
        return Vec::new();
    }
    let workloads = each_once(rows.iter().filter_map(|cell| lacking(cell)));
    let line = |workload| {
        let without = rows.iter().filter(|cell| lacking(cell) == Some(workload));
        let targets: Vec<String> = without.map(|cell| lacks::target(cell)).collect();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let verb = if targets.len() == 1 { "does" } else { "do" };
        format!("{} {verb} not have {workload}", names(&targets))
    };
    let lines = workloads.into_iter().map(line).collect();
    rows.retain(|cell| lacking(cell).is_none());
    lines
}

/// The guests of a run, each with its version, or else with its command.
fn guests(results: &Results) -> Option<String> {
    let targets = &results.settings.targets;
    let is_copy = |target: &&String| targets.iter().any(|original| aa_name(original) == **target);
    let originals = targets.iter().filter(|target| !is_copy(target));
    let guests = originals.filter_map(|target| Some((target, results.targets.get(target)?)));
    let named = guests.filter(|(_, said)| said.is_guest).map(|(target, said)| match said.facts.get("version") {
        Some(version) => format!("{target} {version}"),
        None => said.command().map_or_else(|| target.clone(), |command| format!("{target} ({command})")),
    });
    let named: Vec<String> = named.collect();
    let what = if named.len() == 1 { "a guest" } else { "guests" };
    (!named.is_empty()).then(|| format!("{GUEST} {what}: {}", named.join(", ")))
}

/// Names the load of a cell.
fn heading(cell: &Cell, arrivals: Arrivals) -> String {
    let load = &cell.key.load;
    let connections = plural(load.concurrency, "connection");
    let poisson = match (load.schedule, arrivals) {
        (Schedule::Closed, _) | (_, Arrivals::Even) => "",
        (_, Arrivals::Poisson) => ", Poisson arrivals",
    };
    let beside = if load.background.is_none() { String::new() } else { format!(" · beside {}", load.background) };
    let cache = load.cache.map_or(String::new(), |cache| format!(" · {cache}"));
    let (workload, mode, schedule) = (&load.workload, load.requests_per_connection, load.schedule);
    format!("{workload} · {connections} · {mode} · {schedule}{poisson}{beside}{cache}")
}

/// Whether this cell is the copy of a target that is measured twice; `cells` are those under the same load.
fn is_copy(cells: &[&Cell], cell: &Cell) -> bool {
    cells.iter().any(|original| aa_name(&original.key.target) == cell.key.target)
}

/// A column with its texts.
type Texts = (Column, Vec<String>);

/// The columns that fit, and the names of those that do not. The least telling go first; two stay in any case.
fn fit(mut columns: Vec<Texts>, by_telling: &[Column], width: Option<usize>) -> (Vec<Texts>, Vec<&'static str>) {
    let all: Vec<Column> = columns.iter().map(|(column, _)| *column).collect();
    let needs = |columns: &[Texts]| columns.iter().map(|column| text_width(column) + 2).sum::<usize>() - 2;
    for &least in by_telling.iter().rev() {
        if columns.len() <= 2 || width.is_none_or(|width| needs(&columns) <= width) {
            break;
        }
        columns.retain(|(column, _)| *column != least);
    }
    let is_left_out = |column: &&Column| !columns.iter().any(|(printed, _)| printed == *column);
    let left_out = all.iter().filter(is_left_out).map(|column| column.name()).collect();
    (columns, left_out)
}

/// How wide the column is.
fn text_width((column, texts): &Texts) -> usize {
    let texts = texts.iter().map(String::as_str).chain([column.head()]);
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Valid => AnsiColor::Green.on_default(),
        Verdict::Undercounted | Verdict::Unstable | Verdict::Starved | Verdict::ClientLimited | Verdict::Disturbed => {
            AnsiColor::Yellow.on_default()
        }
        Verdict::NotCold | Verdict::Errors => AnsiColor::Red.on_default(),
        Verdict::Unsupported => Style::new().dimmed(),
    }
}

/// Aligns the first and the last column to the left, the others to the right.
fn write_row(out: &mut dyn Write, row: &[&str], widths: &[usize], style: Style, last_style: Style) -> io::Result<()> {
    let Some((last, others)) = row.split_last() else { return Ok(()) };
    write!(out, "{style}")?;
    for (column, (text, &width)) in others.iter().zip(widths).enumerate() {
        match column {
            0 => write!(out, "{text:<width$}")?,
            _ => write!(out, "  {text:>width$}")?,
        }
    }
    writeln!(out, "{style:#}  {last_style}{last}{last_style:#}")
}
