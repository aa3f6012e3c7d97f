//! What it takes to serve requests that wait, as for a slow backend.

use super::answer::Answer;
use super::comparison::shortened;
use super::group::Group;
use super::kind::{Kind, delay};
use super::wording::names;
use crate::schema::{Bound, Cell, Verdict};
use crate::units::count;

/// A target that comes so close to the ceiling reaches it.
const REACHED: f64 = 0.95;

/// Which targets serve all connections although each request waits.
pub(super) fn answer(groups: &[Group<'_>]) -> Option<Answer> {
    let slow = groups.iter().filter(|group| group.kind == Kind::SlowBackend);
    let group = slow.max_by_key(|group| group.load.concurrency)?;
    let delay = delay(group.load)?;
    let connections = group.load.concurrency as f64;
    let ceiling = connections / delay;
    let (mut reached, mut short_of, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for cell in &group.cells {
        match rate(cell) {
            Ok(rate) if rate >= REACHED * ceiling => reached.push(cell.key.target.as_str()),
            Err(_) if is_at_least(cell, REACHED * ceiling) => reached.push(cell.key.target.as_str()),
            Ok(rate) => short_of.push((*cell, rate)),
            Err(why) => unknown.push(format!("{} ({why})", cell.key.target)),
        }
    }
    let less = short_of.iter().map(|(cell, rate)| {
        format!("{} only {}/s, {} at a time", cell.key.target, count(*rate), count(rate * delay)) //
    });
    let less: Vec<String> = less.collect();
    let ceiling = count(ceiling);
    let question =
        format!("Which models can wait for a slow backend ({}, {connections} connections)?", group.load.workload);
    let all = reached.len() + short_of.len();
    let short = match (reached.is_empty(), short_of.is_empty()) {
        (true, true) => "cannot be told here".into(),
        (false, true) => format!("all {all} reach {ceiling}/s: each serves all connections at a time"),
        (true, false) => format!("none reaches {ceiling}/s; {}", less.join("; ")),
        (false, false) if all > 8 => format!("{}; {} of {all} reach {ceiling}/s", less.join("; "), reached.len()),
        (false, false) => format!("{}; {} reach {ceiling}/s", less.join("; "), names(&reached)),
    };
    let mut answer = Answer::new("slow backend", &question, short);
    let millis = delay * 1e3;
    answer.details.push(format!(
        "{connections} connections / {millis} ms = {ceiling} requests/s is the most there can be, whatever the CPU can do."
    ));
    for (cell, _) in &short_of {
        let workers = cell.figures.server.processes.zip(cell.figures.server.threads).map(|(processes, threads)| {
            let (processes, threads) = (processes.median.round(), threads.median.round());
            format!("{processes} process{} with {threads} threads", if processes == 1.0 { "" } else { "es" })
        });
        let why = cell.flaw(&cell.figures.at("throughput").0).map(|flaw| shortened(&flaw.why));
        let parts: Vec<String> = workers.into_iter().chain(why).collect();
        if !parts.is_empty() {
            answer.details.push(format!("{}: {}.", cell.key.target, parts.join(": ")));
        }
    }
    if !unknown.is_empty() {
        answer.details.push(format!("Not told: {}.", unknown.join("; ")));
    }
    Some(answer)
}

/// Whether the rate is a lower bound, and this is enough.
fn is_at_least(cell: &Cell, rate: f64) -> bool {
    let (name, figure) = cell.figures.at("throughput");
    let is_lower = cell.flaw(&name).is_some_and(|flaw| flaw.bound == Some(Bound::Lower));
    is_lower && figure.is_some_and(|figure| figure.median >= rate)
}

/// Answers a second. A target that leaves connections without an answer is short of the ceiling for this very reason, so
/// the verdict `starved` does not keep its rate from being told; the details have the reason.
fn rate(cell: &Cell) -> Result<f64, String> {
    let (name, figure) = cell.figures.at("throughput");
    let figure = figure.ok_or_else(|| shortened(cell.why_missing(&name).unwrap_or("it was not measured")))?;
    match cell.flaw(&name) {
        Some(flaw) if flaw.verdict != Verdict::Starved => {
            Err(format!("{}: {}", flaw.verdict.name(), shortened(&flaw.why)))
        }
        _ => Ok(figure.median),
    }
}
