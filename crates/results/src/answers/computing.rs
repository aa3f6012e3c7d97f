//! How long other requests wait while some compute for long.

use super::answer::Answer;
use super::comparison::shortened;
use super::group::Group;
use super::models::{Family, family};
use super::wording::{ends, names, near, range, time, values};
use crate::kind::Kind;
use crate::schema::Cell;
use crate::verdict::kept_up;

/// A target that answers a smaller share of the requests within the window does not keep up with the load.
const KEEPS_UP: f64 = 0.9;
/// The percentiles by which targets are compared, the highest one first that all have.
const PERCENTILES: [(&str, &str); 3] =
    [("p99", "latency_us.p99"), ("p90", "latency_us.p90"), ("p50", "latency_us.p50")];

/// The latency of short requests beside clients whose requests compute for long: of loops, and of models with a process
/// or a thread for each connection.
pub(super) fn answer(groups: &[Group<'_>]) -> Option<Answer> {
    let busy = groups.iter().filter(|group| group.kind == Kind::BesideBusy);
    let group = busy.max_by_key(|group| group.load.background.busy)?;
    let of = |wanted: Family| {
        let cells = group.cells.iter().copied().filter(|cell| family(&cell.key.target) == Some(wanted));
        cells.collect::<Vec<&Cell>>()
    };
    let (workers, loops) = (of(Family::Workers), of(Family::Loops));
    if workers.len() + loops.len() < 2 {
        return None;
    }
    let known = |path: &str| group.cells.iter().filter(|cell| cell.figures.at(path).1.is_some()).count();
    let most = known("latency_us.p50");
    let (percentile, path) = PERCENTILES.into_iter().find(|(_, path)| known(path) == most)?;
    let question = format!("What if a request computes for long ({})?", group.load.background);
    let mut answer = Answer::new("long computations", &question, String::new());
    let mut parts = Vec::new();
    for (called, cells) in [("workers", &workers), ("loops", &loops)] {
        let (behind, others): (Vec<&Cell>, Vec<&Cell>) = cells.iter().copied().partition(|cell| is_behind(cell));
        let values = values(&others, path);
        if !values.is_empty() {
            let (low, high) = ends(values.iter().map(|(_, value)| *value));
            parts.push(format!("{called} {}", range(low, high, time)));
        }
        if !behind.is_empty() {
            parts.push(format!("{} of {} {called} fall behind", behind.len(), cells.len()));
        }
        let groups = near(&values);
        let each = groups.iter().map(|near| match groups.len() {
            1 => names(&near.targets),
            _ => format!("{} {}", names(&near.targets), range(near.low, near.high, time)),
        });
        let each: Vec<String> = each.collect();
        if !each.is_empty() {
            let about = if called == "workers" { "Workers" } else { "Loops" };
            answer.details.push(format!("{about}: {}.", each.join("; ")));
        }
        answer.details.extend((!behind.is_empty()).then(|| fall_behind(&behind)));
        answer.details.extend(not_told(&others, path));
    }
    answer.short = match parts.is_empty() {
        true => "cannot be told here".into(),
        false => format!("{percentile} of {}: {}", group.load.workload, parts.join("; ")),
    };
    Some(answer)
}

/// Whether the target kept up in less than half of its trials, and far fewer requests were answered than were due.
fn is_behind(cell: &Cell) -> bool {
    let trials = cell.counted_trials();
    let behind = trials.iter().filter(|trial| kept_up(trial, cell.key.load.schedule) == Some(false)).count();
    behind * 2 > trials.len() && cell.figures.pace.achieved_share.is_some_and(|share| share.median < KEEPS_UP)
}

fn fall_behind(cells: &[&Cell]) -> String {
    let shares = cells.iter().filter_map(|cell| cell.figures.pace.achieved_share).map(|share| share.median);
    let (low, high) = ends(shares);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let targets: Vec<&str> = cells.iter().map(|cell| cell.key.target.as_str()).collect();
    format!(
        "{} answered only {} of the requests in time: the longer the load lasts, the later.",
        names(&targets),
        range(low, high, percent)
    )
}

/// The targets of which no latency can be told, with the reason of the first.
fn not_told(cells: &[&Cell], path: &str) -> Option<String> {
    let without: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.comparable(path).is_none()).collect();
    let first = without.first()?;
    let (name, _) = first.figures.at(path);
    let flaw = first.flaw(&name).map(|flaw| format!("{}: {}", flaw.verdict.name(), shortened(&flaw.why)));
    let why = flaw.or_else(|| first.why_missing(&name).map(shortened)).unwrap_or_else(|| "it was not measured".into());
    let targets: Vec<&str> = without.iter().map(|cell| cell.key.target.as_str()).collect();
    Some(format!("Not told: {} ({why}).", names(&targets)))
}
