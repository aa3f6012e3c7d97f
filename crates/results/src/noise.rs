//! The noise of a machine, from an A/A run: each target twice.

use crate::ranks::{COMPARED, paired};
use crate::schema::Results;
use crate::statistics;
use std::io::{self, Write};

/// The name of a target's second copy in an A/A run.
pub fn aa_name(target: &str) -> String {
    format!("{target} again")
}

/// Prints what an A/A run shows of this machine's noise: how much a target differs from its own copy, and which
/// difference is too small to be detected with this number of trials.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nThe same target twice: how much noise this machine has")?;
    for cell in &results.cells {
        let copy = results
            .cells
            .iter()
            .find(|other| other.key.target == aa_name(&cell.key.target) && other.key.same_load(&cell.key));
        let Some(copy) = copy else { continue };
        for figure in &COMPARED {
            let name = figure.name;
            let Some(ratio) = paired(cell, copy, figure) else { continue };
            let half_width = ((ratio.high / ratio.low).sqrt() - 1.0) * 100.0;
            write!(out, "{}: {name}: differences below {half_width:.1} % are noise", cell.key)?;
            if ratio.p < statistics::ALPHA {
                let off = (ratio.ratio - 1.0) * 100.0;
                write!(
                    out,
                    "; warning: the target differs from its own copy by {off:+.1} %, as happens in one run of twenty"
                )?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;

    #[test]
    fn an_aa_run_prints_which_differences_are_noise() {
        let mut out = Vec::new();
        print(&run("r", &[("a", 100.0), (&aa_name("a"), 100.0)], 5), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("req/s: differences below 0.0 % are noise\n"), "{text}");
    }
}
