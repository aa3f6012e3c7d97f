//! Makes a cell of its trials: its figures, and the verdict on them.

use results::{Cell, remarks, verdict};

/// The cell as it is judged by its trials so far.
pub fn judged(cell: &Cell, server_cpus: usize) -> Cell {
    let mut cell = cell.clone();
    conclude(&mut cell, server_cpus);
    cell
}

/// Summarises the trials of a cell and judges it: its verdict, flaws and remarks. A cell is concluded once.
pub fn conclude(cell: &mut Cell, server_cpus: usize) {
    if cell.trials.is_empty() {
        let why = cell.reasons.first().cloned().unwrap_or_else(|| "interrupted".into());
        cell.mark_missing(&why);
        return;
    }
    cell.summarise();
    cell.server_cpus = Some(server_cpus);
    verdict::judge(cell, server_cpus);
    cell.reasons.extend(remarks::remarks(cell));
}
