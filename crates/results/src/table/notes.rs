//! What the tables need to be understood; only what occurs in them.

use super::columns::Column;
use super::ranked_by::RankedBy;
use crate::lists::each_once;

/// A rank is by all pairs of targets at once, an interval in the answers by one.
const RANK: &str = "rank: 1 + the targets that are better beyond noise, over all pairs at once: it takes a larger difference \
                    than an interval in the answers";

/// What is printed in a table.
pub(super) struct Printed {
    /// What its rows are sorted by; `None` if they are not.
    pub sorted_by: Option<&'static RankedBy>,
    /// The number of its rows.
    pub rows: usize,
    /// Its columns, each with its texts.
    pub columns: Vec<(Column, Vec<String>)>,
    /// Whether busy clients were beside.
    pub is_beside_busy: bool,
    /// Whether columns were left out.
    pub left_out: bool,
}

/// The notes on these tables, in one paragraph: how to read the rows, the columns and the marks.
pub(super) fn notes(tables: &[&Printed]) -> Option<String> {
    let notes: Vec<String> = [rows(tables), columns(tables), marks(tables)].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

fn has(table: &Printed, column: Column) -> bool {
    table.columns.iter().any(|(printed, _)| *printed == column)
}

fn has_text(tables: &[&Printed], is_meant: impl Fn(&str) -> bool) -> bool {
    tables.iter().flat_map(|table| &table.columns).flat_map(|(_, texts)| texts).any(|text| is_meant(text))
}

fn rows(tables: &[&Printed]) -> Vec<String> {
    let mut notes = Vec::new();
    let sorted = tables.iter().filter(|table| table.rows > 1);
    let by = each_once(sorted.filter_map(|table| table.sorted_by).map(|by| by.head)).join(" or ");
    if !by.is_empty() {
        notes.push(format!("rows: by {by}, the best first"));
    }
    if [Column::Rank, Column::MemoryRank].iter().any(|&column| tables.iter().any(|table| has(table, column))) {
        notes.push(RANK.into());
    }
    notes
}

fn columns(tables: &[&Printed]) -> Vec<String> {
    let occurs = |column: Column| tables.iter().any(|table| has(table, column));
    let mut notes = Vec::new();
    if occurs(Column::Cpu) {
        let is_mixed = tables.iter().any(|table| table.is_beside_busy && has(table, Column::Cpu));
        let also = if is_mixed { ", beside busy clients theirs, too" } else { "" };
        notes.push(format!("CPU µs/r: the server's CPU time a request{also}"));
    }
    if has_text(tables, |text| text.contains("p90 ")) {
        notes.push("p90: nine of ten answers were as fast".into());
    }
    if occurs(Column::Memory) {
        let unknown = if has_text(tables, |text| text.contains('?')) { " (?: not known)" } else { "" };
        notes.push(format!("mem/conn: user + kernel memory{unknown}"));
    }
    if occurs(Column::Processes) {
        notes.push("proc/thr: processes/threads".into());
    }
    notes
}

fn marks(tables: &[&Printed]) -> Vec<String> {
    let mut notes = Vec::new();
    let meanings = [(">=", "at least"), ("<=", "at most"), ("!", "not to be compared")];
    let occur = meanings.into_iter().filter(|(mark, _)| has_text(tables, |text| text.starts_with(mark)));
    let occur: Vec<String> = occur.map(|(mark, meaning)| format!("{mark} {meaning}")).collect();
    notes.extend((!occur.is_empty()).then(|| occur.join(", ")));
    if tables.iter().any(|table| table.left_out) {
        notes.push("left-out columns: show FILE | less -S".into());
    }
    notes
}
