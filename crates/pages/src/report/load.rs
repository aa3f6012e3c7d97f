//! What was measured under a load.

use super::figures::{Shown, rows, texts};
use super::{calls, percentiles};
use crate::chart::sparks::Sparks;
use crate::target::Targets;
use maud::{Markup, html};
use results::contrast::Contrast;
use results::figures::CPU;
use results::table::Table;
use results::units::{bytes, count, micros};
use results::{Cell, Results, Schedule, noise};

const OF_CPU: [&str; 4] = [
    "The server's CPU time for one request, of its whole process tree: user mode is its own code, the kernel is what it asks of the system. Less is better.",
    "Each small dot is a trial; the large mark is their median, the line its interval with 95 %. Where two intervals lie apart, the two differ; where they overlap, look at the answers, which compare block by block.",
    "This figure does not depend on how fast the load generator is, so it is the one to compare.",
    "A hollow mark may not be compared; its reason stands below the value.",
];
const OF_LATENCY: [&str; 3] = [
    "How long a request took, from when it was due to the last byte of its answer. Less is better.",
    "Each small dot is a trial; the large mark is their median, the line its interval.",
    "`<=` marks an upper bound: the load generator was late itself, and that is in the figure.",
];
const OF_THROUGHPUT: [&str; 3] = [
    "Answers a second, as fast as the connections asked. More is better.",
    "`>=` marks a lower bound: the load generator was the bottleneck, so the server could do more. With a CPU for each side that is common; compare the CPU time instead.",
    "Each small dot is a trial; the large mark is their median, the line its interval.",
];
const OF_MEMORY: [&str; 3] = [
    "How much memory the machine lost for each connection: the processes' own, and the kernel's for them (stacks, page tables, sockets).",
    "It is the growth while the load is on, divided by the connections, so what a server takes at its start is not in it.",
    "The kernel's part is told from 1,000 connections on.",
];
const OF_TIME: [&str; 2] = [
    "Each line is a trial: the answers a second in each twentieth of its window.",
    "A level line is a steady server. A line that rises or falls, or drops to 0, says that the figures of that trial hide something.",
];

pub fn part(results: &Results, table: &Table<'_>, targets: &Targets<'_>) -> Markup {
    let cells: Vec<&Cell> = table.rows.iter().map(|row| row.cell).collect();
    let Some(first) = cells.first() else { return lines(table) };
    html! {
        div.charts {
            @if let Some(chart) = cpu(results, &cells, targets) { (chart) }
            @for shown in beside_cpu(first, table.by) {
                @if let Some(chart) = rows(shown, &cells, targets).draw() { (chart) }
            }
            @if let Some(chart) = percentiles::of(&cells, targets).draw() { (chart) }
            @if let Some(chart) = rows(memory(), &cells, targets).draw() { (chart) }
            @if let Some(chart) = over_time(&cells, targets).draw() { (chart) }
            (calls::part(&cells, targets))
        }
        details.figures {
            summary { "All figures of this load in a table" }
            (texts(&table.heads, table.rows.iter().map(|row| (row.texts.as_slice(), row.is_grey))))
        }
        (lines(table))
    }
}

/// CPU time a request, with the noise of the machine around epoll or whichever target was measured twice.
fn cpu(results: &Results, cells: &[&Cell], targets: &Targets<'_>) -> Option<Markup> {
    let shown = Shown {
        path: CPU,
        made_of: &["server.user_us_per_request", "server.system_us_per_request"],
        bars: &["user mode", "kernel"],
        caption: "CPU time a request".into(),
        written: micros,
        is_bytes: false,
        primer: &OF_CPU,
    };
    let mut chart = rows(shown, cells, targets);
    let noise = noise::noise(results).into_iter().find(|it| it.path == CPU && it.key.load == cells[0].key.load);
    chart.band = noise.and_then(|noise| {
        let cell = cells.iter().find(|cell| cell.key == noise.key)?;
        let median = cell.figures.server.cpu_us_per_request?.median;
        let reach = 1.0 + Contrast::reach(&noise.contrast);
        Some(((median / reach, median * reach), format!("how far {} may be from itself", cell.key.target)))
    });
    chart.draw()
}

/// What stands beside CPU time: throughput in a closed loop; at a rate the high percentile that the rows are compared by, or else
/// the mean latency. A closed loop whose rows are compared by a latency has both.
fn beside_cpu(cell: &Cell, by: Option<&'static str>) -> Vec<Shown> {
    let by = by.and_then(|path| Some((path, path.strip_prefix("latency_us.")?)));
    let latency = |path, caption: String| Shown {
        path,
        made_of: &[],
        bars: &[],
        caption,
        written: micros,
        is_bytes: false,
        primer: &OF_LATENCY,
    };
    let compared = by.map(|(path, percentile)| latency(path, format!("{percentile} of the latency")));
    match cell.key.load.schedule {
        Schedule::Closed | Schedule::Knee(_) => [throughput()].into_iter().chain(compared).collect(),
        _ => vec![compared.unwrap_or_else(|| latency("latency_us.mean", "Mean latency".into()))],
    }
}

fn throughput() -> Shown {
    Shown {
        path: "throughput",
        made_of: &[],
        bars: &[],
        caption: "Answers a second".into(),
        written: count,
        is_bytes: false,
        primer: &OF_THROUGHPUT,
    }
}

fn memory() -> Shown {
    Shown {
        path: "server.memory_bytes_per_connection",
        made_of: &["server.user_memory_bytes_per_connection", "server.kernel_memory_bytes_per_connection"],
        bars: &["user memory", "kernel"],
        caption: "Memory a connection".into(),
        written: bytes,
        is_bytes: true,
        primer: &OF_MEMORY,
    }
}

/// The answers a second in each slice of each trial.
fn over_time<'r>(cells: &[&'r Cell], targets: &'r Targets<'r>) -> Sparks<'r> {
    let of = cells.iter().filter_map(|cell| {
        let trials = cell.trials.iter().map(|trial| {
            let rate = |slice: &results::Slice| {
                let seconds = slice.to_seconds - slice.from_seconds;
                if seconds > 0.0 { slice.outcomes.answered() as f64 / seconds } else { 0.0 }
            };
            trial.slices.iter().map(rate).collect()
        });
        Some((targets.get(&cell.key.target)?, trials.collect()))
    });
    Sparks { caption: "Answers a second over the window".into(), written: count, of: of.collect(), primer: &OF_TIME }
}

/// What is said of the rows.
fn lines(table: &Table<'_>) -> Markup {
    html! {
        @if !table.lines.is_empty() {
            details.remarks {
                summary { "Remarks on these figures (" (table.lines.len()) ")" }
                ul { @for line in &table.lines { li { (line) } } }
            }
        }
    }
}
