//! Writes the results as comma-separated values (RFC 4180, with line feeds): a line for each cell.

use crate::figures;
use crate::outcomes::OutcomeClass;
use crate::schema::{Cell, Results};
use std::io::{self, Write};

/// Writes all cells. A figure has three fields: its median and the two ends of its interval. A missing value is an
/// empty field.
///
/// # Errors
/// An error of writing to `out`.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
    csv.write_record(columns())?;
    for cell in &results.cells {
        csv.write_record(fields(&results.run_id, cell))?;
    }
    csv.flush()
}

fn columns() -> Vec<String> {
    let cell = "run_id,target,workload,schedule,concurrency,requests_per_connection,verdict,reasons,trials,requests,ok,\
                failed,rank_throughput,rank_p99,rank_cpu";
    let mut columns: Vec<String> = cell.split(',').map(str::to_owned).collect();
    for column in figures::names().map(|name| name.column()) {
        columns.extend(["", "_low", "_high"].map(|end| format!("{column}{end}")));
    }
    columns
}

fn fields(run_id: &str, cell: &Cell) -> Vec<String> {
    let key = &cell.key;
    let mut fields = vec![
        run_id.to_owned(),
        key.target.clone(),
        key.workload.clone(),
        key.schedule.to_string(),
        key.concurrency.to_string(),
        key.requests_per_connection.0.map_or("unlimited".into(), |limit| limit.to_string()),
        cell.verdict.name().into(),
        cell.reasons.join("; "),
        cell.trials.len().to_string(),
        cell.outcomes.total().to_string(),
        cell.outcomes[OutcomeClass::Ok].to_string(),
        cell.outcomes.errors().to_string(),
    ];
    fields.extend(cell.ranks.iter().map(|(_, rank)| shown(rank)));
    for (_, figure) in cell.figures.iter() {
        fields.extend([figure.map(|f| f.median), figure.and_then(|f| f.low), figure.and_then(|f| f.high)].map(shown));
    }
    fields
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
