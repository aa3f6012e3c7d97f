//! Compares two runs: what changed beyond noise.

use crate::ranks::{COMPARED, values};
use crate::schema::{Results, Verdict};
use crate::statistics;
use std::io::{self, Write};

/// Prints what changed beyond noise from the first run to the second: the ratio of second to first with its 95 %
/// interval, for each cell that both have. Holm's method corrects for the number of comparisons.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(first: &Results, second: &Results, out: &mut dyn Write) -> io::Result<()> {
    let mut found = Vec::new();
    for before in &first.cells {
        let Some(after) = second.cells.iter().find(|after| after.key == before.key) else {
            writeln!(out, "{}: only in {}", before.key, first.run_id)?;
            continue;
        };
        if let Some(invalid) = [before, after].into_iter().find(|cell| cell.verdict != Verdict::Valid) {
            writeln!(out, "{}: {}, so not compared", before.key, invalid.verdict.name())?;
            continue;
        }
        for figure in &COMPARED {
            let (name, higher_is_better) = (figure.name, figure.higher_is_better);
            match statistics::unpaired(&values(before, figure), &values(after, figure)) {
                Some(ratio) => found.push((&before.key, name, higher_is_better, ratio)),
                None => writeln!(
                    out,
                    "{}: {name}: needs {} trials with that figure in each",
                    before.key,
                    statistics::MIN_TRIALS
                )?,
            }
        }
    }
    for after in &second.cells {
        if first.cells.iter().all(|before| before.key != after.key) {
            writeln!(out, "{}: only in {}", after.key, second.run_id)?;
        }
    }
    let significant = statistics::holm(&found.iter().map(|(.., ratio)| ratio.p).collect::<Vec<_>>());
    for ((key, name, higher_is_better, ratio), significant) in found.iter().zip(significant) {
        let judgement = match (significant, (ratio.ratio > 1.0) == *higher_is_better) {
            (false, _) => "no change beyond noise",
            (true, true) => "better",
            (true, false) => "worse",
        };
        writeln!(out, "{key}: {name} x{:.3} ({:.3} to {:.3}): {judgement}", ratio.ratio, ratio.low, ratio.high)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;

    #[test]
    fn only_a_change_beyond_noise_is_reported_as_a_change() {
        let printed = |first: &Results, second: &Results| {
            let mut out = Vec::new();
            print(first, second, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let before = run("r", &[("a", 100.0)], 5);
        assert!(printed(&before, &run("s", &[("a", 100.1)], 5)).contains("no change beyond noise"));
        assert!(printed(&before, &run("s", &[("a", 120.0)], 5)).contains("x1.200"));
        assert!(printed(&before, &run("s", &[("a", 80.0)], 5)).contains(": worse"));
        assert!(printed(&before, &run("s", &[("a", 80.0)], 3)).contains("req/s: needs 5 trials"));
    }
}
