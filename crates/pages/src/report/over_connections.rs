//! Figures over the number of connections, where loads differ by nothing else.

use super::figures::flaw;
use crate::chart::curves::{Curve, Curves, Point};
use crate::chart::scale::Scale;
use crate::target::Targets;
use maud::{Markup, html};
use results::figures::CPU;
use results::units::{bytes, count, micros, plural};
use results::{Cell, Load, Results};

/// A figure over the connections.
struct Shown {
    path: &'static str,
    caption: &'static str,
    written: fn(f64) -> String,
    is_bytes: bool,
    primer: &'static [&'static str],
}

const OF_POINTS: &str = "Each mark is the median of the trials, the vertical line its interval. A hollow mark may not be compared; under the pointer it says why.";

const SHOWN: [Shown; 3] = [
    Shown {
        path: "throughput",
        caption: "Answers a second",
        written: count,
        is_bytes: false,
        primer: &[
            "How many answers a second the server gives, with more and more connections. A curve that bends down costs more with each connection.",
            OF_POINTS,
        ],
    },
    Shown {
        path: CPU,
        caption: "CPU time a request",
        written: micros,
        is_bytes: false,
        primer: &[
            "The server's CPU time for one request. A level curve: more connections cost nothing more.",
            OF_POINTS,
        ],
    },
    Shown {
        path: "server.memory_bytes",
        caption: "User memory",
        written: bytes,
        is_bytes: true,
        primer: &[
            "The memory of the server's processes, without the kernel's part. Where the curve is level, the server's own memory is nearly all there is; where it rises as the connections do, they are. The chart Memory a connection has what one costs.",
            OF_POINTS,
        ],
    },
];

pub fn part(results: &Results, targets: &Targets<'_>) -> Markup {
    let groups = groups(results);
    html! {
        @for load in &groups {
            section {
                h2 { (heading(load)) }
                div.charts {
                    @for shown in &SHOWN {
                        @if let Some(chart) = chart(shown, load, results, targets).draw() { (chart) }
                    }
                }
            }
        }
    }
}

/// The load without its number of connections.
fn without_connections(load: &Load) -> Load {
    Load { concurrency: 0, ..load.clone() }
}

/// The loads that occur with several numbers of connections, each once.
fn groups(results: &Results) -> Vec<Load> {
    let mut groups: Vec<(Load, Vec<usize>)> = Vec::new();
    for cell in &results.cells {
        let (load, connections) = (without_connections(&cell.key.load), cell.key.load.concurrency);
        match groups.iter_mut().find(|(known, _)| *known == load) {
            Some((_, all)) if !all.contains(&connections) => all.push(connections),
            Some(_) => {}
            None => groups.push((load, vec![connections])),
        }
    }
    groups.into_iter().filter(|(_, connections)| connections.len() > 1).map(|(load, _)| load).collect()
}

fn heading(load: &Load) -> String {
    let beside = if load.background.is_none() { String::new() } else { format!(", beside {}", load.background) };
    format!(
        "{} with more and more connections · {} · {}{beside}",
        load.workload, load.requests_per_connection, load.schedule
    )
}

fn chart<'r>(shown: &Shown, load: &Load, results: &'r Results, targets: &'r Targets<'r>) -> Curves<'r> {
    let of_target = |target: &'r crate::target::Target<'r>| {
        let is_meant = |cell: &&Cell| cell.key.target == target.name && without_connections(&cell.key.load) == *load;
        let mut points: Vec<Point> =
            results.cells.iter().filter(is_meant).filter_map(|cell| point(shown, cell)).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Curve { target, points, has_markers: true, has_line: true, flaw: None }
    };
    let curves: Vec<Curve<'r>> = targets.iter().map(of_target).collect();
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let values = || {
        points().flat_map(|point| {
            [point.y].into_iter().chain(point.interval.into_iter().flat_map(|(low, high)| [low, high]))
        })
    };
    let up = if shown.is_bytes { Scale::log(values()).in_bytes() } else { Scale::linear(values()) };
    Curves {
        caption: shown.caption.into(),
        across: (Scale::log(points().map(|point| point.x)), "connections", count),
        up: (up, shown.written),
        curves,
        primer: shown.primer,
    }
}

fn point(shown: &Shown, cell: &Cell) -> Option<Point> {
    let (name, figure) = cell.figures.at(shown.path);
    let figure = (*figure)?;
    let written = format!("{}{}", cell.mark(&name), (shown.written)(figure.median));
    Some(Point {
        x: cell.key.load.concurrency as f64,
        y: figure.median,
        interval: figure.low.zip(figure.high),
        flaw: flaw(cell, shown.path),
        words: format!("{written} with {}", plural(cell.key.load.concurrency, "connection")),
    })
}
