//! Claims: sentences of the lecture, each with what an experiment says of it.
//!
//! An experiment is a run of its own. [`Evidence`] takes measures from its results, a measure against a [`Margin`] is a
//! [`Part`] of a claim, and the parts together decide whether the claim holds.

mod claim;
mod evidence;
mod judge;
mod measure;
mod ruling;

pub use claim::{Claim, together};
pub use evidence::{At, Evidence};
pub use judge::{ALPHA, LEAST_BLOCKS, Margin, Part, judge};
pub use measure::{Measure, Values};
pub use ruling::Ruling;
