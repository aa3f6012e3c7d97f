//! Claims: sentences of the lecture, each with what an experiment says of it.
//!
//! An experiment is a run of its own. [`Evidence`] takes measures from its results, a measure against a [`Margin`] is a
//! [`Part`] of a claim, and the parts together decide whether the claim holds.

mod board;
mod claim;
mod evidence;
mod judge;
mod measure;
mod ruling;

pub use crate::figures::CPU;
pub use board::{print_board, print_comparison, print_details};
pub use claim::{Claim, together};
pub use evidence::{At, Evidence, P90, THROUGHPUT};
pub use judge::{ALPHA, LEAST_BLOCKS, Margin, Part, judge};
pub use measure::{Measure, Values};
pub use ruling::Ruling;
