//! How much noise the machine had.

use super::answer::Answer;
use super::comparison::Comparison;
use super::group::Group;
use super::models::family;
use super::wording::CPU;
use crate::contrast::LEAST_BLOCKS;
use crate::noise::noise;
use crate::schema::{Cell, Results, Trial};
use crate::units::plural;

/// How much a target differed from itself, and what else ran on the machine.
pub(super) fn answer(results: &Results, groups: &[Group<'_>]) -> Option<Answer> {
    let trials: Vec<&Trial> = results.cells.iter().flat_map(|cell| &cell.trials).collect();
    if trials.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    let by_cpu = noise(results).into_iter().filter(|noise| noise.path == CPU && noise.flaw.is_none());
    if let Some(noise) = by_cpu.max_by(|a, b| a.contrast.reach().total_cmp(&b.contrast.reach())) {
        let what = if family(&noise.key.target).is_some() { "model" } else { "target" };
        parts.push(format!("a {what} measured twice may differ from itself by {}", noise.words()));
    }
    for (what, value) in [
        (
            "other programs took {} of the server's CPUs",
            (|trial| trial.figures.machine.foreign_on_server_cpus) as fn(&Trial) -> Option<f64>,
        ),
        ("the hypervisor gave other machines {} of a CPU", |trial| trial.figures.machine.steal),
    ] {
        let values: Vec<f64> = trials.iter().filter_map(|trial| value(trial)).collect();
        let Some(most) = values.iter().copied().reduce(f64::max) else { continue };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let shares = format!("{:.1} % (at most {:.1} %)", mean * 100.0, most * 100.0);
        parts.push(what.replace("{}", &shares));
    }
    let mut answer = Answer::new("noise", "How much noise has this machine?", parts.join("; "));
    answer.details = groups.iter().flat_map(against_themselves).collect();
    let counts: Vec<String> = [repeated(&trials), flawed(&results.cells)].into_iter().flatten().collect();
    answer.details.extend((!counts.is_empty()).then(|| format!("{}.", counts.join("; "))));
    let is_few = |cell: &Cell| (1..LEAST_BLOCKS).contains(&cell.counted_trials().len());
    if results.cells.iter().any(is_few) {
        answer.details.push(format!("With fewer than {LEAST_BLOCKS} blocks a ratio has no interval."));
    }
    answer.details.extend(results.remarks.iter().map(|remark| format!("{}.", remark.trim_end_matches('.'))));
    if answer.short.is_empty() {
        answer.short = "not known: no target was measured twice".into();
    }
    Some(answer)
}

/// How far each target that was measured twice is from its copy.
fn against_themselves(group: &Group<'_>) -> Vec<String> {
    let pairs = group.twice.iter().map(|(cell, copy)| {
        let text = match Comparison::of(copy, cell, CPU) {
            Comparison::Interval(contrast) => format!(
                "{:.2}x ({:.2} .. {:.2}, {})",
                contrast.ratio,
                contrast.low,
                contrast.high,
                plural(contrast.blocks, "block")
            ),
            other => other.text(),
        };
        format!("{} measured twice {}: CPU a request {text}.", cell.key.target, group.phrase)
    });
    pairs.collect()
}

/// How many trials were made again because of a disturbance; each says so in a remark.
fn repeated(trials: &[&Trial]) -> Option<String> {
    let is_repeated = |trial: &&&Trial| trial.remarks.iter().any(|remark| remark.starts_with("made again"));
    let number = trials.iter().filter(is_repeated).count();
    (number > 0).then(|| format!("{number} of {} were made again", plural(trials.len(), "trial")))
}

/// How many cells have figures that may not be compared.
fn flawed(cells: &[Cell]) -> Option<String> {
    let number = cells.iter().filter(|cell| !cell.flaws.is_empty()).count();
    (number > 0).then(|| format!("{number} of {} have figures that may not be compared", plural(cells.len(), "cell")))
}
