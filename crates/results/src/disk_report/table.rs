//! The table and the chart of the disk lab.

use super::part::{BYSTANDER, Part, parts};
use super::sentences;
use crate::cache::Cache;
use crate::disk::Disk;
use crate::figures::CPU;
use crate::lists::add_new;
use crate::schema::{Cell, Results, Verdict};
use crate::units::count;
use crate::verdict::{share_from_disk, trend};
use crate::wrap::wrap;
use anstyle::Style;
use std::io::{self, Write};

/// The width of the longest bar, in characters.
const BAR: usize = 20;

/// A column: its head, and what it has of a target.
type Column<'p> = (&'static str, Box<dyn Fn(&Cell) -> String + 'p>);

/// What a part of a run says: one set of files in one state of the cache.
pub struct Told {
    /// The size of the files, and the state of the cache: `100k, cold`.
    pub heading: String,
    /// How many files there are, and how many connections ask for them.
    pub files: String,
    /// The sentences.
    pub sentences: Vec<String>,
    /// The heads of the columns; the first one, of the targets, is empty.
    pub heads: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// The fetches a second of each row as a share of the highest, or of what the disk gives.
    pub shares: Vec<Option<f64>>,
    /// What is said of the rows below them.
    pub remarks: Vec<String>,
}

/// What a run of the disk lab says, part by part.
pub fn told(results: &Results, disk: &Disk) -> Vec<Told> {
    parts(results, disk).iter().map(|part| of_part(part, disk)).collect()
}

/// How to read the tables.
pub const NOTE: &str = "A cache of the host below a virtual disk cannot be seen from here: 'cold' says that the files were not in this machine's memory. \
                        'from disk': what the disks read, as a share of what was served. p99 of /: at a fixed rate beside as many clients of the files.";

/// Prints what a run of the disk lab says: for each set of files and each state of the cache the sentences, the table, and a bar
/// for each target.
///
/// # Errors
/// Those of writing to `out`.
pub fn print(results: &Results, disk: &Disk, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    let bold = Style::new().bold();
    writeln!(out, "\nFiles in {}: {} on the device {}.", disk.dir, disk.file_system, disk.device)?;
    for part in told(results, disk) {
        writeln!(out, "\n{bold}{}{bold:#} · {}", part.heading, part.files)?;
        part.sentences.iter().try_for_each(|sentence| writeln!(out, "{}", wrap(sentence, 2, width)))?;
        writeln!(out)?;
        table(&part, out)?;
        part.remarks.iter().try_for_each(|remark| writeln!(out, "{}", wrap(remark, 2, width)))?;
    }
    writeln!(out, "\n{}", wrap(NOTE, 0, width))
}

fn of_part(part: &Part<'_>, disk: &Disk) -> Told {
    let (set, clients) = (part.set, part.fetches[0].key.load.concurrency);
    let name = set.workload.trim_start_matches(crate::paths::LIST);
    let files = match (part.cache, disk.memory_bytes) {
        (Cache::Thrash, Some(memory)) => {
            let (all, memory) = (set.bytes * set.files as u64 / 1_000_000, memory / 1_000_000);
            format!("{} files, {all} MB with {memory} MB of memory", set.files)
        }
        _ => format!("{} files", set.files),
    };
    let sentences = [
        sentences::of_the_disk(part),
        sentences::of_the_targets(part),
        sentences::of_the_factor(part),
        sentences::of_the_bystander(part),
    ];
    let columns = columns(part);
    let fetches = || part.fetches.iter().map(|cell| cell.figures.throughput.map(|figure| figure.median));
    let ceiling = part.set.ceiling().filter(|_| part.cache.needs_the_disk());
    let whole = fetches().flatten().chain(ceiling).reduce(f64::max);
    Told {
        heading: format!("{name}, {}", part.cache),
        files: format!("{files}, {clients} connections"),
        sentences: sentences.into_iter().flatten().collect(),
        heads: columns.iter().map(|(head, _)| *head).collect(),
        rows: part.fetches.iter().map(|cell| columns.iter().map(|(_, text)| text(cell)).collect()).collect(),
        shares: fetches().map(|fetches| Some(fetches? / whole?)).collect(),
        remarks: reasons(part).into_iter().chain(trends(part)).collect(),
    }
}

fn table(part: &Told, out: &mut dyn Write) -> io::Result<()> {
    let texts = |at: usize| part.rows.iter().map(move |row| row[at].as_str());
    let width = |at: usize| texts(at).chain([part.heads[at]]).map(|text| text.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..part.heads.len()).map(width).collect();
    let line = |row: Vec<&str>, share: Option<f64>| {
        let mut line = String::new();
        for (at, text) in row.into_iter().enumerate() {
            let pad = " ".repeat(widths[at] - text.chars().count());
            line += &if at == 0 { format!("{text}{pad}") } else { format!("  {pad}{text}") };
        }
        if let Some(share) = share {
            line += &format!("  {}", "█".repeat((share * BAR as f64).round() as usize));
        }
        line.trim_end().to_owned()
    };
    writeln!(out, "{}", line(part.heads.clone(), None))?;
    for (row, share) in part.rows.iter().zip(&part.shares) {
        writeln!(out, "{}", line(row.iter().map(String::as_str).collect(), *share))?;
    }
    Ok(())
}

/// The columns of the lecture's table, and what belongs to them.
fn columns<'p>(part: &'p Part<'p>) -> Vec<Column<'p>> {
    let figure = |path: &'static str, shown: fn(f64) -> String| -> Box<dyn Fn(&Cell) -> String + 'p> {
        Box::new(move |cell| {
            let (name, figure) = cell.figures.at(path);
            figure.map_or("-".into(), |it| format!("{}{}", cell.mark(&name), shown(it.median)))
        })
    };
    let interval = |cell: &Cell| match cell.figures.throughput.and_then(|it| it.low.zip(it.high)) {
        Some((low, high)) => format!("{}..{}", count(low), count(high)),
        None => "-".into(),
    };
    let bystander = |cell: &Cell| {
        let beside = part.bystander_of(&cell.key.target);
        beside.map_or("-".into(), |cell| {
            let (name, figure) = cell.figures.at(BYSTANDER);
            figure.map_or("-".into(), |it| format!("{}{:.1} ms", cell.mark(&name), it.median / 1e3))
        })
    };
    let from_disk = |cell: &Cell| {
        let shares: Option<Vec<f64>> = cell.counted_trials().into_iter().map(share_from_disk).collect();
        let shares = shares.filter(|shares| !shares.is_empty());
        shares.map_or("-".into(), |shares| percent(shares.iter().sum::<f64>() / shares.len() as f64))
    };
    vec![
        ("", Box::new(|cell: &Cell| cell.key.target.clone())),
        ("fetches/s", figure("throughput", count)),
        ("low..high", Box::new(interval)),
        ("MB/s", figure("bytes_per_second", |bytes| count(bytes / 1e6))),
        ("CPU idle", figure("machine.server_cpus_idle", percent)),
        ("iowait", figure("machine.server_cpus_iowait", percent)),
        ("CPU µs a fetch", figure(CPU, count)),
        ("p99 of /", Box::new(bystander)),
        ("from disk", Box::new(from_disk)),
        ("verdict", Box::new(|cell: &Cell| cell.verdict.name().to_owned())),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Why figures of the table may not be compared, or are missing, a line each.
fn reasons(part: &Part<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let all = part.fetches.iter().map(|cell| (cell, "", &["throughput", CPU][..]));
    let all = all.chain(part.bystanders.iter().map(|cell| (cell, ", /", &[BYSTANDER][..])));
    for (cell, which, paths) in all {
        let why = paths.iter().filter_map(|path| {
            let (name, figure) = cell.figures.at(path);
            match (cell.flaw(&name), figure) {
                (Some(flaw), _) => Some(format!("{}: {}", flaw.verdict.name(), flaw.why)),
                (None, None) if cell.verdict_on(&name) != Verdict::Valid => cell.reasons.first().cloned(),
                (None, None) => cell.why_missing(&name).map(str::to_owned),
                (None, Some(_)) => None,
            }
        });
        add_new(&mut lines, why.map(|why| format!("* {}{which}: {why}", cell.key.target)));
    }
    lines
}

/// What is to be known of the rates besides, a line each.
fn trends(part: &Part<'_>) -> Vec<String> {
    let told = part.fetches.iter().filter(|_| part.cache.needs_the_disk());
    let trends = told.filter_map(|cell| Some(format!("{}: {}", cell.key.target, trend(&cell.counted_trials())?)));
    trends
        .map(|trend| format!("  {trend}, as memory fills with what was read: the mean over the window counts"))
        .collect()
}
