//! Prints the comparison table of a run.

use crate::figures::Figure;
use crate::results::{Cell, Results, Verdict};
use crate::units::{bytes, count, micros, plural};
use std::io::{self, Write};

type Column = (&'static str, fn(&Cell) -> String);

const COLUMNS: [Column; 13] = [
    ("target", |cell| cell.target.clone()),
    RANK,
    ("req/s", |cell| show(cell.throughput, count)),
    INTERVAL,
    ("p50", |cell| show(cell.latency_us.p50, micros)),
    ("p99", |cell| show(cell.latency_us.p99, micros)),
    ("p99.9", |cell| show(cell.latency_us.p999, micros)),
    ("errors", |cell| if cell.trials.is_empty() { "-".into() } else { count(cell.failed() as f64) }),
    ("CPU µs/r", |cell| show(cell.server.cpu_us_per_request, |us| format!("{us:.2}"))),
    ("peak mem", |cell| show(cell.server.peak_memory_bytes, bytes)),
    ("mem/conn", |cell| show(cell.server.memory_bytes_per_connection, bytes)),
    ("proc/thr", |cell| {
        let lives = cell.server.processes.zip(cell.server.threads);
        lives.map_or("-".into(), |(processes, threads)| format!("{}/{}", processes.median, threads.median))
    }),
    ("verdict", |cell| cell.verdict.name().into()),
];
const RANK: Column = ("rank", |cell| cell.ranks.throughput.map_or("-".into(), |rank| rank.to_string()));
const INTERVAL: Column = ("interval", |cell| {
    let interval = cell.throughput.and_then(|f| Some(format!("{}..{}", count(f.low?), count(f.high?))));
    interval.unwrap_or_else(|| "-".into())
});

fn show(figure: Option<Figure>, text: fn(f64) -> String) -> String {
    figure.map_or("-".into(), |figure| text(figure.median))
}

/// Prints all cells: a table for each workload, connection mode and concurrency, and under each table the reasons for
/// its verdicts. `styled` allows bold type and colour, for terminals.
///
/// The rank is by throughput, and the interval is that of the median throughput; both need five trials. A dash stands
/// for a figure that is missing; results.json says why.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, out: &mut dyn Write, styled: bool) -> io::Result<()> {
    let mut rest: &[Cell] = &results.cells;
    let mut first = true;
    while let Some(head) = rest.first() {
        let group = rest.iter().take_while(|cell| same_load(cell, head)).count();
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        table(&rest[..group], out, styled)?;
        rest = &rest[group..];
    }
    if results.interrupted {
        writeln!(out, "\ninterrupted: only what was measured until then is shown")?;
    }
    Ok(())
}

fn same_load(a: &Cell, b: &Cell) -> bool {
    (&a.workload, a.schedule, a.concurrency, a.requests_per_connection)
        == (&b.workload, b.schedule, b.concurrency, b.requests_per_connection)
}

fn table(cells: &[Cell], out: &mut dyn Write, styled: bool) -> io::Result<()> {
    let head = &cells[0];
    let (bold, plain) = if styled { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let connections = plural(head.concurrency, "connection");
    writeln!(
        out,
        "{bold}{} · {connections} · {} · {}{plain}",
        head.workload, head.requests_per_connection, head.schedule
    )?;
    let is_repeated = cells.iter().any(|cell| cell.throughput.is_some_and(|figure| figure.low.is_some()));
    let columns: Vec<Column> =
        COLUMNS.into_iter().filter(|(head, _)| is_repeated || ![RANK.0, INTERVAL.0].contains(head)).collect();
    let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        cells.iter().map(|cell| columns.iter().map(|(_, text)| text(cell)).collect()).collect();
    let width = |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    write_row(out, &heads, &widths, "", "")?;
    for (row, cell) in rows.iter().zip(cells) {
        let colour = match cell.verdict {
            _ if !styled => "",
            Verdict::Valid => "\x1b[32m",
            Verdict::Unstable | Verdict::Starved => "\x1b[33m",
            Verdict::ClientLimited => "\x1b[33m",
            Verdict::Errors => "\x1b[31m",
            Verdict::Unsupported => "\x1b[2m",
        };
        write_row(out, row, &widths, colour, plain)?;
    }
    for cell in cells {
        for reason in &cell.reasons {
            writeln!(out, "  {}: {reason}", cell.target)?;
        }
    }
    Ok(())
}

/// Aligns the first and the last column to the left, the others to the right.
fn write_row(out: &mut dyn Write, row: &[String], widths: &[usize], colour: &str, plain: &str) -> io::Result<()> {
    let Some((last, others)) = row.split_last() else { return Ok(()) };
    for (column, (text, &width)) in others.iter().zip(widths).enumerate() {
        match column {
            0 => write!(out, "{text:<width$}")?,
            _ => write!(out, "  {text:>width$}")?,
        }
    }
    let plain = if colour.is_empty() { "" } else { plain };
    writeln!(out, "  {colour}{last}{plain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;
    use crate::machine::Machine;
    use crate::plan::Plan;

    #[test]
    fn the_table_is_aligned_and_lists_the_reasons() {
        let plan = Plan { targets: vec!["process-per-connection".into(), "uring".into()], ..Plan::default() };
        let mut cells: Vec<Cell> = plan.cells().iter().map(Cell::new).collect();
        let figure = |median| Some(Figure { median, low: None, high: None });
        cells[0].throughput = figure(12_345.6);
        cells[0].latency_us.p50 = figure(87.25);
        cells[0].server.processes = figure(65.0);
        cells[0].server.threads = figure(65.0);
        cells[1].verdict = Verdict::Unsupported;
        cells[1].reasons.push("not permitted here".into());
        let results = Results {
            schema: String::new(),
            run_id: String::new(),
            started_at: String::new(),
            interrupted: false,
            machine: Machine::here(),
            settings: plan,
            cells,
        };
        let mut out = Vec::new();
        print(&results, &mut out, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "\
/ · 64 connections · keep-alive · closed loop
target                   req/s     p50  p99  p99.9  errors  CPU µs/r  peak mem  mem/conn  proc/thr  verdict
process-per-connection  12,346  87.2µs    -      -       -         -         -         -     65/65  valid
uring                        -       -    -      -       -         -         -         -         -  unsupported
  uring: not permitted here
";
        assert_eq!(text, expected);
    }
}
