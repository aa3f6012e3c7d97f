//! The page with two runs side by side: what changed beyond noise.

use crate::chart::primer::primer;
use crate::chart::rows::percent;
use crate::chart::scale::Scale;
use crate::page::{self, Page};
use maud::{Markup, html};
use results::compare::{Change, Comparison, compare};
use results::differences::{circumstances, doubts};
use results::{Results, claims};

const HEIGHT: f64 = 24.0;

const PRIMER: [&str; 3] = [
    "Each row is a figure of a target under a load: what the second run measured, divided by what the first one did. On the vertical line both are the same.",
    "The dot is the ratio, the line its interval with 95 %. A filled dot is a change beyond noise of 3 % or more; Holm's method corrects for the number of rows.",
    "Two single runs show only whether these two differ: a restart, another hour or other neighbours on the host change figures, too.",
];

/// The page with these two runs, each with the name of its folder.
pub fn page((from, first): (&str, &Results), (to, second): (&str, &Results), script: &str) -> String {
    let title = format!("{from} and {to}");
    page::whole(&Page {
        title: &title,
        style: "",
        script: Some(script),
        body: html! {
            main {
                h1 { "What changed?" }
                p.facts {
                    "From " a href={ "/runs/" (from) } { (from) } " to "
                    a href={ "/runs/" (to) } { (to) }
                }
                (inside(first, second))
            }
        },
    })
}

fn inside(first: &Results, second: &Results) -> Markup {
    match (first.is_board(), second.is_board()) {
        (true, true) => boards(first, second),
        (false, false) => runs(first, second),
        _ => {
            html! { p.warning { "One of these runs judged claims, and the other one measured loads: choose two of the same kind." } }
        }
    }
}

fn runs(first: &Results, second: &Results) -> Markup {
    let doubts = doubts(first, second);
    let unlike = circumstances(first, second);
    let Comparison { left_out, changes, note } = compare(first, second);
    let (changed, same): (Vec<&Change<'_>>, Vec<&Change<'_>>) = changes.iter().partition(|change| change.is_change);
    html! {
        (lines("This is no fair comparison, so a change may have another cause:", &doubts))
        (lines("The circumstances differ, which may be the cause of a change:", &unlike))
        p.answer {
            @match (changed.len(), changes.len()) {
                (_, 0) => "There is no figure that both runs have and that may be compared.",
                (0, all) => { "Nothing changed beyond noise, of " (all) " figures." }
                (some, all) => { (some) " of " (all) " figures changed beyond noise, by 3 % or more." }
            }
        }
        @if let Some(note) = note { p.note { (note) } }
        (rows("What changed", &changed))
        @if !same.is_empty() {
            details { summary { "What did not change beyond noise (" (same.len()) ")" } (rows("What did not change beyond noise", &same)) }
        }
        @if !left_out.is_empty() {
            details { summary { "What was not compared (" (left_out.len()) ")" } ul { @for line in &left_out { li { (line) } } } }
        }
    }
}

/// What makes the comparison doubtful.
fn lines(what: &str, lines: &[String]) -> Markup {
    html! {
        @if !lines.is_empty() {
            p.warning { (what) }
            ul { @for line in lines { li { (line) } } }
        }
    }
}

fn rows(caption: &str, changes: &[&Change<'_>]) -> Markup {
    let values = changes.iter().flat_map(|change| [change.low, change.high, 1.0]);
    let scale = Scale::log(values);
    let at = |value: f64| percent(scale.at(value));
    html! {
        @if !changes.is_empty() {
            figure.chart {
                table.rows {
                    caption { (caption) ": second run / first run" }
                    tbody {
                        @for change in changes {
                            tr {
                                th scope="row" { (change.key.target) ": " (change.figure) span.load-of { (change.key.load) } }
                                td.plot aria-hidden="true" {
                                    svg width="100%" height=(HEIGHT) {
                                        line.margin x1=(at(1.0)) x2=(at(1.0)) y1="0" y2=(HEIGHT) {}
                                        line.interval x1=(at(change.low)) x2=(at(change.high)) y1=(HEIGHT / 2.0) y2=(HEIGHT / 2.0) {}
                                        circle class=(if change.is_change { "mark" } else { "mark hollow" }) cx=(at(change.ratio)) cy=(HEIGHT / 2.0) r="4.5" {}
                                    }
                                }
                                td.value { (format!("x{:.2} ({:.2} .. {:.2}): {}", change.ratio, change.low, change.high, change.judgement)) }
                            }
                        }
                    }
                }
                (primer(&PRIMER))
            }
        }
    }
}

/// Two boards of claims, line by line as the terminal has them.
fn boards(first: &Results, second: &Results) -> Markup {
    let mut text = Vec::new();
    let _ = claims::print_comparison(&first.claims, &second.claims, &mut text); // a Vec takes everything
    html! { pre tabindex="0" { (String::from_utf8_lossy(&text)) } }
}
