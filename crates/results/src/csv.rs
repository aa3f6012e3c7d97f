//! Writes the results as comma-separated values (RFC 4180, with line feeds): a line for each cell, or for each part of each claim.

use crate::figures;
use crate::outcomes::OutcomeClass;
use crate::schema::{Bound, Cell, Part, Ranks, Results};
use std::io::{self, Write};

/// A column that is no figure: its name, and its value in a cell's line.
type Column = (&'static str, fn(&Results, &Cell) -> String);

const COLUMNS: [Column; 15] = [
    ("run_id", |results, _| results.run_id.clone()),
    ("target", |_, cell| cell.key.target.clone()),
    ("workload", |_, cell| cell.key.load.workload.clone()),
    ("schedule", |_, cell| cell.key.load.schedule.into()),
    ("concurrency", |_, cell| cell.key.load.concurrency.to_string()),
    ("requests_per_connection", |_, cell| {
        cell.key.load.requests_per_connection.0.map_or("unlimited".into(), |limit| limit.to_string())
    }),
    ("beside", |_, cell| cell.key.load.background.to_string()),
    ("cache", |_, cell| cell.key.load.cache.map_or(String::new(), |cache| cache.to_string())),
    ("verdict", |_, cell| cell.verdict.name().into()),
    ("reasons", |_, cell| cell.reasons.join("; ")),
    ("flaws", |_, cell| {
        let flaws = cell.flaws.iter().map(|(figure, flaw)| match flaw.bound {
            Some(Bound::Lower) => format!("{figure}: {}, a lower bound", flaw.verdict.name()),
            Some(Bound::Upper) => format!("{figure}: {}, an upper bound", flaw.verdict.name()),
            None => format!("{figure}: {}", flaw.verdict.name()),
        });
        flaws.collect::<Vec<_>>().join("; ")
    }),
    ("trials", |_, cell| cell.trials.len().to_string()),
    ("requests", |_, cell| cell.outcomes.total().to_string()),
    ("ok", |_, cell| cell.outcomes[OutcomeClass::Ok].to_string()),
    ("failed", |_, cell| cell.outcomes.errors().to_string()),
];

/// Writes all cells. A figure has three fields: its median and the two ends of its interval. A missing value is an
/// empty field. The column `flaws` names the figures, or groups of figures, that may not be compared.
///
/// # Errors
/// An error of writing to `out`.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
    if results.is_board() {
        return write_claims(results, csv);
    }
    let ranks = Ranks::default().iter().map(|(by, _)| format!("rank_{by}"));
    let figures = figures::names().flat_map(|name| ["", "_low", "_high"].map(|end| name.column() + end));
    csv.write_record(COLUMNS.iter().map(|(name, _)| (*name).to_owned()).chain(ranks).chain(figures))?;
    for cell in &results.cells {
        let ranks = cell.ranks.iter().map(|(_, rank)| shown(rank));
        let figures = cell.figures.iter().flat_map(|(_, figure)| {
            [figure.map(|f| f.median), figure.and_then(|f| f.low), figure.and_then(|f| f.high)].map(shown)
        });
        csv.write_record(COLUMNS.iter().map(|(_, value)| value(results, cell)).chain(ranks).chain(figures))?;
    }
    csv.flush()
}

/// The columns of a board.
const COLUMNS_OF_CLAIMS: [&str; 14] = [
    "run_id",
    "claim",
    "ruling",
    "says",
    "does",
    "part",
    "part_ruling",
    "figure",
    "figure_low",
    "figure_high",
    "margin",
    "blocks",
    "why",
    "command",
];

/// Writes a board: a line for each part of each claim, and one for a claim without parts.
fn write_claims(results: &Results, mut csv: ::csv::Writer<&mut dyn Write>) -> io::Result<()> {
    csv.write_record(COLUMNS_OF_CLAIMS)?;
    for claim in &results.claims {
        let parts: Vec<Option<&Part>> = match &claim.parts[..] {
            [] => vec![None],
            parts => parts.iter().map(Some).collect(),
        };
        for part in parts {
            let of_part = |value: fn(&Part) -> String| part.map_or_else(String::new, value);
            csv.write_record([
                results.run_id.clone(),
                claim.id.clone(),
                claim.ruling.name().into(),
                claim.says.clone(),
                claim.does.clone(),
                of_part(|part| part.what.clone()),
                of_part(|part| part.ruling.name().into()),
                of_part(|part| shown(part.figure)),
                of_part(|part| shown(part.low)),
                of_part(|part| shown(part.high)),
                of_part(|part| part.margin.to_string()),
                of_part(|part| part.blocks.to_string()),
                part.and_then(|part| part.why.clone()).or_else(|| claim.why.clone()).unwrap_or_default(),
                claim.command.clone(),
            ])?;
        }
    }
    csv.flush()
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::results;
    use crate::schema::{Flaw, Verdict};
    use crate::statistics::Figure;

    #[test]
    fn every_line_has_the_same_fields() {
        let mut results = results(&["a", "b"]);
        results.cells[0].figures.throughput = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        let flaw = |verdict, bound| Flaw { verdict, why: "why".into(), bound };
        results.cells[0].flaws.insert("throughput".into(), flaw(Verdict::ClientLimited, Some(Bound::Lower)));
        results.cells[0].flaws.insert("latency_us".into(), flaw(Verdict::Starved, None));
        results.cells[1].key.target = "b, \"the\" other".into();
        results.cells[1].key.load.background.idle = 1_000;
        let mut out = Vec::new();
        write(&results, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let fields = |line: &str| {
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(fields(lines[0]).len(), fields(lines[1]).len());
        let flaws = fields(lines[0]).iter().position(|name| name == "flaws").unwrap();
        assert_eq!(fields(lines[1])[flaws], "latency_us: starved; throughput: client-limited, a lower bound");
        let beside = fields(lines[0]).iter().position(|name| name == "beside").unwrap();
        assert_eq!([1, 2].map(|line| fields(lines[line])[beside].clone()), ["", "1000 idle connections"]);
        assert!(lines[0].contains(",throughput,throughput_low,throughput_high,"));
        assert!(lines[1].contains(",3,1,5,"), "{}", lines[1]);
        assert!(lines[2].contains("\"b, \"\"the\"\" other\""), "{}", lines[2]);
    }
}
