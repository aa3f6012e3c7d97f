//! Which model holds many idle connections for the least.

use super::answer::Answer;
use super::comparison::{Comparison, shortened};
use super::group::Group;
use super::kind::Kind;
use super::models::{EPOLL, Family, family};
use super::wording::{CPU, Near, comparisons, memory, names, near, range};
use crate::schema::Cell;
use crate::units::count;

const WHOLE: &str = "server.memory_bytes_per_connection";
const USER: &str = "server.user_memory_bytes_per_connection";
/// The question is about so many connections.
const MANY: f64 = 10_000.0;
/// A model that takes more than this multiple of epoll's CPU time a request beside idle connections is not recommended for
/// more of them, however little memory it takes.
const DEAR: f64 = 3.0;

/// Which model to take for 10,000 idle connections, computed from fewer.
pub(super) fn answer(groups: &[Group<'_>]) -> Option<Answer> {
    let beside_idle = groups.iter().filter(|group| group.kind == Kind::BesideIdle);
    let group = beside_idle.max_by_key(|group| group.load.background.idle)?;
    if group.cells.len() < 2 {
        return None;
    }
    let path = figure(group);
    let value = |cell: &Cell| {
        let (name, figure) = cell.figures.at(path);
        figure.filter(|_| cell.flaw(&name).is_none()).map(|figure| figure.median)
    };
    let values: Vec<(&str, f64)> =
        group.cells.iter().filter_map(|cell| Some((cell.key.target.as_str(), value(cell)?))).collect();
    let clusters = near(&values);
    let cpu = beside_them(group);
    let dear: Vec<&str> = cpu.iter().filter(|(_, cpu)| cpu.is_above(DEAR)).map(|(target, _)| target.as_str()).collect();
    let left_out: Vec<(&str, u64, u64)> = group.cells.iter().filter_map(|cell| lost(cell)).collect();
    let is_good = |target: &str| !dear.contains(&target) && left_out.iter().all(|(name, ..)| *name != target);
    let question = "Which model for 10,000 idle connections?";
    let mut answer = Answer::new("10,000 idle", question, String::new());
    let best = clusters.iter().position(|near| near.targets.iter().any(|target| is_good(target)));
    match best {
        Some(at) => {
            let best: Vec<&str> = clusters[at].targets.iter().copied().filter(|target| is_good(target)).collect();
            answer.short = short(&called(&best, group, &values), &clusters[at..]);
            answer.details.push(ground(&best, &clusters[at], group, path));
            answer.details.extend(ratios(group, &clusters, path));
        }
        None => answer.short = "cannot be told here: no model's memory is known".into(),
    }
    let dear: Vec<_> = cpu.iter().filter(|(target, _)| dear.contains(&target.as_str())).cloned().collect();
    if !dear.is_empty() {
        let each = comparisons(&dear, |text, targets| format!("{targets} {text}"));
        answer.details.push(format!("CPU a request beside them (epoll = 1): {}.", each.join("; ")));
    }
    let held = |(target, up, asked): &(&str, u64, u64)| {
        format!("{target} held only {} of {} idle connections", count(*up as f64), count(*asked as f64))
    };
    let held: Vec<String> = left_out.iter().map(held).collect();
    answer.details.extend((!held.is_empty()).then(|| format!("{}.", held.join("; "))));
    let others = group.cells.iter().copied().filter(|cell| lost(cell).is_none());
    answer.details.extend(unknown(&others.collect::<Vec<_>>(), path));
    Some(answer)
}

/// The figure by which memory is compared: user memory where most targets lack the kernel's part.
fn figure(group: &Group<'_>) -> &'static str {
    let having = |path: &str| group.cells.iter().filter(|cell| cell.figures.at(path).1.is_some()).count();
    if having(WHOLE) * 2 >= having(USER) { WHOLE } else { USER }
}

fn told(near: &Near<'_>, times: f64) -> String {
    range(near.low * times, near.high * times, memory)
}

/// The best targets: by their names, or if they are many as the loops without those that are not among them.
fn called(best: &[&str], group: &Group<'_>, values: &[(&str, f64)]) -> String {
    let loops = group.cells.iter().filter(|cell| family(&cell.key.target) == Some(Family::Loops));
    let others: Vec<&str> =
        loops.map(|cell| cell.key.target.as_str()).filter(|target| !best.contains(target)).collect();
    let are_loops = best.iter().all(|target| family(target) == Some(Family::Loops));
    let are_known = others.iter().all(|other| values.iter().any(|(target, _)| target == other));
    match are_loops && are_known && best.len() > others.len() + 2 {
        true if others.is_empty() => "any event loop".into(),
        true => format!("any event loop but {}", names(&others)),
        false => names(best),
    }
}

/// The memory for 10,000 connections: of the best targets, whose group is the first, and of those that take more.
fn short(best: &str, groups: &[Near<'_>]) -> String {
    let mut parts = vec![format!("{best}: {}", told(&groups[0], MANY))];
    parts.extend(groups[1..].iter().rev().map(|near| format!("{} {}", names(&near.targets), told(near, MANY))));
    parts.join("; ")
}

/// What the answer is computed from.
fn ground(best: &[&str], near: &Near<'_>, group: &Group<'_>, path: &str) -> String {
    let parts = if path == USER { "user memory alone" } else { "user and kernel" };
    let connections = count(group.load.connections() as f64);
    format!("From {} a connection ({parts}, {connections} connections): {}.", told(near, 1.0), names(best))
}

/// The memory of the targets that take more than the least, as ratios with intervals.
fn ratios(group: &Group<'_>, clusters: &[Near<'_>], path: &'static str) -> Option<String> {
    let baseline = group.cell(EPOLL).or_else(|| group.cell(clusters[0].targets[0]))?;
    let others = clusters.iter().filter(|near| !near.targets.contains(&baseline.key.target.as_str()));
    let compared: Vec<_> = others
        .flat_map(|near| &near.targets)
        .filter_map(|target| Some(((*target).to_owned(), Comparison::of(group.cell(target)?, baseline, path))))
        .collect();
    let each = comparisons(&compared, |text, targets| format!("{targets} {text}"));
    (!each.is_empty()).then(|| format!("Memory ({} = 1): {}.", baseline.key.target, each.join("; ")))
}

/// The CPU time a request of each target beside the idle connections, compared with epoll's.
fn beside_them(group: &Group<'_>) -> Vec<(String, Comparison)> {
    let Some(epoll) = group.cell(EPOLL) else { return Vec::new() };
    let others = group.cells.iter().filter(|cell| cell.key != epoll.key);
    others.map(|cell| (cell.key.target.clone(), Comparison::of(cell, epoll, CPU))).collect()
}

/// A target that did not hold all idle connections: the fewest that it held in a trial, and how many there should have
/// been.
fn lost(cell: &Cell) -> Option<(&str, u64, u64)> {
    let idle = cell.counted_trials().into_iter().map(|trial| trial.background.idle);
    let least = idle.filter(|idle| idle.up < idle.asked).min_by_key(|idle| idle.up)?;
    Some((cell.key.target.as_str(), least.up, least.asked))
}

/// The targets whose memory is not known or may not be compared, by reason.
fn unknown(cells: &[&Cell], path: &str) -> Option<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for cell in cells {
        let (name, figure) = cell.figures.at(path);
        let why = match (figure, cell.flaw(&name)) {
            (None, _) => cell.why_missing(&name).unwrap_or("it was not measured"),
            (Some(_), Some(flaw)) => &flaw.why,
            (Some(_), None) => continue,
        };
        let why = shortened(why);
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, targets)) => targets.push(&cell.key.target),
            None => reasons.push((why, vec![&cell.key.target])),
        }
    }
    let each: Vec<String> = reasons.iter().map(|(why, targets)| format!("{} ({why})", names(targets))).collect();
    (!each.is_empty()).then(|| format!("Memory not told: {}.", each.join("; ")))
}
