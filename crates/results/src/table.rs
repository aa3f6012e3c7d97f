//! Prints the comparison table of a run.

use crate::schema::{Cell, Results, Verdict, by_load};
use crate::statistics::Figure;
use crate::units::{bytes, count, micros, plural};
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

type Column = (&'static str, fn(&Cell) -> String);

const COLUMNS: [Column; 13] = [
    ("target", |cell| cell.key.target.clone()),
    RANK,
    ("req/s", |cell| show(cell.figures.throughput, count)),
    INTERVAL,
    ("p50", |cell| show(cell.figures.latency_us.p50, micros)),
    ("p99", |cell| show(cell.figures.latency_us.p99, micros)),
    ("p99.9", |cell| show(cell.figures.latency_us.p999, micros)),
    ("errors", |cell| if cell.trials.is_empty() { "-".into() } else { count(cell.outcomes.errors() as f64) }),
    ("CPU µs/r", |cell| show(cell.figures.server.cpu_us_per_request, |us| format!("{us:.2}"))),
    ("peak mem", |cell| show(cell.figures.server.peak_memory_bytes, bytes)),
    ("mem/conn", |cell| show(cell.figures.server.memory_bytes_per_connection, bytes)),
    ("proc/thr", |cell| {
        let lives = cell.figures.server.processes.zip(cell.figures.server.threads);
        lives.map_or("-".into(), |(processes, threads)| format!("{}/{}", processes.median, threads.median))
    }),
    ("verdict", |cell| cell.verdict.name().into()),
];
const RANK: Column = ("rank", |cell| cell.ranks.throughput.map_or("-".into(), |rank| rank.to_string()));
const INTERVAL: Column = ("interval", |cell| {
    let interval = cell.figures.throughput.and_then(|f| Some(format!("{}..{}", count(f.low?), count(f.high?))));
    interval.unwrap_or_else(|| "-".into())
});

fn show(figure: Option<Figure>, text: fn(f64) -> String) -> String {
    figure.map_or("-".into(), |figure| text(figure.median))
}

/// Prints all cells: a table for each load (workload, concurrency, connection mode and schedule), and under each table the reasons for
/// its verdicts. Headings are bold and verdicts have colours; a stream that is no terminal has to leave these out, as
/// `anstream::AutoStream` does.
///
/// The rank is by throughput, and the interval is that of the median throughput; both need five trials. A dash stands
/// for a figure that is missing; results.json says why.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    for (number, load) in by_load(&results.cells).iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        table(&load.iter().map(|&at| &results.cells[at]).collect::<Vec<_>>(), out)?;
    }
    if results.interrupted && results.cells.is_empty() {
        writeln!(out, "interrupted: nothing was measured")?;
    } else if results.interrupted {
        writeln!(out, "\ninterrupted: only what was measured until then is shown")?;
    }
    Ok(())
}

fn table(cells: &[&Cell], out: &mut dyn Write) -> io::Result<()> {
    let head = &cells[0].key;
    let bold = Style::new().bold();
    let connections = plural(head.concurrency, "connection");
    writeln!(
        out,
        "{bold}{} · {connections} · {} · {}{bold:#}",
        head.workload, head.requests_per_connection, head.schedule
    )?;
    let is_repeated = cells.iter().any(|cell| cell.figures.throughput.is_some_and(|figure| figure.low.is_some()));
    let columns: Vec<Column> =
        COLUMNS.into_iter().filter(|(head, _)| is_repeated || ![RANK.0, INTERVAL.0].contains(head)).collect();
    let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let rows: Vec<Vec<String>> =
        cells.iter().map(|cell| columns.iter().map(|(_, text)| text(cell)).collect()).collect();
    let width = |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    write_row(out, &heads, &widths, Style::new())?;
    for (row, cell) in rows.iter().zip(cells) {
        write_row(out, row, &widths, style(cell.verdict))?;
    }
    for cell in cells {
        for reason in &cell.reasons {
            writeln!(out, "  {}: {reason}", cell.key.target)?;
        }
    }
    Ok(())
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Valid => AnsiColor::Green.on_default(),
        Verdict::Unstable | Verdict::Starved | Verdict::ClientLimited | Verdict::Disturbed => {
            AnsiColor::Yellow.on_default()
        }
        Verdict::Errors => AnsiColor::Red.on_default(),
        Verdict::Unsupported => Style::new().dimmed(),
    }
}

/// Aligns the first and the last column to the left, the others to the right.
fn write_row(out: &mut dyn Write, row: &[String], widths: &[usize], style: Style) -> io::Result<()> {
    let Some((last, others)) = row.split_last() else { return Ok(()) };
    for (column, (text, &width)) in others.iter().zip(widths).enumerate() {
        match column {
            0 => write!(out, "{text:<width$}")?,
            _ => write!(out, "  {text:>width$}")?,
        }
    }
    writeln!(out, "  {style}{last}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::results;

    #[test]
    fn the_table_is_aligned_and_lists_the_reasons() {
        let mut results = results(&["process-per-connection", "uring"]);
        let cells = &mut results.cells;
        let figure = |median| Some(Figure { median, low: None, high: None });
        cells[0].figures.throughput = figure(12_345.6);
        cells[0].figures.latency_us.p50 = figure(87.25);
        cells[0].figures.server.processes = figure(65.0);
        cells[0].figures.server.threads = figure(65.0);
        cells[1].verdict = Verdict::Unsupported;
        cells[1].reasons.push("not permitted here".into());
        let mut out = Vec::new();
        print(&results, &mut anstream::StripStream::new(&mut out)).unwrap();
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
