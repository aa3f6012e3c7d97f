//! The lines below a table: why figures of its rows may not be compared, and what else is to be said of them. What is said
//! of several targets is one line.

use super::ranked_by::RankedBy;
use super::wording::{Wording, join};
use crate::lists::add_new;
use crate::schema::{Cell, Verdict};

/// The most lines below a table, unless more targets have each a reason of its own.
const MOST: usize = 6;
/// The most targets that a line names.
const MOST_NAMES: usize = 4;

/// How much a line matters; the first matters most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// The first reason why figures of a target may not be compared or are missing.
    FirstReason,
    /// A further one.
    Reason,
    Remark,
}

/// What is said of some targets in the same words; the numbers in it may differ.
struct Group<'c> {
    targets: Vec<&'c str>,
    said: Vec<Wording>,
    weight: Weight,
}

/// The lines below the table of these cells: first why figures may not be compared, then remarks. Each target's first reason
/// is told.
pub(super) fn lines(cells: &[&Cell], by: Option<&RankedBy>) -> Vec<String> {
    let mut groups: Vec<Group> = Vec::new();
    for cell in cells {
        let target = cell.key.target.as_str();
        for (text, weight) in said(cell, by) {
            let wording = Wording::of(&text);
            match groups.iter_mut().find(|group| group.said[0].is_like(&wording)) {
                Some(group) => {
                    add_new(&mut group.targets, [target]);
                    group.said.push(wording);
                    group.weight = group.weight.min(weight);
                }
                None => groups.push(Group { targets: vec![target], said: vec![wording], weight }),
            }
        }
    }
    groups.sort_by_key(|group| group.weight);
    let told = groups.partition_point(|group| group.weight == Weight::FirstReason).max(MOST).min(groups.len());
    let line = |group: &Group| format!("{}: {}", names(&group.targets, cells.len()), join(&group.said));
    let mut lines: Vec<String> = groups[..told].iter().map(line).collect();
    match groups.len() - told {
        0 => {}
        1 => lines.push("and 1 more remark: results.json has it, in the reasons of the cell".into()),
        left => lines.push(format!("and {left} more remarks: results.json has them, in the reasons of the cells")),
    }
    lines
}

/// What is said of a cell, and how much it matters.
fn said(cell: &Cell, by: Option<&RankedBy>) -> Vec<(String, Weight)> {
    let is_why = |reason: &String| match cell.flaws.is_empty() {
        true => cell.verdict != Verdict::Valid,
        false => cell.flaws.values().any(|flaw| flaw.why == *reason),
    };
    let (mut whys, remarks): (Vec<String>, Vec<String>) = cell.reasons.iter().cloned().partition(is_why);
    let missing = by.and_then(|by| Some(format!("no {}: {}", by.head, by.why_missing(cell)?)));
    whys.extend(missing.filter(|_| whys.is_empty()));
    let weight = |number| if number == 0 { Weight::FirstReason } else { Weight::Reason };
    let whys = whys.into_iter().enumerate().map(|(number, why)| (why, weight(number)));
    whys.chain(remarks.into_iter().map(|remark| (remark, Weight::Remark))).collect()
}

/// The targets, of which the table has so many in all.
fn names(targets: &[&str], all: usize) -> String {
    match targets.len() {
        count if count == all && count > 2 => format!("all {count} targets"),
        count if count > MOST_NAMES => {
            format!("{} and {} more", targets[..MOST_NAMES - 1].join(", "), count + 1 - MOST_NAMES)
        }
        _ => targets.join(", "),
    }
}
