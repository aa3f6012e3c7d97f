//! What the tables need to be understood; only what occurs in them.

use super::columns::Column;
use super::ranked_by::RankedBy;
use crate::lists::each_once;

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

/// The notes on these tables: how to read the rows, and below it the marks.
pub(super) fn notes(tables: &[Printed]) -> Vec<String> {
    let has = |column: Column| tables.iter().any(|table| table.columns.iter().any(|(printed, _)| *printed == column));
    let all_texts = || tables.iter().flat_map(|table| &table.columns).flat_map(|(_, texts)| texts);
    let mut rows = Vec::new();
    let sorted = tables.iter().filter(|table| table.rows > 1);
    let by = each_once(sorted.filter_map(|table| table.sorted_by).map(|by| by.head)).join(" or ");
    if !by.is_empty() {
        rows.push(format!("rows: by {by}, the best first"));
    }
    if has(Column::Interval) || has(Column::MemoryInterval) {
        rows.push("interval: of the figure before it".into());
    }
    if has(Column::Rank) {
        rows.push("rank: below another's only if worse beyond noise".into());
    }
    let has_cpu = |table: &Printed| table.columns.iter().any(|(column, _)| *column == Column::Cpu);
    if tables.iter().any(|table| table.is_beside_busy && has_cpu(table)) {
        rows.push("beside busy clients, CPU µs/r has theirs, too".into());
    }
    let mut marks = Vec::new();
    if has(Column::Memory) {
        let unknown = all_texts().any(|text| text.contains('?'));
        let unknown = if unknown { " (?: not known)" } else { "" };
        marks.push(format!("mem/conn: user + kernel memory a connection{unknown}"));
    }
    let meanings = [(">=", "at least"), ("<=", "at most"), ("!", "not to be compared")];
    let occur = meanings.into_iter().filter(|(mark, _)| all_texts().any(|text| text.starts_with(mark)));
    let occur: Vec<String> = occur.map(|(mark, meaning)| format!("{mark} {meaning}")).collect();
    if !occur.is_empty() {
        marks.push(format!("{}: the lines below the table say why", occur.join(", ")));
    }
    if tables.iter().any(|table| table.left_out) {
        marks.push("left-out columns: widen the terminal, or show FILE | less -S".into());
    }
    [rows, marks].into_iter().filter(|line| !line.is_empty()).map(|line| line.join("; ")).collect()
}
