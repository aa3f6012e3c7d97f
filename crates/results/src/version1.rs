//! Files of version 1 of the schema.

use crate::figures::Reason;
use crate::schema::Cell;
use crate::verdict::flaws_of;
use std::collections::BTreeMap;

const MEMORY: &str = "server.memory_bytes_per_connection";
const MEMORY_MISSING: &str = "version 1 of results.json read it after the load, and without the kernel's part";

/// Makes of a cell of version 1 what this program understands: see [`SCHEMA`](crate::schema::SCHEMA).
pub(crate) fn upgrade(cell: &mut Cell) {
    take(&mut cell.figures.server.memory_bytes_per_connection, &mut cell.missing);
    for trial in &mut cell.trials {
        take(&mut trial.figures.server.memory_bytes_per_connection, &mut trial.missing);
    }
    cell.explain_missing();
    // Runs that this program has merged have the flaws of their cells.
    if cell.flaws.is_empty() {
        let why = cell.reasons.first().cloned().unwrap_or_else(|| cell.verdict.name().into());
        cell.flaws = flaws_of(cell.verdict, &why);
    }
}

fn take<T>(memory: &mut Option<T>, missing: &mut BTreeMap<String, Reason>) {
    if memory.take().is_some() {
        missing.insert(MEMORY.into(), MEMORY_MISSING.into());
    }
}
