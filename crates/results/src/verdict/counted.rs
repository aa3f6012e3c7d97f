//! Whether all CPU time of the target was counted.

use super::objection::Objection;
use super::scope::Scope;
use crate::schema::{Trial, Verdict};

/// A target of which a part was not charged to it.
pub(super) fn in_part(trial: &Trial) -> Option<Objection> {
    let why = trial.undercounted.as_ref()?;
    Some(Objection::new(Verdict::Undercounted, Scope::CountedBounds, why))
}
