//! Writes the results as comma-separated values (RFC 4180, with line feeds): a line for each cell.

use crate::results::{Cell, Results};
use std::io::{self, Write};

/// Writes all cells. A figure has three fields: its median and the two ends of its interval. A missing value is an
/// empty field.
///
/// # Errors
/// An error of writing to `out`.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    let names = results.cells.first().map(Cell::named_figures).unwrap_or_default();
    write!(
        out,
        "run_id,target,workload,schedule,concurrency,requests_per_connection,verdict,reasons,trials,requests,ok,failed"
    )?;
    write!(out, ",rank_throughput,rank_p99,rank_cpu")?;
    for (name, _) in names {
        write!(out, ",{name},{name}_low,{name}_high")?;
    }
    writeln!(out)?;
    for cell in &results.cells {
        let per_connection = cell.requests_per_connection.0.map_or("unlimited".into(), |limit| limit.to_string());
        let words =
            [&results.run_id, &cell.target, &cell.workload, &cell.schedule.to_string()].map(|word| quoted(word));
        write!(out, "{},{},{per_connection},{}", words.join(","), cell.concurrency, cell.verdict.name())?;
        let (reasons, trials) = (quoted(&cell.reasons.join("; ")), cell.trials.len());
        write!(out, ",{reasons},{trials},{},{},{}", cell.requests, cell.ok, cell.failed())?;
        let show = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        for rank in [cell.ranks.throughput, cell.ranks.p99, cell.ranks.cpu] {
            write!(out, ",{}", show(rank.map(|rank| rank as f64)))?;
        }
        for (_, figure) in cell.named_figures() {
            let [median, low, high] =
                [figure.map(|f| f.median), figure.and_then(|f| f.low), figure.and_then(|f| f.high)];
            write!(out, ",{},{},{}", show(median), show(low), show(high))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;
    use crate::results::tests::results;

    #[test]
    fn every_line_has_the_same_fields() {
        let mut results = results(&["a", "b"]);
        results.cells[0].throughput = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        results.cells[1].target = "b, \"the\" other".into();
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
