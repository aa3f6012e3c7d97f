//! Small curves side by side: how a figure went over a trial's window, a line a trial.

use super::primer::primer;
use super::scale::Scale;
use crate::target::Target;
use maud::{Markup, html};
use results::slices::SLICES;
use std::fmt::Write;

/// The drawing's coordinates, which are stretched to its place.
const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 40.0;

/// Small curves, one drawing a target, all with the same axis.
pub struct Sparks<'r> {
    /// What is shown, with its unit.
    pub caption: String,
    /// Writes a value.
    pub written: fn(f64) -> String,
    /// The values of each trial, in the order of time.
    pub of: Vec<(&'r Target<'r>, Vec<Vec<f64>>)>,
    /// How to read it.
    pub primer: &'static [&'static str],
}

impl Sparks<'_> {
    /// The drawings; nothing if there are no values.
    pub fn draw(&self) -> Option<Markup> {
        let values = || self.of.iter().flat_map(|(_, trials)| trials.iter().flatten().copied());
        values().next()?;
        let scale = Scale::linear(values());
        let most = values().fold(0.0, f64::max);
        Some(html! {
            figure.chart {
                figcaption { (self.caption) span.note { " (each from 0 to " ((self.written)(most)) ")" } }
                div.sparks {
                    @for (target, trials) in &self.of {
                        @if trials.iter().any(|trial| !trial.is_empty()) {
                            div class=(target.class()) {
                                (drawing(target, trials, scale, self.written))
                                span { (target.name) }
                            }
                        }
                    }
                }
                (primer(self.primer))
            }
        })
    }
}

fn drawing(target: &Target<'_>, trials: &[Vec<f64>], scale: Scale, written: fn(f64) -> String) -> Markup {
    let all = || trials.iter().flatten().copied();
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    html! {
        svg width="100%" height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
            aria-label=(format!("{}: {} to {}", target.name, written(least), written(most))) {
            title { (target.name) ": " (written(least)) " to " (written(most)) }
            @for trial in trials { path.line d=(path(trial, scale)) vector-effect="non-scaling-stroke" {} }
        }
    }
}

/// A line through the values, evenly across.
fn path(values: &[f64], scale: Scale) -> String {
    let mut path = String::new();
    // An interrupted trial lacks slices at its end.
    let step = WIDTH / (values.len().max(SLICES) - 1) as f64;
    for (number, value) in values.iter().enumerate() {
        let letter = if number == 0 { 'M' } else { 'L' };
        let y = 1.0 + (HEIGHT - 2.0) * (1.0 - scale.at(*value) / 100.0);
        let _ = write!(path, "{letter}{:.0} {y:.1}", step * number as f64);
    }
    path
}
