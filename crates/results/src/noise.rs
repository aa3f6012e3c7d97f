//! The noise of a machine, from targets that were measured twice: how much a target differs from itself.

pub use crate::plan::aa_name;

use crate::contrast::{Contrast, objection, over_blocks};
use crate::load::Key;
use crate::ranks::COMPARED;
use crate::schema::Results;
use crate::units::plural;
use std::io::{self, Write};

/// What a target that was measured twice shows of the noise of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// The target and its load.
    pub key: Key,
    /// The figure as it is called in what is printed: `CPU/r`.
    pub figure: &'static str,
    /// The figure's path in results.json: `server.cpu_us_per_request`.
    pub path: &'static str,
    /// The copy's figure to the target's.
    pub contrast: Contrast,
    /// Why the figure may not be compared, if it may not.
    pub flaw: Option<String>,
}

impl Noise {
    /// Whether the interval does not hold 1: the target seems to differ from itself. This happens in one of twenty cases.
    pub fn seems_to_differ(&self) -> bool {
        self.contrast.low > 1.0 || self.contrast.high < 1.0
    }

    /// How much the target may differ from itself, in words: `up to 15 % (12 blocks)`.
    pub fn words(&self) -> String {
        let percent = self.contrast.reach() * 100.0;
        let decimals = if percent < 9.95 { 1 } else { 0 };
        format!("up to {percent:.decimals$} % ({})", plural(self.contrast.blocks, "block"))
    }
}

/// The noise of each figure that is compared, by each target that was measured twice, under each load. A figure that is missing,
/// or that has fewer than three blocks, is left out.
pub fn noise(results: &Results) -> Vec<Noise> {
    let mut found = Vec::new();
    for cell in &results.cells {
        let name = aa_name(&cell.key.target);
        let mut of_same_load = results.cells.iter().filter(|other| other.key.load == cell.key.load);
        let Some(copy) = of_same_load.find(|other| other.key.target == name) else { continue };
        for figure in &COMPARED {
            let Ok(contrast) = over_blocks(copy, cell, figure.path) else { continue };
            found.push(Noise {
                key: cell.key.clone(),
                figure: figure.name,
                path: figure.path,
                contrast,
                flaw: objection(cell, figure.path).or_else(|| objection(copy, figure.path)),
            });
        }
    }
    found
}

/// Prints what an A/A run shows of this machine's noise: how much a target may differ from itself, with this number of
/// trials. `restarts` says whether each trial had a target that was started anew; if not, the noise is less than that of targets
/// that are.
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
    for noise in noise(results) {
        write!(out, "{}: {}: it may differ from itself by {}", noise.key, noise.figure, noise.words())?;
        if noise.seems_to_differ() {
            let off = (noise.contrast.ratio - 1.0) * 100.0;
            write!(
                out,
                "; warning: the target differs from its own copy by {off:+.1} %, as happens in one run of twenty"
            )?;
        }
        if let Some(why) = noise.flaw {
            write!(out, "; {why}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::run;
    use crate::schema::{Flaw, Verdict};

    #[test]
    fn an_aa_run_prints_how_much_a_target_may_differ_from_itself() {
        let printed = |results: &Results, restarts: bool| {
            let mut out = Vec::new();
            print(results, restarts, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut run = run("r", &[("a", 100.0), (&aa_name("a"), 100.0)], 5);
        let text = printed(&run, true);
        assert!(text.contains("req/s: it may differ from itself by up to 0.0 % (5 blocks)\n"), "{text}");
        assert!(text.contains("one start and the next are in it") && !text.contains("CPU/r"), "{text}");
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: "it was busy".into(), bound: None };
        run.cells[1].flaws.insert("throughput".into(), flaw);
        let text = printed(&run, false);
        assert!(text.contains("up to 0.0 % (5 blocks); a again: client-limited: it was busy\n"), "{text}");
        assert!(text.contains("one start and the next are not in it"), "{text}");
    }

    #[test]
    fn a_single_target_that_was_measured_twice_shows_the_noise() {
        let mut run = run("r", &[("a", 100.0), (&aa_name("a"), 103.0), ("b", 50.0)], 3);
        for (trial, share) in run.cells[1].trials.iter_mut().zip([0.99, 1.0, 1.01]) {
            trial.figures.throughput = trial.figures.throughput.map(|speed| speed * share);
        }
        let noise = noise(&run);
        let [one] = &noise[..] else { panic!("{noise:?}") };
        assert_eq!((&one.key.target[..], one.figure, one.path, one.contrast.blocks), ("a", "req/s", "throughput", 3));
        assert!((one.contrast.ratio - 1.03).abs() < 0.001 && (0.05..0.06).contains(&one.contrast.reach()), "{one:?}");
        assert!(one.seems_to_differ() && one.flaw.is_none(), "{one:?}");
        assert_eq!(one.words(), format!("up to {:.1} % (3 blocks)", one.contrast.reach() * 100.0));
        run.cells.iter_mut().for_each(|cell| cell.trials.truncate(2));
        assert_eq!(super::noise(&run), []);
    }
}
