//! The page on a run, part by part.

mod answered;
mod asked;
mod board;
mod calls;
mod disk;
mod embedded;
mod figures;
mod load;
mod machine;
mod over_connections;
mod percentiles;

use crate::page::{self, Page};
use crate::target::Targets;
use maud::{Markup, html};
use results::noise::aa_name;
use results::{Results, table};

/// So many loads are unfolded; the others are folded, with their names to be seen.
const UNFOLDED: usize = 8;

/// The page on a run, as one file: complete HTML that needs nothing else. Slices of trials are drawn if the results have them.
pub fn report(results: &Results) -> String {
    page(results, None)
}

/// The page on a run from a server, which has other runs, too. `script` is the path of the pages' script.
pub fn served(results: &Results, script: &str) -> String {
    page(results, Some(script))
}

fn page(results: &Results, script: Option<&str>) -> String {
    let Part { style, main } = part(results);
    page::whole(&Page { title: &format!("Run {}", results.run_id), style: &style, script, body: main })
}

/// A report as a part of a page.
pub struct Part {
    /// The rules of its targets.
    pub style: String,
    /// Its element `main`.
    pub main: Markup,
}

/// The report on a run, for a page that has more than it.
pub fn part(results: &Results) -> Part {
    let targets = targets(results);
    Part { style: targets.style(), main: html! { main id="report" { (body(results, &targets)) } } }
}

/// The targets of a run, without the copies of those that were measured twice.
fn targets(results: &Results) -> Targets<'_> {
    let names: Vec<&str> = results.cells.iter().map(|cell| cell.key.target.as_str()).collect();
    let copies: Vec<String> = names.iter().map(|name| aa_name(name)).collect();
    let planned = results.settings.targets.iter().map(String::as_str);
    Targets::new(planned.chain(names.iter().copied()).filter(|name| !copies.iter().any(|copy| copy == name)))
}

/// The parts in their order.
fn body(results: &Results, targets: &Targets<'_>) -> Markup {
    let tables = table::tables(results, None);
    let is_long = tables.len() > UNFOLDED;
    html! {
        (asked::part(results))
        @if results.is_board() { (board::part(&results.claims)) }
        @if let Some(disk) = &results.settings.disk { (disk::part(results, disk)) }
        (answered::part(results))
        @if tables.iter().any(|table| !table.rows.is_empty()) { (boxes(targets)) }
        (over_connections::part(results, targets))
        @for table in &tables {
            details.load open[!is_long] {
                summary { h2 { (table.heading) } }
                (load::part(results, table, targets))
            }
        }
        (machine::part(results, &table::below(results, &tables)))
        (embedded::part(results))
    }
}

/// A box for each target, which shows it or hides it everywhere on the page.
fn boxes(targets: &Targets<'_>) -> Markup {
    html! {
        fieldset.boxes {
            legend { "Show" }
            @for target in targets.iter() {
                label {
                    input type="checkbox" id={ "show-" (target.class()) } checked;
                    (swatch(target))
                    (target.name)
                }
            }
        }
    }
}

/// The swatch of a target that may be hidden: its box keeps it.
fn swatch(target: &crate::target::Target<'_>) -> Markup {
    html! { span.keep { (target.swatch()) } }
}
