//! A chart of rows: a figure of each target with its interval, each trial as a dot, and what the figure is made of as bars.

use super::primer::primer;
use super::scale::{Scale, short};
use crate::target::Target;
use maud::{Markup, html};
use results::Figure;

/// The height of a row's drawing, in pixels.
const HEIGHT: f64 = 26.0;
/// The middle of it.
const MIDDLE: f64 = HEIGHT / 2.0;

/// A chart of rows.
pub struct Rows<'r> {
    /// What is shown, with its unit.
    pub caption: String,
    /// Writes a value of an axis or a row.
    pub written: fn(f64) -> String,
    /// Whether the values are bytes.
    pub is_bytes: bool,
    /// The rows, in their order.
    pub rows: Vec<Row<'r>>,
    /// Between these values a target cannot be told from itself measured again, and what that is.
    pub band: Option<((f64, f64), String)>,
    /// What the bars are, from the axis on; empty without bars.
    pub bars: &'static [&'static str],
    /// How to read it.
    pub primer: &'static [&'static str],
}

/// A target's row.
pub struct Row<'r> {
    /// The target.
    pub target: &'r Target<'r>,
    /// The figure, or why it is missing.
    pub figure: Result<Figure, String>,
    /// What stands before the value: `>=` where it is a bound.
    pub mark: &'static str,
    /// Why the figure may not be compared, if it may not.
    pub flaw: Option<String>,
    /// The lengths of the bars, from the axis on.
    pub bars: Vec<f64>,
    /// The value in each trial, and whether the trial counts.
    pub trials: Vec<(f64, bool)>,
}

impl Row<'_> {
    /// All values that have to be on the axis.
    fn values(&self) -> Vec<f64> {
        let figure = self.figure.iter().flat_map(|it| [Some(it.median), it.high, it.low]).flatten();
        figure.chain(self.trials.iter().map(|(value, _)| *value)).collect()
    }

    /// The value with its interval, in words.
    fn words(&self, written: fn(f64) -> String) -> String {
        match &self.figure {
            Err(why) => why.clone(),
            Ok(Figure { median, low: Some(low), high: Some(high) }) => {
                format!("{}{} ({} .. {})", self.mark, written(*median), written(*low), written(*high))
            }
            Ok(Figure { median, .. }) => format!("{}{}", self.mark, written(*median)),
        }
    }
}

impl Rows<'_> {
    /// The chart; nothing if no row has the figure.
    pub fn draw(&self) -> Option<Markup> {
        if self.rows.iter().all(|row| row.figure.is_err()) {
            return None;
        }
        let values = self.rows.iter().flat_map(Row::values);
        // A bar has its length from 0 on, which no logarithmic axis has.
        let scale = if self.has_bars() { Scale::linear(values) } else { Scale::for_rows(values) };
        let scale = if self.is_bytes { scale.in_bytes() } else { scale };
        let ticks = scale.ticks(4);
        Some(html! {
            figure.chart {
                table.rows {
                    caption {
                        (self.caption)
                        @if scale.is_log() { span.note { " (logarithmic axis)" } }
                        @if let Some(legend) = self.legend() { span.note { (legend) } }
                    }
                    thead {
                        tr {
                            th scope="col" { span.unseen { "target" } }
                            td.plot aria-hidden="true" { (self.axis(scale, &ticks)) }
                            th scope="col" { span.unseen { "median and interval" } }
                        }
                    }
                    tbody { @for row in &self.rows { (self.row(row, scale, &ticks)) } }
                }
                (primer(self.primer))
            }
        })
    }

    /// Whether a row has bars: what they are made of may be unknown.
    fn has_bars(&self) -> bool {
        self.rows.iter().any(|row| !row.bars.is_empty())
    }

    /// What bars and the band are.
    fn legend(&self) -> Option<String> {
        let shades = ["full", "pale"];
        let bars: Vec<String> = self
            .bars
            .iter()
            .filter(|_| self.has_bars())
            .zip(shades)
            .map(|(bar, shade)| format!("{shade}: {bar}"))
            .collect();
        let band = self.band.as_ref().map(|(_, what)| format!("grey band: {what}"));
        let all: Vec<String> = bars.into_iter().chain(band).collect();
        (!all.is_empty()).then(|| format!(" · {}", all.join(" · ")))
    }

    fn axis(&self, scale: Scale, ticks: &[f64]) -> Markup {
        html! {
            svg width="100%" height="16" {
                @for &tick in ticks {
                    @let at = scale.at(tick);
                    text.tick x=(percent(at)) y="12" text-anchor=(anchor(at)) { (short((self.written)(tick))) }
                }
            }
        }
    }

    fn row(&self, row: &Row<'_>, scale: Scale, ticks: &[f64]) -> Markup {
        let words = row.words(self.written);
        let at = |value: f64| percent(scale.at(value));
        let class = format!("{}{}", row.target.class(), if row.flaw.is_some() { " flawed" } else { "" });
        html! {
            tr class=(class) {
                th scope="row" { (row.target.name) }
                @match &row.figure {
                    Err(why) => td.missing colspan="2" { "not known: " (why) }
                    Ok(figure) => {
                        td.plot aria-hidden="true" {
                            svg width="100%" height=(HEIGHT) {
                                title { (row.target.name) ": " (words) @if let Some(flaw) = &row.flaw { "; " (flaw) } }
                                @for &tick in ticks { line.grid x1=(at(tick)) x2=(at(tick)) y1="0" y2=(HEIGHT) {} }
                                @if let Some(((from, to), _)) = &self.band {
                                    rect.band x=(at(*from)) width=(percent(scale.at(*to) - scale.at(*from))) y="0" height=(HEIGHT) {}
                                }
                                @for (number, (from, to)) in from_to(&row.bars).into_iter().enumerate() {
                                    rect class={ "bar bar" (number) } x=(at(from)) width=(percent(scale.at(to) - scale.at(from)))
                                        y="5" height=(HEIGHT - 10.0) {}
                                }
                                @for (value, counts) in &row.trials {
                                    circle class=(if *counts { "trial" } else { "trial left-out" }) cx=(at(*value)) cy=(MIDDLE) r="2" {}
                                }
                                @if let (Some(low), Some(high)) = (figure.low, figure.high) {
                                    line.interval x1=(at(low)) x2=(at(high)) y1=(MIDDLE) y2=(MIDDLE) {}
                                }
                                // A group cannot be moved by a percentage; a nested drawing can.
                                svg.free x=(at(figure.median)) y=(MIDDLE) { path.mark d=(row.target.marker()) {} }
                            }
                        }
                        td.value {
                            (words)
                            @if let Some(flaw) = &row.flaw { span.flaw { (flaw) } }
                        }
                    }
                }
            }
        }
    }
}

/// Where each bar begins and ends, one behind the other.
fn from_to(bars: &[f64]) -> Vec<(f64, f64)> {
    let mut end = 0.0;
    let next = |length: &f64| {
        let from = end;
        end += length.max(0.0);
        (from, end)
    };
    bars.iter().map(next).collect()
}

/// A percentage as a coordinate, with as many digits as a wide screen can show.
pub fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

/// How a text at this percentage of an axis is aligned, so that it stays within the drawing.
pub fn anchor(at: f64) -> &'static str {
    match at {
        _ if at < 8.0 => "start",
        _ if at > 92.0 => "end",
        _ => "middle",
    }
}
