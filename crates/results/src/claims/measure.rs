//! A measure: what the judgement is made of.

use crate::schema::Bound;

/// What was measured for a part of a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// In words.
    pub what: String,
    /// Whether it is a ratio, of which the geometric mean counts.
    pub is_ratio: bool,
    /// The values, or why there are none.
    pub values: Result<Values, String>,
    /// On which side of the measured value the true one lies, if it is only a bound.
    pub bound: Option<Bound>,
    /// Claims of the whole board, whichever of them were asked for: one alone is judged as on the board.
    pub claims: usize,
}

/// The values of a measure.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// A value for each block.
    Blocks(Vec<f64>),
    /// A count, which has no noise; its interval says what else it could be, and does not decide.
    Count {
        /// The count.
        value: f64,
        /// The least that it could have been.
        low: f64,
        /// The most.
        high: f64,
    },
}
