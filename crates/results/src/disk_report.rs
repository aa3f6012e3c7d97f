//! What a run of the disk lab says: sentences, a table and a chart.

mod part;
mod sentences;
mod table;
#[cfg(test)]
mod tests;

pub use table::{NOTE, Told, print, told};
