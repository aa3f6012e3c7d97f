//! What speaks against figures.

use super::scope::Scope;
use crate::figures::names;
use crate::schema::{Flaw, Verdict};
use std::collections::BTreeMap;

/// What speaks against some figures of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Objection {
    pub(super) verdict: Verdict,
    pub(super) why: String,
    pub(super) scope: Scope,
}

impl Objection {
    pub(super) fn new(verdict: Verdict, scope: Scope, why: impl Into<String>) -> Objection {
        Objection { verdict, why: why.into(), scope }
    }
}

/// The flaw of each figure: of the first objection that falls on it. A flaw of all figures of a group stands there
/// once, under the name of the group.
pub(super) fn flaws(objections: &[Objection]) -> BTreeMap<String, Flaw> {
    let mut groups: BTreeMap<&str, Vec<(String, Option<Flaw>)>> = BTreeMap::new();
    for name in names() {
        let flaw = objections.iter().find_map(|Objection { verdict, why, scope }| {
            scope.covers(&name).map(|bound| Flaw { verdict: *verdict, why: why.clone(), bound })
        });
        groups.entry(name.group).or_default().push((name.path(), flaw));
    }
    let mut found = BTreeMap::new();
    for (group, flaws) in groups {
        match &flaws[0].1 {
            Some(first) if !group.is_empty() && flaws.iter().all(|(_, flaw)| flaw.as_ref() == Some(first)) => {
                found.insert(group.to_owned(), first.clone());
            }
            _ => found.extend(flaws.into_iter().filter_map(|(path, flaw)| Some((path, flaw?)))),
        }
    }
    found
}
