//! The columns of a table: what each has, and how telling it is.

use super::ranked_by::RankedBy;
use crate::figures::CPU;
use crate::load::Load;
use crate::schedule::Schedule;
use crate::schema::Cell;
use crate::units::{bytes, count, micros, three_digits};

const P99: &str = "latency_us.p99";
const P90: &str = "latency_us.p90";
const KERNEL_MEMORY: &str = "server.kernel_memory_bytes_per_connection";
const ACHIEVED: &str = "pace.achieved_share";

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Target,
    /// The rank by the figure by which the rows are compared.
    Rank,
    Cpu,
    Rate,
    /// The share of the offered rate with which answers came.
    Achieved,
    P50,
    P99,
    P999,
    /// The interval of the figure by which the rows are compared.
    Interval,
    Errors,
    /// The rank by user and kernel memory a connection.
    MemoryRank,
    Memory,
    MemoryInterval,
    Processes,
    Verdict,
}

use Column::{
    Achieved, Cpu, Errors, Interval, Memory, MemoryInterval, MemoryRank, P50, P999, Processes, Rank, Rate, Target,
    Verdict,
};

/// The columns of figures that rows are compared by.
const FIGURES: [Column; 3] = [Cpu, Rate, Column::P99];

impl Column {
    /// The heading.
    pub fn head(self) -> &'static str {
        match self {
            Target => "target",
            Rank => "rank",
            MemoryRank => "mem rank",
            Cpu => "CPU µs/r",
            Rate => "req/s",
            Achieved => "achieved",
            P50 => "p50",
            Column::P99 => "p99",
            P999 => "p99.9",
            Interval | MemoryInterval => "interval",
            Errors => "errors",
            Memory => "mem/conn",
            Processes => "proc/thr",
            Verdict => "verdict",
        }
    }

    /// What it is called apart from its table.
    pub fn name(self) -> &'static str {
        match self {
            MemoryInterval => "interval of mem/conn",
            column => column.head(),
        }
    }

    /// The path of the column's single figure.
    fn path(self) -> Option<&'static str> {
        match self {
            Cpu => Some(CPU),
            Rate => Some("throughput"),
            Achieved => Some(ACHIEVED),
            P50 => Some("latency_us.p50"),
            Column::P99 => Some(P99),
            P999 => Some("latency_us.p999"),
            _ => None,
        }
    }

    /// Whether it has the figure that rows are compared by. The 90th percentile stands in the column of the 99th.
    fn is_of(self, by: &RankedBy) -> bool {
        self.path() == Some(by.path) || (self == Column::P99 && by.path == P90)
    }

    /// How the column's figure is written.
    fn form(self) -> fn(f64) -> String {
        match self {
            Cpu => three_digits,
            Rate => count,
            Achieved => |share| format!("{:.1} %", share * 100.0),
            Memory | MemoryInterval => bytes,
            _ => micros,
        }
    }

    /// What stands in the row of this cell; a dash if there is nothing.
    pub fn text(self, cell: &Cell, by: Option<&RankedBy>) -> String {
        let text = match self {
            Target => Some(cell.key.target.clone()),
            Rank => by.and_then(|by| (by.rank)(&cell.ranks)).map(|rank| rank.to_string()),
            Interval => by.and_then(|by| {
                let column = FIGURES.into_iter().find(|column| column.is_of(by))?;
                interval(cell, by.path, column.form())
            }),
            Column::P99 => {
                let p99 = if by.is_some_and(|by| by.path == P90) { None } else { shown(cell, P99, micros) };
                p99.or_else(|| shown(cell, P90, micros).map(|p90| format!("p90 {p90}")))
            }
            Errors => Some(count(cell.outcomes.errors() as f64)),
            MemoryRank => cell.ranks.memory.map(|rank| rank.to_string()),
            Memory => memory(cell),
            MemoryInterval => interval(cell, "server.memory_bytes_per_connection", bytes),
            Processes => {
                let number = |path| shown(cell, path, |number| format!("{number:.0}"));
                let both = number("server.processes").zip(number("server.threads"));
                both.map(|(processes, threads)| format!("{processes}/{threads}"))
            }
            Verdict => Some(cell.verdict.name().into()),
            _ => self.path().and_then(|path| shown(cell, path, self.form())),
        };
        text.unwrap_or_else(|| "-".into())
    }

    /// Whether the table of these cells has the column: one that says nothing of any of them is left out.
    fn is_in(self, cells: &[&Cell], by: Option<&RankedBy>) -> bool {
        match self {
            Errors => cells.iter().any(|cell| cell.outcomes.errors() > 0),
            Achieved => cells.iter().any(|cell| cell.falls_short()),
            MemoryInterval if !is_kernel_memory_told(cells) => false,
            // Where no target is worse than another beyond noise, the intervals say so.
            Rank | MemoryRank => cells.iter().any(|cell| !["-", "1"].contains(&self.text(cell, by).as_str())),
            column => cells.iter().any(|cell| column.text(cell, by) != "-"),
        }
    }
}

/// The columns of the table of these cells, from left to right. An interval stands beside its figure.
pub(super) fn columns(cells: &[&Cell], by: Option<&RankedBy>) -> Vec<Column> {
    let mut columns = vec![
        Target,
        Rank,
        Cpu,
        Rate,
        Achieved,
        P50,
        Column::P99,
        P999,
        Errors,
        MemoryRank,
        Memory,
        MemoryInterval,
        Processes,
        Verdict,
    ];
    put_interval(&mut columns, by);
    columns.retain(|column| column.is_in(cells, by));
    columns
}

/// The columns in the order in which they tell about this load, the most telling first. In a closed loop the rate is a
/// result; in an open loop the latency is, above all beside busy clients. The memory of a few connections is mostly what the
/// process itself needs.
pub(super) fn by_telling(load: &Load, cells: &[&Cell], by: Option<&RankedBy>) -> Vec<Column> {
    let mut columns = vec![Target, Verdict, Errors];
    columns.extend_from_slice(match load.schedule {
        Schedule::Closed => &[Cpu, Rate, Column::P99, Rank, P50, Processes, P999],
        _ if load.background.busy > 0 => &[Column::P99, P50, Achieved, Rank, P999, Cpu, Rate, Processes],
        _ => &[Cpu, Column::P99, Achieved, Rank, P50, P999, Rate, Processes],
    });
    put_interval(&mut columns, by);
    let after =
        columns.iter().position(|column| *column == Interval).or(columns.iter().position(|column| *column == Cpu));
    let place = after.filter(|_| is_kernel_memory_told(cells)).map_or(columns.len(), |after| after + 1);
    columns.splice(place..place, [Memory, MemoryInterval, MemoryRank]);
    columns
}

/// Puts the interval after the figure that it is of.
fn put_interval(columns: &mut Vec<Column>, by: Option<&RankedBy>) {
    let of = |by: &RankedBy| columns.iter().position(|column| column.is_of(by));
    if let Some(place) = by.and_then(of) {
        columns.insert(place + 1, Interval);
    }
}

fn is_kernel_memory_told(cells: &[&Cell]) -> bool {
    cells.iter().any(|cell| cell.figures.at(KERNEL_MEMORY).1.is_some())
}

/// The figure, with the mark of its flaw.
fn shown(cell: &Cell, path: &str, form: fn(f64) -> String) -> Option<String> {
    let (name, figure) = cell.figures.at(path);
    figure.map(|figure| format!("{}{}", cell.mark(&name), form(figure.median)))
}

fn interval(cell: &Cell, path: &str, form: fn(f64) -> String) -> Option<String> {
    let figure = cell.figures.at(path).1.as_ref()?;
    Some(format!("{}..{}", form(figure.low?), form(figure.high?)))
}

/// User and kernel memory a connection; of a part that is not known stands a question mark.
fn memory(cell: &Cell) -> Option<String> {
    let user = shown(cell, "server.user_memory_bytes_per_connection", bytes);
    match (user, shown(cell, KERNEL_MEMORY, bytes)) {
        (None, None) => None,
        (user, kernel) => Some(format!("{}+{}", user.unwrap_or("?".into()), kernel.unwrap_or("?".into()))),
    }
}
