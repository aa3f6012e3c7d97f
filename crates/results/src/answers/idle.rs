//! Which model holds many idle connections for the least.

use super::answer::Answer;
use super::comparison::{Comparison, shortened};
use super::group::Group;
use super::models::{EPOLL, Family, MODELS};
use super::wording::{CPU, Near, alike, by_reason, comparisons, ends, memory, names, near, range, values};
use crate::background::BackgroundGroup;
use crate::kind::Kind;
use crate::plan::ENOUGH_FOR_KERNEL_MEMORY;
use crate::schema::{Cell, Trial};
use crate::units::count;
use crate::verdict;

const WHOLE: &str = "server.memory_bytes_per_connection";
const USER: &str = "server.user_memory_bytes_per_connection";
/// The question is about so many connections.
const MANY: f64 = 10_000.0;
/// A model that takes more than this multiple of epoll's CPU time a request beside idle connections is not recommended for
/// more of them, however little memory it takes.
const DEAR: f64 = 3.0;

/// Which model to take for 10,000 idle connections, computed from fewer. Of less than a thousand connections the kernel's
/// memory is not known.
pub(super) fn answer(groups: &[Group<'_>]) -> Option<Answer> {
    let is_asked =
        |group: &&Group<'_>| group.kind == Kind::BesideIdle && group.load.connections() >= ENOUGH_FOR_KERNEL_MEMORY;
    let group = groups.iter().filter(is_asked).max_by_key(|group| group.load.background.idle)?;
    if group.cells.len() < 2 {
        return None;
    }
    let mut answer = Answer::new("10,000 idle", "Which model for 10,000 idle connections?", String::new());
    let (holding, lost): (Vec<&Cell>, Vec<&Cell>) = group.cells.iter().partition(|cell| fewest_held(cell).is_none());
    let path = figure(group);
    let values = values(&holding, path);
    let cpu = beside_them(group, &holding);
    let is_dear = |target: &str| cpu.iter().any(|(name, cpu)| name == target && cpu.is_above(DEAR));
    let is_told = |target: &str| cpu.iter().any(|(name, cpu)| name == target && cpu.ratio().is_some());
    let clusters = near(&values);
    let best = clusters.iter().position(|near| near.targets.iter().any(|target| !is_dear(target)));
    match best {
        Some(at) => {
            let cheap: Vec<&str> = clusters[at].targets.iter().copied().filter(|target| !is_dear(target)).collect();
            let told: Vec<&str> = cheap.iter().copied().filter(|target| is_told(target)).collect();
            let (by, best) = if told.is_empty() { ("by memory alone, ", cheap) } else { ("", told) };
            let of_best = |(target, value): &(&str, f64)| best.contains(target).then_some(*value);
            let (low, high) = ends(values.iter().filter_map(of_best));
            let is_known = |target: &str| is_told(target) && values.iter().any(|(name, _)| *name == target);
            let best_names = called(&best, is_known);
            answer.short = short(&format!("{by}{best_names}"), (low, high), &clusters[at + 1..]);
            answer.details.push(ground(&best, (low, high), group, path));
            answer.details.extend(ratios(group, &clusters, path));
        }
        None if holding.is_empty() => answer.short = "cannot be told here: no model held all connections".into(),
        None => answer.short = "cannot be told here: no model's memory is known".into(),
    }
    let dear: Vec<_> = cpu.iter().filter(|(_, cpu)| cpu.is_above(DEAR)).cloned().collect();
    if !dear.is_empty() {
        let each = comparisons(&dear, |text, targets| format!("{targets} {text}"));
        answer.details.push(format!("CPU a request beside them (epoll = 1): {}.", each.join("; ")));
    }
    let why_not = cpu.iter().filter_map(|(target, cpu)| Some((target.as_str(), cpu.why_not()?.to_owned())));
    let untold = by_reason(why_not);
    answer.details.extend((!untold.is_empty()).then(|| format!("CPU a request beside them not told: {untold}.")));
    answer.details.extend(held(&lost));
    answer.details.extend(unknown(&holding, path));
    Some(answer)
}

/// The figure by which memory is compared: user memory where most targets lack the kernel's part.
fn figure(group: &Group<'_>) -> &'static str {
    let having = |path: &str| group.cells.iter().filter(|cell| cell.figures.at(path).1.is_some()).count();
    if having(WHOLE) * 2 >= having(USER) { WHOLE } else { USER }
}

fn for_many((low, high): (f64, f64)) -> String {
    range(low * MANY, high * MANY, memory)
}

/// The best targets: by their names, or if they are most of the models with loops, as these without the others. That
/// takes all these models, with all that decides about them.
fn called(best: &[&str], is_known: impl Fn(&str) -> bool) -> String {
    let loops = MODELS.iter().filter(|(_, family)| *family == Family::Loops).map(|(name, _)| *name);
    let (among, others): (Vec<&str>, Vec<&str>) = loops.partition(|model| best.contains(model));
    let are_loops = among.len() == best.len() && others.iter().all(|other| is_known(other));
    match are_loops && best.len() > others.len() + 2 {
        true if others.is_empty() => "any model with loops".into(),
        true => format!("any model with loops but {}", names(&others)),
        false => names(best),
    }
}

/// The memory for 10,000 connections: of the best targets, and of those that take more.
fn short(best: &str, of_best: (f64, f64), others: &[Near<'_>]) -> String {
    let others =
        others.iter().rev().map(|near| format!("{} {}", names(&near.targets), for_many((near.low, near.high))));
    let parts: Vec<String> = [format!("{best}: {}", for_many(of_best))].into_iter().chain(others).collect();
    parts.join("; ")
}

/// What the answer is computed from.
fn ground(best: &[&str], (low, high): (f64, f64), group: &Group<'_>, path: &str) -> String {
    let parts = if path == USER { "user memory alone" } else { "user and kernel memory" };
    let measured = group.load.connections() as f64;
    let fewer = if measured < MANY { format!(", not {}", count(MANY)) } else { String::new() };
    format!(
        "Computed from {} a connection ({parts}, measured with {} connections{fewer}): {}.",
        range(low, high, memory),
        count(measured),
        names(best)
    )
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

/// The CPU time a request of these targets beside the idle connections, compared with epoll's.
fn beside_them(group: &Group<'_>, cells: &[&Cell]) -> Vec<(String, Comparison)> {
    let epoll = group.cell(EPOLL);
    let without = || Comparison::NotTold(format!("{EPOLL} was not measured beside them"));
    let compared = |cell: &&Cell| epoll.map_or_else(without, |epoll| Comparison::of(cell, epoll, CPU));
    cells.iter().map(|cell| (cell.key.target.clone(), compared(cell))).collect()
}

/// The trial in which a target held the fewest idle connections; `None` if it held them all.
pub(super) fn fewest_held(cell: &Cell) -> Option<BackgroundGroup> {
    let not_held = |trial: &Trial| verdict::not_held(trial, trial.background.idle);
    cell.counted_trials().into_iter().filter_map(not_held).min_by_key(|idle| idle.up)
}

/// In words, how many of the idle connections a target held.
pub(super) fn held_only(idle: BackgroundGroup) -> String {
    format!("held only {} of {} idle connections", count(idle.up as f64), count(idle.asked as f64))
}

/// The targets that did not hold all idle connections, with the fewest that they held in a trial.
fn held(cells: &[&Cell]) -> Option<String> {
    let fewest = cells.iter().filter_map(|cell| Some((cell.key.target.as_str(), fewest_held(cell)?)));
    let each = alike(fewest.map(|(target, idle)| (target, held_only(idle))))
        .into_iter()
        .map(|(held, targets)| format!("{} {held}", names(&targets)));
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| format!("{}.", each.join("; ")))
}

/// The targets whose memory is not known or may not be compared, by reason.
fn unknown(cells: &[&Cell], path: &str) -> Option<String> {
    let why = |cell: &Cell| {
        let (name, figure) = cell.figures.at(path);
        match (figure, cell.flaw(&name)) {
            (None, _) => Some(shortened(cell.why_missing(&name).unwrap_or("it was not measured"))),
            (Some(_), flaw) => flaw.map(|flaw| shortened(&flaw.why)),
        }
    };
    let unknown = by_reason(cells.iter().filter_map(|cell| Some((cell.key.target.as_str(), why(cell)?))));
    (!unknown.is_empty()).then(|| format!("Memory not told: {unknown}."))
}
