//! Latency by percentile.

use super::figures::flaw;
use crate::chart::curves::{Curve, Curves, Point};
use crate::chart::scale::{Scale, short};
use crate::target::Targets;
use results::Cell;
use results::histogram::{curve, pooled};
use results::units::micros;

/// The points of a curve: more than a screen can show of it.
const POINTS: usize = 80;

const PRIMER: [&str; 4] = [
    "Across: the share of requests that were at least as fast. Each step from 90 to 99 to 99.9 % has the same width, so the slow few can be seen.",
    "Upwards: how long these requests took, on a logarithmic axis. A lower curve is better.",
    "A curve ends where ten requests lie beyond it: what is further right would be the chance of single requests.",
    "A pale curve, with (!) in the legend, has a delay of the load generator in it, or may not be compared for another reason, which its name shows under the pointer.",
];

/// The curves of these cells, which are under the same load.
pub fn of<'r>(cells: &[&'r Cell], targets: &'r Targets<'r>) -> Curves<'r> {
    let curves: Vec<Curve<'_>> = cells.iter().filter_map(|cell| of_cell(cell, targets)).collect();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let highest = points().map(|point| point.x).fold(0.0, f64::max);
    let up = Scale::log(points().map(|point| point.y));
    Curves {
        caption: "Latency by percentile".into(),
        across: (Scale::quantiles(highest), "share of requests that were as fast, or faster", percentage),
        up: (up, micros),
        curves,
        primer: &PRIMER,
    }
}

fn of_cell<'r>(cell: &'r Cell, targets: &'r Targets<'r>) -> Option<Curve<'r>> {
    let histograms = cell.counted_trials().into_iter().map(|trial| trial.latency_histogram.as_str());
    let histogram = pooled(histograms)?;
    let point = |(x, y): (f64, f64)| {
        let words = format!("{} of requests took at most {}", percentage(x), micros(y));
        Point { x, y, interval: None, flaw: None, words }
    };
    Some(Curve {
        target: targets.get(&cell.key.target)?,
        points: curve(&histogram, POINTS).into_iter().map(point).collect(),
        has_markers: false,
        has_line: true,
        flaw: flaw(cell, "latency_us.p99"),
    })
}

/// A share in percent with the digits that it has: `50 %`, `99.93 %`.
fn percentage(share: f64) -> String {
    let rest = (1.0 - share).max(1e-9);
    let decimals = (-rest.log10() - 1.0).ceil().max(0.0) as usize;
    short(format!("{:.decimals$} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_the_digits_that_it_needs() {
        let shares = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9985];
        assert_eq!(shares.map(percentage), ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.85 %"]);
    }
}
