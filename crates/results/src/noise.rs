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
/// difference is too small to be detected with this number of trials. `restarts` says whether each trial had a target
/// that was started anew; if not, the noise is less than that of targets that are.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(results: &Results, restarts: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nThe same target twice: how much noise this machine has")?;
    writeln!(
        out,
        "{}",
        match restarts {
            true =>
                "(Each trial started the target anew, so the differences between one start and the next are in it.)",
            false => "(The targets ran all the time, so the differences between one start and the next are not in it.)",
        }
    )?;
    for cell in &results.cells {
        let copy = results
            .cells
            .iter()
            .find(|other| other.key.target == aa_name(&cell.key.target) && other.key.load == cell.key.load);
        let Some(copy) = copy else { continue };
        for figure in &COMPARED {
            let Some(ratio) = paired(cell, copy, figure) else { continue };
            let half_width = ((ratio.high / ratio.low).sqrt() - 1.0) * 100.0;
            write!(out, "{}: {}: differences below {half_width:.1} % are noise", cell.key, figure.name)?;
            if ratio.p < statistics::ALPHA {
                let off = (ratio.ratio - 1.0) * 100.0;
                write!(
                    out,
                    "; warning: the target differs from its own copy by {off:+.1} %, as happens in one run of twenty"
                )?;
            }
            let (name, _) = cell.figures.at(figure.path);
            if let Some(flaw) = cell.flaw(&name).or(copy.flaw(&name)) {
                write!(out, "; {}: {}", flaw.verdict.name(), flaw.why)?;
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
    use crate::schema::{Flaw, Verdict};

    #[test]
    fn an_aa_run_prints_which_differences_are_noise() {
        let printed = |results: &Results, restarts: bool| {
            let mut out = Vec::new();
            print(results, restarts, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut run = run("r", &[("a", 100.0), (&aa_name("a"), 100.0)], 5);
        let text = printed(&run, true);
        assert!(text.contains("req/s: differences below 0.0 % are noise\n"), "{text}");
        assert!(text.contains("one start and the next are in it") && !text.contains("CPU/r"), "{text}");
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: "it was busy".into(), bound: None };
        run.cells[1].flaws.insert("throughput".into(), flaw);
        let text = printed(&run, false);
        assert!(text.contains("below 0.0 % are noise; client-limited: it was busy\n"), "{text}");
        assert!(text.contains("one start and the next are not in it"), "{text}");
    }
}
