//! The answer for a load that no question is about, and for targets that are none of the lab's models.

use super::answer::Answer;
use super::comparison::{Comparison, Word, shortened};
use super::group::Group;
use super::wording::{CPU, comparisons, names};
use crate::schedule::Schedule;
use crate::schema::{Bound, Cell};
use crate::units::{count, micros};

const RATE: &str = "throughput";

/// Which target takes the least CPU time a request, and the others as ratios to it; where that is not known and the rate
/// shows what a target can do, which one answers the most requests. If another may be as good, there is no winner; without
/// intervals there is none either.
pub(super) fn answer(group: &Group<'_>) -> Option<Answer> {
    let cells = group.all();
    if cells.len() < 2 {
        return None;
    }
    let having = |path: &str| cells.iter().filter(|cell| cell.comparable(path).is_some()).count();
    let by_rate = having(CPU) < 2 && having(RATE) >= 2 && group.load.schedule == Schedule::Closed;
    let (path, question) = match by_rate {
        true => (RATE, "Which target answers the most requests"),
        false => (CPU, "Which target takes the least CPU"),
    };
    let sound_cells = cells.iter().filter_map(|cell| Some((*cell, cell.comparable(path)?.median)));
    let order = |a: f64, b: f64| if by_rate { b.total_cmp(&a) } else { a.total_cmp(&b) };
    let best = sound_cells.min_by(|(_, a), (_, b)| order(*a, *b));
    let topic = &group.topic;
    let question = format!("{question} {}?", group.phrase);
    let Some((best, value)) = best else {
        let why = cells.iter().find_map(|cell| why_not(cell, path)).unwrap_or_else(|| "not measured".into());
        return Some(Answer::new(topic, &question, format!("cannot be told here: {why}")));
    };
    let others = cells.iter().filter(|cell| cell.key != best.key);
    let compared = others.map(|cell| (*cell, Comparison::of(cell, best, path)));
    let (known, unknown): (Vec<_>, Vec<_>) = compared.partition(|(_, comparison)| comparison.ratio().is_some());
    let each = |compared: &[(&Cell, Comparison)]| {
        let named: Vec<_> = compared.iter().map(|(cell, other)| (cell.key.target.clone(), other.clone())).collect();
        comparisons(&named, |text, targets| format!("{targets} {text}"))
    };
    let worse = if by_rate { Word::Less } else { Word::More };
    let may_be_as_good = |(cell, comparison): &&(&Cell, Comparison)| match comparison.ratio() {
        Some(_) => comparison.word() != worse,
        None => is_bound(cell, path, if by_rate { Bound::Lower } else { Bound::Upper }),
    };
    let as_good: Vec<&str> =
        known.iter().chain(&unknown).filter(may_be_as_good).map(|(cell, _)| cell.key.target.as_str()).collect();
    let value = if by_rate { format!("{} requests/s", count(value)) } else { micros(value).replace('µ', " µ") };
    let target = best.key.target.as_str();
    let has_interval = known.iter().any(|(_, comparison)| comparison.word() != Word::None);
    let first = match as_good.is_empty() {
        true => format!("{target} with {value}"),
        false if has_interval => {
            let together: Vec<&str> = [target].into_iter().chain(as_good).collect();
            format!("cannot be told apart: {}; {target} with {value}", names(&together))
        }
        false => format!("cannot be told here: {target} with {value}"),
    };
    let short = match known.is_empty() {
        true => format!("cannot be told here: only {target} has a figure"),
        false => [first].into_iter().chain(each(&known)).collect::<Vec<_>>().join("; "),
    };
    let mut answer = Answer::new(topic, &question, short);
    if !unknown.is_empty() {
        answer.details.push(format!("{}.", each(&unknown).join("; ")));
    }
    Some(answer)
}

/// Whether the figure has a value that is this bound alone.
fn is_bound(cell: &Cell, path: &str, bound: Bound) -> bool {
    let (name, figure) = cell.figures.at(path);
    figure.is_some() && cell.flaw(&name).is_some_and(|flaw| flaw.bound == Some(bound))
}

fn why_not(cell: &Cell, path: &str) -> Option<String> {
    let (name, _) = cell.figures.at(path);
    cell.flaw(&name).map(|flaw| shortened(&flaw.why)).or_else(|| cell.why_missing(&name).map(shortened))
}
