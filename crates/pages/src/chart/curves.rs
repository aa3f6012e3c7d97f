//! A chart of curves: a figure of each target over something else.

use super::primer::primer;
use super::rows::{anchor, percent};
use super::scale::{Scale, short};
use crate::target::Target;
use maud::{Markup, html};
use std::fmt::Write;

/// The height of the plot in pixels.
const HEIGHT: f64 = 260.0;
/// The width in which the lines have their coordinates; it is stretched to that of the plot.
const WIDTH: f64 = 1000.0;

/// A chart of curves.
pub struct Curves<'r> {
    /// What is shown, with its unit.
    pub caption: String,
    /// The axis across, what it is, and how its values are written.
    pub across: (Scale, &'static str, fn(f64) -> String),
    /// The axis upwards, and how its values are written.
    pub up: (Scale, fn(f64) -> String),
    /// The curves.
    pub curves: Vec<Curve<'r>>,
    /// How to read it.
    pub primer: &'static [&'static str],
}

/// A target's curve.
pub struct Curve<'r> {
    /// The target.
    pub target: &'r Target<'r>,
    /// Its points, in their order.
    pub points: Vec<Point>,
    /// Whether each point has a marker.
    pub has_markers: bool,
    /// Whether a line goes through the points.
    pub has_line: bool,
    /// Why none of its values may be compared, if that is so.
    pub flaw: Option<String>,
}

/// A point of a curve.
pub struct Point {
    /// Across.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// The interval of `y`.
    pub interval: Option<(f64, f64)>,
    /// Why the value may not be compared, if it may not.
    pub flaw: Option<String>,
    /// The point in words.
    pub words: String,
}

impl Curves<'_> {
    /// The chart; nothing if no curve has a point.
    pub fn draw(&self) -> Option<Markup> {
        if self.curves.iter().all(|curve| curve.points.is_empty()) {
            return None;
        }
        let (across, what, across_written) = &self.across;
        let (up, up_written) = &self.up;
        let y = |value: f64| HEIGHT * (1.0 - up.at(value) / 100.0);
        Some(html! {
            figure.chart {
                figcaption { (self.caption) @if up.is_log() { span.note { " (logarithmic axis)" } } }
                div.plane {
                    svg.up width="100%" height=(HEIGHT + 12.0) aria-hidden="true" {
                        @for tick in up.ticks(6) { text.tick x="96%" y=(format!("{:.1}", y(tick) + 8.0)) text-anchor="end" { (short(up_written(tick))) } }
                    }
                    svg.plot width="100%" height=(HEIGHT + 42.0) role="img" aria-label=(self.described()) {
                        svg.free y="4" {
                            @for tick in up.ticks(6) { line.grid x1="0" x2="100%" y1=(format!("{:.1}", y(tick))) y2=(format!("{:.1}", y(tick))) {} }
                            @for (tick, label) in labelled(across.ticks(7), *across_written) {
                                @let at = across.at(tick);
                                line.grid x1=(percent(at)) x2=(percent(at)) y1="0" y2=(HEIGHT) {}
                                text.tick x=(percent(at)) y=(HEIGHT + 16.0) text-anchor=(anchor(at)) { (label) }
                            }
                            text.tick x="50%" y=(HEIGHT + 34.0) text-anchor="middle" { (what) }
                            @for curve in &self.curves { (self.curve(curve)) }
                        }
                    }
                }
                div.legend {
                    @for curve in self.curves.iter().filter(|curve| !curve.points.is_empty()) {
                        span class=(class(curve)) title=[curve.flaw.as_deref()] {
                            (curve.target.swatch()) (curve.target.name) @if curve.flaw.is_some() { " (!)" }
                        }
                    }
                }
                @if !self.primer.is_empty() { (primer(self.primer)) }
            }
        })
    }

    fn curve(&self, curve: &Curve<'_>) -> Markup {
        let x = |point: &Point| self.across.0.at(point.x);
        let y = |value: f64| HEIGHT * (1.0 - self.up.0.at(value) / 100.0);
        let mut line = String::new();
        for point in &curve.points {
            let letter = if line.is_empty() { 'M' } else { 'L' };
            let _ = write!(line, "{letter}{:.1} {:.1}", x(point) / 100.0 * WIDTH, y(point.y));
        }
        let words = curve.points.last().map(|point| point.words.as_str()).unwrap_or_default();
        html! {
            g class=(class(curve)) {
                @if curve.has_line {
                    svg.free width="100%" height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                        path.line d=(line) stroke-dasharray=(curve.target.dash()) vector-effect="non-scaling-stroke" {
                            title { (curve.target.name) @if !curve.has_markers { ": " (words) } @if let Some(flaw) = &curve.flaw { "; " (flaw) } }
                        }
                    }
                }
                @if curve.has_markers {
                    @for point in &curve.points {
                        @if let Some((low, high)) = point.interval {
                            line.interval x1=(percent(x(point))) x2=(percent(x(point))) y1=(format!("{:.1}", y(low))) y2=(format!("{:.1}", y(high))) {}
                        }
                        svg.free x=(percent(x(point))) y=(format!("{:.1}", y(point.y))) {
                            path class=(if point.flaw.is_some() { "mark hollow" } else { "mark" }) d=(curve.target.marker()) {
                                title { (curve.target.name) ": " (point.words) @if let Some(flaw) = &point.flaw { "; " (flaw) } }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The chart in words: where each curve ends.
    fn described(&self) -> String {
        let ends = self.curves.iter().filter_map(|curve| {
            let last = curve.points.last()?;
            Some(format!("{}: {}", curve.target.name, last.words))
        });
        format!("{}. At its end, {}.", self.caption, ends.collect::<Vec<_>>().join("; "))
    }
}

/// Ticks with their labels, without those whose label is that of the one before: so close together they are no numbers of things.
fn labelled(ticks: Vec<f64>, written: fn(f64) -> String) -> Vec<(f64, String)> {
    let mut labelled: Vec<(f64, String)> = ticks.into_iter().map(|tick| (tick, short(written(tick)))).collect();
    labelled.dedup_by(|a, b| a.1 == b.1);
    labelled
}

/// The class of the target, and that of curves which may not be compared.
fn class(curve: &Curve<'_>) -> String {
    format!("{}{}", curve.target.class(), if curve.flaw.is_some() { " flawed" } else { "" })
}
