//! The board of a lecture: each claim with its figure against its margin.

use crate::chart::primer::primer;
use crate::chart::rows::percent;
use crate::chart::scale::Scale;
use maud::{Markup, html};
use results::claims::{Claim, Part, Ruling, figure, in_words};

const HEIGHT: f64 = 26.0;

const PRIMER: [&str; 4] = [
    "Each claim has a figure and a margin that was fixed before the experiment. The dot is the figure, the line its interval, the vertical line the margin. The grey side is where the claim holds.",
    "A claim holds if its whole interval is on the grey side, and fails if its whole interval is on the other side. Otherwise this run cannot show it: more blocks, or a quieter machine, make the interval narrower.",
    "Each row has an axis of its own, so that the margin can be seen. Two rows cannot be compared by lengths.",
    "The intervals are so wide that all rulings of a whole board are right together with a probability of 95 %.",
];

pub fn part(claims: &[Claim]) -> Markup {
    html! {
        section.board {
            p.answer { (counts(claims)) }
            figure.chart {
                table.rows {
                    caption.unseen { "The claims, each with its ruling and its figure against the margin" }
                    tbody { @for claim in claims { (row(claim)) } }
                }
                (primer(&PRIMER))
            }
            @for claim in claims {
                details {
                    summary { (claim.id) ": " (claim.ruling) }
                    p { (claim.says) }
                    p { (claim.does) }
                    @if !claim.parts.is_empty() {
                        ul { @for part in &claim.parts { li { (in_words(part)) } } }
                    }
                    @if let Some(why) = &claim.why { p { "It was not judged: " (why) "." } }
                    @for note in &claim.notes { p { (note) } }
                    p { code { (claim.command) } }
                }
            }
        }
    }
}

fn counts(claims: &[Claim]) -> String {
    let count = |ruling| claims.iter().filter(|claim| claim.ruling == ruling).count();
    let [holds, fails, open] = Ruling::ALL.map(count);
    format!("{holds} of {} hold here, {fails} fail, {open} cannot be shown here.", claims.len())
}

fn row(claim: &Claim) -> Markup {
    let part = claim.deciding_part();
    html! {
        tr class={ "ruling " (claim.ruling.name()) } {
            th scope="row" { (claim.id) span.sentence { (claim.says) } }
            td.plot aria-hidden="true" { @if let Some(part) = part { (drawing(part)) } }
            td.value {
                strong { (claim.ruling) }
                @if let Some(part) = part.filter(|part| part.figure.is_some()) { " " (figure(part)) ", margin " (part.margin) }
                @if claim.ruling == Ruling::CannotBeShown {
                    @if let Some(why) = claim.why_not_shown() { span.flaw { (why) } }
                }
            }
        }
    }
}

/// The figure of a part and its interval, and where its margin is.
fn drawing(part: &Part) -> Markup {
    let Some(figure) = part.figure else { return Markup::default() };
    let (least, most) = part.margin.bounds();
    let values = [Some(figure), part.low, part.high, least, most].into_iter().flatten();
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let is_log = part.is_ratio && values.iter().all(|&value| value > 0.0);
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &value| (low.min(value), high.max(value)));
    let room = ((high - low) * 0.15).max(high.abs() * 0.02).max(1e-9);
    let scale = if is_log { Scale::log(values) } else { Scale::between(low - room, high + room) };
    let at = |value: f64| scale.at(value);
    let (from, to) = (least.map_or(0.0, at), most.map_or(100.0, at));
    html! {
        svg width="100%" height=(HEIGHT) {
            rect.band x=(percent(from)) width=(percent((to - from).max(0.0))) y="0" height=(HEIGHT) {}
            @for bound in [least, most].into_iter().flatten() {
                line.margin x1=(percent(at(bound))) x2=(percent(at(bound))) y1="0" y2=(HEIGHT) {}
            }
            @if let Some((low, high)) = part.low.zip(part.high) {
                line.interval x1=(percent(at(low))) x2=(percent(at(high))) y1=(HEIGHT / 2.0) y2=(HEIGHT / 2.0) {}
            }
            circle.mark cx=(percent(at(figure))) cy=(HEIGHT / 2.0) r="4.5" {}
        }
    }
}
