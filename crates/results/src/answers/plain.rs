//! The answer for a load that no question is about, and for targets that are none of the lab's models.

use super::answer::Answer;
use super::comparison::{Comparison, shortened};
use super::group::Group;
use super::wording::{CPU, comparisons};
use crate::schedule::Schedule;
use crate::schema::Cell;
use crate::units::{count, micros};

const RATE: &str = "throughput";

/// Which target takes the least CPU time a request, and the others as ratios to it; where that is not known and the rate
/// shows what a target can do, which one answers the most requests.
pub(super) fn answer(group: &Group<'_>) -> Option<Answer> {
    if group.cells.len() < 2 {
        return None;
    }
    let having = |path: &str| group.cells.iter().filter(|cell| sound(cell, path).is_some()).count();
    let by_rate = having(CPU) < 2 && having(RATE) >= 2 && group.load.schedule == Schedule::Closed;
    let (path, question) = match by_rate {
        true => (RATE, "Which target answers the most requests"),
        false => (CPU, "Which target takes the least CPU"),
    };
    let sound_cells = group.cells.iter().filter_map(|cell| Some((*cell, sound(cell, path)?)));
    let order = |a: f64, b: f64| if by_rate { b.total_cmp(&a) } else { a.total_cmp(&b) };
    let best = sound_cells.min_by(|(_, a), (_, b)| order(*a, *b));
    let topic = &group.topic;
    let question = format!("{question} {}?", group.phrase);
    let Some((best, value)) = best else {
        let why = group.cells.iter().find_map(|cell| why_not(cell, path)).unwrap_or_else(|| "not measured".into());
        return Some(Answer::new(topic, &question, format!("cannot be told here: {why}")));
    };
    let others = group.cells.iter().filter(|cell| cell.key != best.key);
    let compared: Vec<_> = others.map(|cell| (cell.key.target.clone(), Comparison::of(cell, best, path))).collect();
    let (known, unknown): (Vec<_>, Vec<_>) = compared.into_iter().partition(|(_, other)| other.ratio().is_some());
    let value = if by_rate { format!("{} requests/s", count(value)) } else { micros(value).replace('µ', " µ") };
    let each = |compared: &[_]| comparisons(compared, |text, targets| format!("{targets} {text}"));
    let mut short = vec![format!("{} with {value}", best.key.target)];
    short.extend(each(&known));
    let mut answer = Answer::new(topic, &question, short.join("; "));
    if !unknown.is_empty() {
        answer.details.push(format!("{}.", each(&unknown).join("; ")));
    }
    Some(answer)
}

fn sound(cell: &Cell, path: &str) -> Option<f64> {
    let (name, figure) = cell.figures.at(path);
    figure.filter(|_| cell.flaw(&name).is_none()).map(|figure| figure.median)
}

fn why_not(cell: &Cell, path: &str) -> Option<String> {
    let (name, _) = cell.figures.at(path);
    cell.flaw(&name).map(|flaw| shortened(&flaw.why)).or_else(|| cell.why_missing(&name).map(shortened))
}
