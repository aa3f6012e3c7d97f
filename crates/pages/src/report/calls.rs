//! What a request costs in events: system calls, context switches, page faults.

use crate::chart::primer::primer;
use crate::target::Targets;
use maud::{Markup, html};
use results::Cell;
use results::units::three_digits;

const CALLS: &str = "server.syscalls_per_request";

/// The events, with their names on the page.
const EVENTS: [(&str, &str); 5] = [
    (CALLS, "system calls"),
    ("server.voluntary_switches_per_request", "waits (voluntary switches)"),
    ("server.involuntary_switches_per_request", "preempted (involuntary switches)"),
    ("server.minor_faults_per_request", "page faults (minor)"),
    ("server.major_faults_per_request", "page faults with a disk (major)"),
];

const PRIMER: [&str; 3] = [
    "A system call is a step from the program into the kernel; the lab's models count their own. What a library or another server calls is not counted.",
    "A voluntary switch: a thread had to wait, so the kernel ran another one. An involuntary one: the kernel took the CPU away.",
    "A page fault: memory was touched that the process did not have yet. A new process has many.",
];

pub fn part(cells: &[&Cell], targets: &Targets<'_>) -> Markup {
    let shown: Vec<_> = EVENTS
        .into_iter()
        .filter(|(path, _)| cells.iter().any(|cell| value(cell, path).is_some_and(|it| it >= 0.0005)))
        .collect();
    if shown.is_empty() {
        return Markup::default();
    }
    html! {
        figure.chart {
            div.wide tabindex="0" role="region" aria-label="events a request" {
                table.figures {
                    caption { "Events a request" @if let Some(sentence) = sentence(cells) { span.note { " · " (sentence) } } }
                    thead { tr { th scope="col" { "target" } @for (_, name) in &shown { th scope="col" { (name) } } } }
                    tbody {
                        @for cell in cells {
                            @if let Some(target) = targets.get(&cell.key.target) {
                                tr class=(target.class()) {
                                    th scope="row" { (target.name) }
                                    @for (path, _) in &shown { td { (value(cell, path).map_or("-".into(), three_digits)) } }
                                }
                            }
                        }
                    }
                }
            }
            (primer(&PRIMER))
        }
    }
}

/// The figure, if it may be compared. A server that answers makes system calls: older files have 0 where a library made them.
fn value(cell: &Cell, path: &str) -> Option<f64> {
    let value = cell.comparable(path)?.median;
    (value > 0.0 || path != CALLS).then_some(value)
}

/// The targets that make the fewest and the most system calls a request.
fn sentence(cells: &[&Cell]) -> Option<String> {
    let calls = |cell: &&Cell| Some((value(cell, CALLS)?, cell.key.target.clone()));
    let mut all: Vec<(f64, String)> = cells.iter().filter_map(calls).collect();
    all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let [(least, few), .., (most, many)] = &all[..] else { return None };
    (three_digits(*least) != three_digits(*most)).then(|| {
        format!(
            "{few} makes {} system calls a request where {many} makes {}",
            three_digits(*least),
            three_digits(*most)
        )
    })
}
