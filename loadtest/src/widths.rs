//! How wide the intervals are that a run has so far.

use crate::conclude::judged;
use crate::further::Widths;
use results::Cell;
use results::contrast::{LEAST_BLOCKS, contrast};

/// The figure whose interval decides.
const CPU: &str = "server.cpu_us_per_request";

/// The cells of a run, before they are judged.
pub struct SoFar<'a> {
    /// The cells with their trials.
    pub cells: &'a [Cell],
    /// The CPUs that each target may run on.
    pub server_cpus: &'a [usize],
}

impl SoFar<'_> {
    fn judged(&self, cell: usize) -> Cell {
        judged(&self.cells[cell], self.server_cpus[cell])
    }
}

impl Widths for SoFar<'_> {
    fn of_pair(&self, original: usize, copy: usize) -> Option<f64> {
        let cells = [original, copy].map(|cell| self.judged(cell));
        match contrast(&cells[1], &cells[0], CPU) {
            Ok(contrast) => Some((contrast.high / contrast.low).sqrt() - 1.0),
            Err(_) => cells.iter().any(|cell| cell.trials.len() < LEAST_BLOCKS).then_some(f64::INFINITY),
        }
    }

    fn of_cell(&self, cell: usize) -> Option<f64> {
        let cell = self.judged(cell);
        let figure = (*cell.figures.at(CPU).1)?;
        Some(figure.half_width().unwrap_or(f64::INFINITY))
    }
}
