//! Writes the results as comma-separated values (RFC 4180, with line feeds): a line for each cell.

use crate::figures;
use crate::outcomes::OutcomeClass;
use crate::schema::{Cell, Ranks, Results};
use std::io::{self, Write};

/// A column that is no figure: its name, and its value in a cell's line.
type Column = (&'static str, fn(&Results, &Cell) -> String);

const COLUMNS: [Column; 12] = [
    ("run_id", |results, _| results.run_id.clone()),
    ("target", |_, cell| cell.key.target.clone()),
    ("workload", |_, cell| cell.key.workload.clone()),
    ("schedule", |_, cell| cell.key.schedule.into()),
    ("concurrency", |_, cell| cell.key.concurrency.to_string()),
    ("requests_per_connection", |_, cell| {
        cell.key.requests_per_connection.0.map_or("unlimited".into(), |limit| limit.to_string())
    }),
    ("verdict", |_, cell| cell.verdict.name().into()),
    ("reasons", |_, cell| cell.reasons.join("; ")),
    ("trials", |_, cell| cell.trials.len().to_string()),
    ("requests", |_, cell| cell.outcomes.total().to_string()),
    ("ok", |_, cell| cell.outcomes[OutcomeClass::Ok].to_string()),
    ("failed", |_, cell| cell.outcomes.errors().to_string()),
];

/// Writes all cells. A figure has three fields: its median and the two ends of its interval. A missing value is an
/// empty field.
///
/// # Errors
/// An error of writing to `out`.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
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

fn shown(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::results;
    use crate::statistics::Figure;

    #[test]
    fn every_line_has_the_same_fields() {
        let mut results = results(&["a", "b"]);
        results.cells[0].figures.throughput = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        results.cells[1].key.target = "b, \"the\" other".into();
        let mut out = Vec::new();
        write(&results, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert!(lines[0].contains(",throughput,throughput_low,throughput_high,"));
        assert!(lines[1].contains(",3,1,5,"), "{}", lines[1]);
        assert!(lines[2].contains("\"b, \"\"the\"\" other\""), "{}", lines[2]);
    }
}
