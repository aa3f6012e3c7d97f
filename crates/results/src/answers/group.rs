//! The cells of a run under one load.

use crate::kind::{Kind, phrase};
use crate::lacks::lacking;
use crate::load::Load;
use crate::noise::aa_name;
use crate::schema::{Cell, Results, by_load};

/// The cells of a run under one load.
pub(super) struct Group<'r> {
    /// The load.
    pub load: &'r Load,
    /// Its kind.
    pub kind: Kind,
    /// Its name within a sentence.
    pub phrase: String,
    /// Its name on a line of its own: the workload, or the name within a sentence if other loads of the run have this workload.
    pub topic: String,
    /// The cells of the targets that are no guests, without copies of an A/A run.
    pub cells: Vec<&'r Cell>,
    /// The cells of guests, without copies.
    pub guests: Vec<&'r Cell>,
    /// Each target that was measured twice, with its copy.
    pub twice: Vec<(&'r Cell, &'r Cell)>,
}

impl<'r> Group<'r> {
    /// The cell of this target, which is no guest.
    pub(super) fn cell(&self, target: &str) -> Option<&'r Cell> {
        self.cells.iter().copied().find(|cell| cell.key.target == target)
    }

    /// The cells of all targets, those of guests last.
    pub(super) fn all(&self) -> Vec<&'r Cell> {
        self.cells.iter().chain(&self.guests).copied().collect()
    }
}

/// The cells of each load, in the order of the results. A target that does not have the workload has no cell.
pub(super) fn groups(results: &Results) -> Vec<Group<'_>> {
    let all = by_load(&results.cells);
    let loads: Vec<&Load> = all.iter().map(|cells| &results.cells[cells[0]].key.load).collect();
    let group = |(cells, load): (&Vec<usize>, &&'_ Load)| {
        let of_its_kind: Vec<&Load> = loads.iter().copied().filter(|other| Kind::of(other) == Kind::of(load)).collect();
        let cells: Vec<&Cell> = cells.iter().map(|&at| &results.cells[at]).collect();
        let copy_of = |cell: &Cell| {
            let name = aa_name(&cell.key.target);
            cells.iter().copied().find(|copy| copy.key.target == name)
        };
        let twice: Vec<_> = cells.iter().filter_map(|cell| Some((*cell, copy_of(cell)?))).collect();
        let is_told = |cell: &&Cell| twice.iter().all(|(_, copy)| copy.key != cell.key) && lacking(cell).is_none();
        let told = cells.iter().copied().filter(is_told);
        let (guests, own) = told.partition(|cell| results.is_guest(&cell.key.target));
        let load = &cells[0].key.load;
        let phrase = phrase(load, &of_its_kind);
        let is_alone = loads.iter().filter(|other| other.workload == load.workload).count() == 1;
        Group {
            load,
            kind: Kind::of(load),
            topic: if is_alone { load.workload.clone() } else { phrase.clone() },
            phrase,
            cells: own,
            guests,
            twice,
        }
    };
    all.iter().zip(&loads).map(group).collect()
}
