//! What it takes to serve requests that wait, as for a slow backend.

use super::answer::Answer;
use super::comparison::shortened;
use super::group::Group;
use super::wording::{by_reason, names, number};
use crate::kind::{Kind, delay};
use crate::schema::{Bound, Cell, Verdict};
use crate::units::count;
use crate::verdict;

/// A target that comes so close to the ceiling reaches it; the sentences say it in per cent.
const REACHED: f64 = 0.95;

/// Which targets serve all connections although each request waits.
pub(super) fn answer(groups: &[Group<'_>]) -> Option<Answer> {
    let slow = groups.iter().filter(|group| group.kind == Kind::SlowBackend && group.cells.len() > 1);
    let group = slow.max_by_key(|group| group.load.concurrency)?;
    let delay = delay(group.load)?;
    let ceiling = group.load.concurrency as f64 / delay;
    let (mut reached, mut short_of, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for cell in &group.cells {
        let target = cell.key.target.as_str();
        match rate(cell) {
            Ok(rate) if rate >= REACHED * ceiling => reached.push(target),
            Err(_) if is_at_least(cell, REACHED * ceiling) => reached.push(target),
            Ok(_) if used_up(cell) => unknown.push((target, "it used all its CPU time".to_owned())),
            Ok(rate) => short_of.push((*cell, rate)),
            Err(why) => unknown.push((target, why)),
        }
    }
    let connections = number(group.load.concurrency, "connection");
    let question = format!("Which models can wait for a slow backend ({}, {connections})?", group.load.workload);
    let ceiling = count(ceiling);
    let less = short_of.iter().map(|(cell, rate)| {
        let at_a_time = count(rate * delay);
        format!("{} {}/s, {at_a_time} connections at a time", cell.key.target, count(*rate))
    });
    let is_all_known = unknown.is_empty();
    let reach = match subject(&reached, &short_of, is_all_known) {
        None if short_of.is_empty() => "cannot be told here".into(),
        None => format!("none comes within 5 % of {ceiling}/s"),
        Some(all) if short_of.is_empty() => {
            format!("{all} within 5 % of {ceiling}/s: all connections are served at a time")
        }
        Some(some) => format!("{some} within 5 % of {ceiling}/s"),
    };
    let parts: Vec<String> = [reach].into_iter().chain(less).collect();
    let mut answer = Answer::new("slow backend", &question, parts.join("; "));
    let millis = delay * 1e3;
    answer.details.push(format!(
        "{connections} / {millis} ms = {ceiling} requests/s is the most there can be, whatever the CPU can do."
    ));
    answer.details.extend(short_of.iter().filter_map(|(cell, _)| why_short(cell)));
    let unknown = by_reason(unknown.into_iter());
    answer.details.extend((!unknown.is_empty()).then(|| format!("Not told: {unknown}.")));
    Some(answer)
}

/// The targets that reach the ceiling, with the verb: by their names, or as all but those that do not; `None` if none does.
fn subject(reached: &[&str], short_of: &[(&Cell, f64)], is_all_known: bool) -> Option<String> {
    let others: Vec<&str> = short_of.iter().map(|(cell, _)| cell.key.target.as_str()).collect();
    let all = reached.len() + others.len();
    Some(match reached {
        [] => return None,
        [one] => format!("{one} comes"),
        _ if is_all_known && others.is_empty() => format!("all {all} come"),
        _ if is_all_known && others.len() < reached.len() => format!("all but {} come", names(&others)),
        _ if all > 8 => format!("{} of {all} come", reached.len()),
        _ => format!("{} come", names(reached)),
    })
}

/// Whether the target used all the CPU time that it could: then it may be this that keeps it from the ceiling, and not that
/// it cannot wait.
fn used_up(cell: &Cell) -> bool {
    verdict::share_of_cpus(cell).is_some_and(|share| share >= verdict::SATURATED_SHARE)
}

/// How many workers a target has that does not reach the ceiling, and what its verdict says.
fn why_short(cell: &Cell) -> Option<String> {
    let workers = cell.figures.server.processes.zip(cell.figures.server.threads).map(|(processes, threads)| {
        let (processes, threads) = (processes.median.round(), threads.median.round() as usize);
        let es = if processes == 1.0 { "" } else { "es" };
        format!("has {} process{es} with {}", count(processes), number(threads, "thread"))
    });
    let why = cell.flaw(&cell.figures.at("throughput").0).map(|flaw| shortened(&flaw.why));
    let target = &cell.key.target;
    match (workers, why) {
        (Some(workers), Some(why)) => Some(format!("{target} {workers}; {why}.")),
        (Some(workers), None) => Some(format!("{target} {workers}.")),
        (None, why) => why.map(|why| format!("{target}: {why}.")),
    }
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
