//! Percentile distributions of latencies, a file for each cell, in the text form of HdrHistogram (`.hgrm`), which wrk2
//! prints, too, and which <https://hdrhistogram.github.io/HdrHistogram/plotFiles.html> draws.

use hdrhistogram::Histogram;
use results::cache::Cache;
use results::histogram::pooled;
use results::{Cell, Results};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Lines for each half of the distance to 100 %; other programs have as many.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// The values of the histograms are nanoseconds, those of the file are milliseconds.
const NANOS_PER_MILLI: f64 = 1e6;
/// The longest name of a file, in bytes, without what makes it unique. Most file systems have at most 255.
const LONGEST_NAME: usize = 200;

/// The name of a file, and the latencies that it is made of.
pub struct Distribution<'r> {
    /// A name within the folder, which no other cell of the run has.
    pub name: String,
    cell: &'r Cell,
    latencies: Histogram<u64>,
}

/// The latencies of each cell over all its trials; cells without any are left out.
pub fn distributions(results: &Results) -> Vec<Distribution<'_>> {
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for cell in &results.cells {
        let trials = cell.counted_trials().into_iter();
        let Some(latencies) = pooled(trials.map(|trial| trial.latency_histogram.as_str())) else { continue };
        if latencies.is_empty() {
            continue;
        }
        let stem = stem(cell);
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.clone()).chain(numbered).find(|name| names.insert(name.clone()));
        all.extend(free.map(|name| Distribution { name: name + ".hgrm", cell, latencies }));
    }
    all
}

/// What identifies the cell, in letters, digits and a few signs that every file system and shell takes.
fn stem(cell: &Cell) -> String {
    let key = &cell.key;
    let mode = key.load.requests_per_connection.to_string();
    let background = &key.load.background;
    let beside = if background.is_none() { String::new() } else { format!("beside {background}") };
    let cache = key.load.cache.map_or("", Cache::name).to_owned();
    let parts = [
        &key.target,
        &key.load.workload,
        &format!("c{}", key.load.concurrency),
        &mode,
        &String::from(key.load.schedule),
        &beside,
        &cache,
    ];
    let safe = |part: &str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        part.trim_matches('/').chars().map(safe).collect()
    };
    let mut stem =
        parts.map(|part| safe(part)).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    stem.truncate(LONGEST_NAME); // it is ASCII
    stem.trim_start_matches(['.', '-']).to_owned()
}

impl Distribution<'_> {
    /// Writes the file. If the latencies of the cell may not be compared, a comment at its end says why.
    ///
    /// # Errors
    /// An error of writing to `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let latencies = &self.latencies;
        let millis = |nanos: f64| nanos / NANOS_PER_MILLI;
        writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
        let mut count = 0;
        for step in latencies.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
            count += step.count_since_last_iteration();
            let (value, quantile) = (millis(step.value_iterated_to() as f64), step.quantile_iterated_to());
            write!(out, "{value:12.6} {quantile:2.12} {count:10}")?;
            match quantile < 1.0 {
                true => writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?,
                false => writeln!(out)?,
            }
        }
        let (mean, deviation) = (millis(latencies.mean()), millis(latencies.stdev()));
        writeln!(out, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]")?;
        let (max, total) = (millis(latencies.max() as f64), latencies.len());
        writeln!(out, "#[Max     = {max:12.6}, Total count    = {total:12}]")?;
        let sub_buckets = (2 * 10_u64.pow(latencies.sigfig().into())).next_power_of_two();
        writeln!(out, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", latencies.buckets())?;
        let (name, _) = self.cell.figures.at("latency_us.p50");
        match self.cell.flaw(&name) {
            Some(flaw) => writeln!(out, "# {}: {}", flaw.verdict.name(), flaw.why),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tests::empty_trial;
    use results::{BackgroundLoad, Flaw, Key, Load, Schedule, Verdict};

    fn cell(workload: &str, millis: impl Iterator<Item = u64>) -> Cell {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        millis.for_each(|ms| histogram.record(ms * 1_000_000).unwrap());
        let mut cell = Cell::new(Key {
            target: "epoll again".into(),
            load: Load { workload: workload.into(), schedule: Schedule::Rate(500.0), ..Load::default() },
        });
        cell.trials.push(empty_trial());
        cell.trials[0].latency_histogram = results::histogram::encode(&histogram);
        cell
    }

    fn results(cells: Vec<Cell>) -> Results {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/results/tests/golden/closed.json");
        Results { cells, ..Results::load(golden.as_ref()).unwrap() }
    }

    fn text(distribution: &Distribution<'_>) -> String {
        let mut out = Vec::new();
        distribution.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_distribution_has_the_form_of_hdr_histogram() {
        let mut twice = cell("/", 1..=50);
        twice.trials.extend(cell("/", 51..=100).trials);
        let results = results(vec![twice]);
        let text = text(&distributions(&results)[0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]);
        assert_eq!(lines[2], "    1.000447 0.000000000000          1           1.00");
        assert_eq!(lines[3], "   10.002431 0.100000000000         10           1.11");
        assert!(lines.iter().any(|line| line.contains(" 0.500000000000         50           2.00")), "{text}");
        let end = lines.len();
        assert_eq!(lines[end - 4], "  100.007935 1.000000000000        100");
        assert_eq!(lines[end - 3], "#[Mean    =    50.499197, StdDeviation   =    28.866020]");
        assert_eq!(lines[end - 2], "#[Max     =   100.007935, Total count    =          100]");
        assert!(
            lines[end - 1].starts_with("#[Buckets = ") && lines[end - 1].ends_with("SubBuckets     =         2048]")
        );
    }

    #[test]
    fn names_are_safe_and_unique_and_a_flaw_is_told() {
        let mut flawed = cell("/a_b", 1..=9);
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: "it was busy".into(), bound: None };
        flawed.flaws.insert("latency_us".into(), flaw);
        let long = cell(&format!("/{}", "é/..".repeat(99)), 1..=9);
        let results = results(vec![cell("POST /a b", 1..=9), cell("/a b", 1..=9), flawed, cell("/", 0..0), long]);
        let all = distributions(&results);
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names[0], "epoll_again-POST__a_b-c64-keep-alive-rate_500.hgrm");
        assert_eq!(
            names[1..3],
            ["epoll_again-a_b-c64-keep-alive-rate_500.hgrm", "epoll_again-a_b-c64-keep-alive-rate_500-2.hgrm"]
        );
        assert_eq!((names.len(), names[3].len()), (4, LONGEST_NAME + 5));
        let mut beside = cell("/", 1..=9);
        beside.key.load.background = BackgroundLoad { idle: 1_000, slow_senders: 2, ..BackgroundLoad::default() };
        let one = self::results(vec![beside]);
        let expected = "epoll_again-c64-keep-alive-rate_500-beside_1000_idle_connections__2_slow_senders.hgrm";
        assert_eq!(distributions(&one)[0].name, expected);
        assert!(text(&all[2]).ends_with("]\n# client-limited: it was busy\n") && text(&all[1]).ends_with("]\n"));
    }
}
