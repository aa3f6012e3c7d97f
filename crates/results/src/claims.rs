//! Claims: sentences of the lecture, each with what an experiment says of it.
//!
//! An experiment is a run of its own. [`Evidence`] takes measures from its results, a measure against a [`Margin`] is a
//! [`Part`] of a claim, and the parts together decide whether the claim holds.

mod board;
mod evidence;
mod judge;
mod measure;

pub use crate::figures::CPU;
pub use crate::schema::{Claim, Margin, Part, Ruling};
pub use board::{figure, in_words, print_board, print_comparison, print_details};
pub use evidence::{At, Evidence, MEAN, MEDIAN, P90, P99, THROUGHPUT};
pub use judge::{ALPHA, judge, together};
pub use measure::{Measure, Values};
