//! The figure by which the rows of a table are compared.

use crate::figures;
use crate::schema::{Cell, Ranks};
use crate::statistics::Figure;

/// A figure by which targets under one load are compared.
pub(super) struct RankedBy {
    /// Its heading.
    pub head: &'static str,
    /// Its path in results.json.
    pub path: &'static str,
    /// The rank by it.
    pub rank: fn(&Ranks) -> Option<usize>,
    /// Whether a higher value is better.
    higher_is_better: bool,
}

const CPU: RankedBy =
    RankedBy { head: "CPU µs/r", path: figures::CPU, rank: |ranks| ranks.cpu, higher_is_better: false };
const P99: RankedBy =
    RankedBy { head: "p99", path: "latency_us.p99", rank: |ranks| ranks.p99, higher_is_better: false };
const P90: RankedBy = RankedBy { head: "p90", path: "latency_us.p90", rank: |_| None, higher_is_better: false };
const RATE: RankedBy =
    RankedBy { head: "req/s", path: "throughput", rank: |ranks| ranks.throughput, higher_is_better: true };

/// CPU time comes first: it does not depend on what the load generator can do, which often limits the throughput.
const USUALLY: [RankedBy; 3] = [CPU, P99, RATE];
/// Beside busy clients, CPU time a request is mostly theirs; what they do to the latency of the others is the question. Of two that
/// as many targets have, the first one counts.
const PERCENTILES: [RankedBy; 2] = [P99, P90];

impl RankedBy {
    /// What these cells under the same load are compared by: the first figure by which one has a rank, or else of which one
    /// has an interval, or else a value. Beside busy clients it is the high percentile that most of them have.
    pub fn of(cells: &[&Cell]) -> Option<&'static RankedBy> {
        let number = |figure: &RankedBy| cells.iter().filter(|cell| figure.value(cell).is_some()).count();
        if cells.first().is_some_and(|cell| cell.key.load.background.busy > 0) {
            let most = PERCENTILES.iter().rev().max_by_key(|figure| number(figure));
            if let Some(percentile) = most.filter(|figure| number(figure) > 0) {
                return Some(percentile);
            }
        }
        let is_shown = |figure: &&RankedBy| number(figure) > 0;
        let has_rank = |figure: &&RankedBy| figure.has_ranks(cells);
        let has_interval = |figure: &&RankedBy| figure.has_intervals(cells);
        let first = |has: &dyn Fn(&&'static RankedBy) -> bool| USUALLY.iter().find(has);
        first(&has_rank).or_else(|| first(&has_interval)).or_else(|| first(&is_shown))
    }

    /// Whether more than chance may order these cells: one has a rank by the figure, or an interval.
    pub fn orders(&self, cells: &[&Cell]) -> bool {
        self.has_ranks(cells) || self.has_intervals(cells)
    }

    fn has_ranks(&self, cells: &[&Cell]) -> bool {
        cells.iter().any(|cell| (self.rank)(&cell.ranks).is_some())
    }

    fn has_intervals(&self, cells: &[&Cell]) -> bool {
        cells.iter().any(|cell| self.value(cell).is_some_and(|figure| figure.low.is_some()))
    }

    /// The figure of this cell.
    pub fn value(&self, cell: &Cell) -> Option<Figure> {
        *cell.figures.at(self.path).1
    }

    /// Whether the figure of this cell is there and may be compared.
    pub fn is_valid(&self, cell: &Cell) -> bool {
        cell.comparable(self.path).is_some()
    }

    /// Why the figure of this cell is missing, if the cell says it.
    pub fn why_missing<'c>(&self, cell: &'c Cell) -> Option<&'c str> {
        let (name, figure) = cell.figures.at(self.path);
        if figure.is_some() { None } else { cell.why_missing(&name) }
    }

    /// Sorts the cells: the best figure first, after those that may be compared the others, and last those without the
    /// figure.
    pub fn sort(&self, cells: &mut [&Cell]) {
        let place = |cell: &Cell| match self.value(cell) {
            None => (2, 0.0),
            Some(figure) => {
                let value = if self.higher_is_better { -figure.median } else { figure.median };
                (if self.is_valid(cell) { 0 } else { 1 }, value)
            }
        };
        cells.sort_by(|a, b| {
            let ((group, value), (other_group, other_value)) = (place(a), place(b));
            group.cmp(&other_group).then(value.total_cmp(&other_value))
        });
    }
}
