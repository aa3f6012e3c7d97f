//! Prints the comparison table of a run.

use crate::lists::add_new;
use crate::schedule::{Arrivals, Schedule};
use crate::schema::{Cell, Ranks, Results, Verdict, by_load};
use crate::units::{bytes, count, micros, plural, three_digits};
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

/// A column: its heading, and its text in the row of a cell.
type Column = (&'static str, Box<dyn Fn(&Cell) -> String>);
/// How a value is written.
type Form = fn(f64) -> String;

/// What targets can be ranked by: the path of the figure, and the rank.
type Ranked = (&'static str, fn(&Ranks) -> Option<usize>);

/// What targets can be ranked by; the table has the first rank of these that there is. Throughput comes last, because the
/// load generator often limits it.
const RANKED: [Ranked; 3] = [(CPU, |ranks| ranks.cpu), (P99, |ranks| ranks.p99), (RATE, |ranks| ranks.throughput)];
const CPU: &str = "server.cpu_us_per_request";
const RATE: &str = "throughput";
const MEMORY: &str = "mem/conn";
const P99: &str = "latency_us.p99";

/// The columns of single figures after the rank: heading, path and form.
const FIGURES: [(&str, &str, Form); 5] = [
    ("CPU µs/r", CPU, three_digits),
    ("req/s", RATE, count),
    ("p50", "latency_us.p50", micros),
    ("p99", P99, micros),
    ("p99.9", "latency_us.p999", micros),
];

/// Prints all cells: a table for each load (workload, concurrency, connection mode and schedule), and under each table
/// the reasons for its verdicts. What needs an explanation gets it at the end, if it occurs. Headings are bold and
/// verdicts have colours; a stream that is no terminal has to leave these out, as `anstream::AutoStream` does.
///
/// The rank is by CPU time a request, or by another figure where no target has that; the interval is that of the same
/// figure. Both need five trials. A dash stands for a figure that is missing; results.json says why. Where there are too
/// few requests for a 99th percentile, the 90th stands in its place, with its name.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    for (number, load) in by_load(&results.cells).iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let cells: Vec<&Cell> = load.iter().map(|&at| &results.cells[at]).collect();
        table(&cells, results.settings.arrivals, out)?;
    }
    for line in notes(results) {
        writeln!(out, "{line}")?;
    }
    if results.interrupted && results.cells.is_empty() {
        writeln!(out, "interrupted: nothing was measured")?;
    } else if results.interrupted {
        writeln!(out, "\ninterrupted: only what was measured until then is shown")?;
    }
    Ok(())
}

fn table(cells: &[&Cell], arrivals: Arrivals, out: &mut dyn Write) -> io::Result<()> {
    let head = &cells[0].key;
    let bold = Style::new().bold();
    let connections = plural(head.load.concurrency, "connection");
    let poisson = match (head.load.schedule, arrivals) {
        (Schedule::Closed, _) | (_, Arrivals::Even) => "",
        (_, Arrivals::Poisson) => ", Poisson arrivals",
    };
    writeln!(
        out,
        "{bold}{} · {connections} · {} · {}{poisson}{bold:#}",
        head.load.workload, head.load.requests_per_connection, head.load.schedule
    )?;
    let columns = columns(cells);
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

/// The columns of the table of these cells. Without five trials there is no rank; where no request failed, there is no
/// column of errors.
fn columns(cells: &[&Cell]) -> Vec<Column> {
    let ranked = ranked_by(cells);
    let mut columns: Vec<Column> = vec![("target", Box::new(|cell| cell.key.target.clone()))];
    if let Some((_, rank)) = ranked {
        columns.push(("rank", Box::new(move |cell| dash(rank(&cell.ranks).map(|rank| rank.to_string())))));
    }
    for (head, path, text) in FIGURES {
        match path {
            P99 => columns.push((head, Box::new(high_percentile))),
            _ => columns.push((head, Box::new(move |cell| dash(shown(cell, path, text))))),
        }
        if ranked.is_some_and(|(by, _)| by == path) {
            columns.push(("interval", Box::new(move |cell| interval(cell, path, text))));
        }
    }
    if cells.iter().any(|cell| cell.outcomes.errors() > 0) {
        columns.push(("errors", Box::new(|cell| count(cell.outcomes.errors() as f64))));
    }
    columns.push((MEMORY, Box::new(memory)));
    columns.push(("proc/thr", Box::new(processes_and_threads)));
    columns.push(("verdict", Box::new(|cell| cell.verdict.name().into())));
    columns
}

/// What the rank of these cells is by: the first figure by which one has a rank, or else of which one has an interval.
fn ranked_by(cells: &[&Cell]) -> Option<Ranked> {
    let has_rank = |(_, rank): &Ranked| cells.iter().any(|cell| rank(&cell.ranks).is_some());
    let has_interval = |(path, _): &Ranked| {
        cells.iter().any(|cell| cell.figures.at(path).1.is_some_and(|figure| figure.low.is_some()))
    };
    RANKED.into_iter().find(has_rank).or_else(|| RANKED.into_iter().find(has_interval))
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

/// The figure, with the mark of its flaw.
fn shown(cell: &Cell, path: &str, text: Form) -> Option<String> {
    let (name, figure) = cell.figures.at(path);
    figure.map(|figure| format!("{}{}", cell.mark(&name), text(figure.median)))
}

fn interval(cell: &Cell, path: &str, text: Form) -> String {
    let (_, figure) = cell.figures.at(path);
    dash(figure.and_then(|figure| Some(format!("{}..{}", text(figure.low?), text(figure.high?)))))
}

fn high_percentile(cell: &Cell) -> String {
    let p90 = || shown(cell, "latency_us.p90", micros).map(|p90| format!("p90 {p90}"));
    dash(shown(cell, P99, micros).or_else(p90))
}

/// User and kernel memory a connection; of a part that is not known stands a question mark.
fn memory(cell: &Cell) -> String {
    let part = |path: &str| shown(cell, path, bytes);
    let user = part("server.user_memory_bytes_per_connection");
    match (user, part("server.kernel_memory_bytes_per_connection")) {
        (None, None) => "-".into(),
        parts => format!("{}+{}", parts.0.unwrap_or("?".into()), parts.1.unwrap_or("?".into())),
    }
}

fn processes_and_threads(cell: &Cell) -> String {
    let number = |path| shown(cell, path, |number| format!("{number:.0}"));
    let both = number("server.processes").zip(number("server.threads"));
    dash(both.map(|(processes, threads)| format!("{processes}/{threads}")))
}

/// What the tables need to be understood: flags that targets were given, what the rank is by, and the marks.
fn notes(results: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    for (target, said) in results.targets.iter().filter(|(_, said)| !said.given.is_empty()) {
        let given: Vec<String> = said.given.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        notes.push(format!("{target} ran with {}", given.join(" ")));
    }
    let (mut by, mut shown) = (Vec::new(), Vec::new());
    for load in by_load(&results.cells) {
        let cells: Vec<&Cell> = load.iter().map(|&at| &results.cells[at]).collect();
        let ranked = ranked_by(&cells).and_then(|(path, _)| FIGURES.iter().find(|figure| figure.1 == path));
        add_new(&mut by, ranked.map(|figure| figure.0));
        let texts = columns(&cells).into_iter().skip(1).flat_map(|(head, text)| {
            cells.iter().map(|cell| (head, text(cell))).collect::<Vec<_>>() //
        });
        shown.extend(texts);
    }
    if !by.is_empty() {
        let by = by.join(" or ");
        notes.push(format!("rank, interval: of {by}; a target has a rank below another's if it is worse beyond noise"));
    }
    if shown.iter().any(|(head, text)| *head == MEMORY && text != "-") {
        notes.push(format!("{MEMORY}: user + kernel memory a connection; ? is a part that is not known"));
    }
    for (mark, note) in [
        (">=", "at least this: the lines below the table say why"),
        ("<=", "at most this: the lines below the table say why"),
        ("!", "not to be compared: the lines below the table say why"),
    ] {
        notes.extend(shown.iter().any(|(_, text)| text.contains(mark)).then(|| format!("{mark} {note}")));
    }
    if !notes.is_empty() {
        notes.insert(0, String::new());
    }
    notes
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
    use crate::schema::{Bound, Flaw, Target};
    use crate::statistics::Figure;

    fn printed(results: &Results) -> String {
        let mut out = Vec::new();
        print(results, &mut anstream::StripStream::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn once(median: f64) -> Option<Figure> {
        Some(Figure { median, low: None, high: None })
    }

    #[test]
    fn the_table_is_aligned_and_lists_the_reasons() {
        let mut results = results(&["process-per-connection", "uring"]);
        let cells = &mut results.cells;
        cells[0].figures.throughput = once(12_345.6);
        cells[0].figures.latency_us.p50 = once(87.25);
        cells[0].figures.latency_us.p90 = once(1_234.0);
        cells[0].figures.server.processes = once(65.0);
        cells[0].figures.server.threads = once(65.0);
        cells[1].verdict = Verdict::Unsupported;
        cells[1].reasons.push("not permitted here".into());
        let expected = "\
/ · 64 connections · keep-alive · closed loop
target                  CPU µs/r   req/s     p50         p99  p99.9  mem/conn  proc/thr  verdict
process-per-connection         -  12,346  87.2µs  p90 1.23ms      -         -     65/65  valid
uring                          -       -       -           -      -         -         -  unsupported
  uring: not permitted here
";
        assert_eq!(printed(&results), expected);
    }

    #[test]
    fn ranks_bounds_and_flaws_are_shown_and_explained() {
        let mut results = results(&["epoll", "thread-pool"]);
        results.settings.arrivals = Arrivals::Poisson; // has no influence on a closed loop
        let given = [("workers".to_owned(), "16".to_owned())].into();
        results.targets.insert("thread-pool".into(), Target { given, ..Target::default() });
        for (cell, (cpu, rank)) in results.cells.iter_mut().zip([(7.16, 1), (11.78, 2)]) {
            cell.figures.server.cpu_us_per_request = Some(Figure { median: cpu, low: Some(7.0), high: Some(12.345) });
            cell.figures.throughput = once(26_000.0);
            cell.figures.latency_us.p99 = once(1_200.0);
            cell.figures.server.user_memory_bytes_per_connection = once(59.0 * 1024.0);
            cell.ranks = Ranks { cpu: Some(rank), p99: None, throughput: Some(1), memory: None };
        }
        results.cells[0].figures.server.kernel_memory_bytes_per_connection = once(108.0 * 1024.0);
        let flaw = |verdict, bound| Flaw { verdict, why: "why".into(), bound };
        let limited = |bound| flaw(Verdict::ClientLimited, Some(bound));
        results.cells[0].flaws.insert("throughput".into(), limited(Bound::Lower));
        results.cells[0].flaws.insert("latency_us".into(), limited(Bound::Upper));
        results.cells[1].flaws.insert("latency_us".into(), flaw(Verdict::Unstable, None));
        let expected = "\
/ · 64 connections · keep-alive · closed loop
target       rank  CPU µs/r    interval     req/s  p50       p99  p99.9    mem/conn  proc/thr  verdict
epoll           1      7.16  7.00..12.3  >=26,000    -  <=1.20ms      -  59.0K+108K         -  valid
thread-pool     2      11.8  7.00..12.3    26,000    -   !1.20ms      -     59.0K+?         -  valid

thread-pool ran with --workers=16
rank, interval: of CPU µs/r; a target has a rank below another's if it is worse beyond noise
mem/conn: user + kernel memory a connection; ? is a part that is not known
>= at least this: the lines below the table say why
<= at most this: the lines below the table say why
! not to be compared: the lines below the table say why
";
        assert_eq!(printed(&results), expected);
    }

    #[test]
    fn without_cpu_time_the_rank_and_the_interval_are_of_another_figure_and_failures_have_a_column() {
        let mut results = results(&["a"]);
        let cell = &mut results.cells[0];
        cell.key.load.schedule = Schedule::Rate(500.0);
        cell.figures.throughput = Figure::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        cell.outcomes[crate::OutcomeClass::Reset] = 7;
        results.settings.arrivals = Arrivals::Poisson;
        let text = printed(&results);
        assert!(text.contains("500 requests/s, Poisson arrivals\n"), "{text}");
        assert!(text.contains("rank  CPU µs/r  req/s  interval  p50  p99  p99.9  errors  mem/conn"), "{text}");
        assert!(text.contains("of req/s;"), "{text}");
    }
}
