//! What a run says, in sentences.

use crate::schema::Results;
use std::io::{self, Write};

/// The answer to a question that a run can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question, as in "is io_uring faster than epoll?".
    pub question: String,
    /// The answer in one short sentence.
    pub short: String,
    /// What the answer rests on: sentences with figures and intervals, and what could not be shown and why.
    pub details: Vec<String>,
}

/// The answers that this run gives, the most telling ones last.
pub fn answers(_results: &Results) -> Vec<Answer> {
    Vec::new()
}

/// Prints the answers, wrapped at `width` columns.
///
/// # Errors
/// An error of writing to `out`.
pub fn print(_answers: &[Answer], _width: usize, _out: &mut dyn Write) -> io::Result<()> {
    Ok(())
}

/// Prints each answer in its shortest form, a line each, for the end of the output.
///
/// # Errors
/// An error of writing to `out`.
pub fn print_short(_answers: &[Answer], _width: usize, _out: &mut dyn Write) -> io::Result<()> {
    Ok(())
}
