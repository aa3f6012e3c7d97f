//! The page on a run that goes on. It has parts, each of which a server sends again when it has changed; a script of a few lines puts
//! them in their places ([`SCRIPT`]). Without the script, the page shows how the run stood when it was asked for.

use crate::chart::curves::{Curve, Curves, Point};
use crate::chart::scale::Scale;
use crate::page::{self, Page};
use crate::target::Targets;
use maud::{Markup, html};
use results::Load;
use results::live::{Measured, State};
use results::units::{count, duration, micros, plural, three_digits};
use std::time::Duration;

/// The script of the page. `data-events` of its element `main` says where the events come from: `part` has a part with the id of its
/// place, `report` the report of the run, which then has the whole page.
pub const SCRIPT: &str = include_str!("live.js");

/// Names a part of the page, and has what is in it.
pub type LivePart = (&'static str, String);

/// The page. `events` is the path of its events, `script` that of [`SCRIPT`].
pub fn page(state: &State, events: &str, script: &str) -> String {
    let targets = targets(state);
    page::whole(&Page {
        title: "A run that goes on",
        style: &targets.style(),
        script: Some(script),
        body: html! {
            main id="report" data-events=(events) {
                h1 { "How do you want to do I/O?" }
                p.facts { (asked(state)) }
                p.note id="connection" role="status" {}
                noscript { p.note { "This page follows the run where scripts are allowed. Load it again to see how the run stands." } }
                @for (id, inside) in parts(state) { div id=(id) { (maud::PreEscaped(inside)) } }
                p.note { "A browser on the same machine takes CPU time from the measurement: trials that it disturbs are made again, or marked." }
            }
        },
    })
}

/// The parts, in their order.
pub fn parts(state: &State) -> Vec<LivePart> {
    let targets = targets(state);
    vec![
        ("now", now(state).into_string()),
        ("moments", moments(state, &targets).into_string()),
        ("measured", measured(state, &targets).into_string()),
    ]
}

fn targets(state: &State) -> Targets<'_> {
    let planned = state.begun.iter().flat_map(|begun| &begun.targets);
    let measured = state.measured.iter().map(|trial| &trial.target);
    Targets::new(planned.chain(measured).map(String::as_str))
}

fn asked(state: &State) -> String {
    let Some(begun) = &state.begun else { return "The run begins.".into() };
    let (loads, targets) = (plural(begun.loads.len(), "load"), plural(begun.targets.len(), "target"));
    let command = begun.command.as_ref().map_or_else(String::new, |command| format!(" · {command}"));
    format!("{loads} on {targets} · run {}{command}", begun.run_id)
}

/// What goes on now.
fn now(state: &State) -> Markup {
    let planned = state.begun.as_ref().map_or(0, |begun| begun.trials);
    let done = state.measured.len();
    html! {
        progress max=(planned.max(done).max(1)) value=(done) aria-label="trials that were measured" {}
        p.facts {
            (plural(done, "trial")) " of " (planned.max(done))
            @if let Some((before, blocks)) = state.block {
                " · "
                @if before < blocks { "block " (before + 1) " of " (blocks) } @else { "further block " (before + 1 - blocks) }
            }
            @if let Some(now) = &state.now { " · about " (duration(Duration::from_secs_f64(now.left_seconds.clamp(0.0, 1e9)))) " left" }
        }
        @if let Some(why) = &state.waits { p.warning { "It waits: " (why) "." } }
        @if let Some(now) = &state.now {
            h2 { (now.target) " · " (now.load) }
            p.answer {
                @if let Some(answers) = now.answers_per_second {
                    (count(answers)) " answers a second"
                    @if let Some(p99) = now.p99_us { " · p99 " (micros(p99)) }
                } @else { "A trial begins." }
                @if now.errors > 0 { " · " (plural(now.errors as usize, "error")) }
            }
        }
    }
}

/// The last moments: answers a second over time.
fn moments(state: &State, targets: &Targets<'_>) -> Markup {
    let chart = |caption: &str, written: fn(f64) -> String, value: fn(&results::live::Moment) -> Option<f64>| {
        let point = |moment: &results::live::Moment| {
            let (x, y) = (moment.at_seconds, value(moment)?);
            Some(Point { x, y, interval: None, flaw: None, words: written(y) })
        };
        let curves = targets.iter().map(|target| Curve {
            target,
            points: state.moments.iter().filter(|moment| moment.target == target.name).filter_map(point).collect(),
            has_markers: true,
            has_line: false,
            flaw: None,
        });
        let curves: Vec<Curve<'_>> = curves.collect();
        let times = || state.moments.iter().map(|moment| moment.at_seconds);
        let (first, last) = times().fold((f64::MAX, 0.0_f64), |(first, last), time| (first.min(time), last.max(time)));
        let up = Scale::log(curves.iter().flat_map(|curve| &curve.points).map(|point| point.y));
        let across = (
            Scale::between(first.min(last), last.max(first + 1.0)),
            "seconds since the run began",
            count as fn(f64) -> String,
        );
        Curves { caption: caption.into(), across, up: (up, written), curves, primer: &[] }.draw()
    };
    html! {
        @if !state.moments.is_empty() {
            div.charts {
                @if let Some(chart) = chart("Answers a second", count, |moment| Some(moment.answers_per_second)) { (chart) }
                @if let Some(chart) = chart("99th percentile of the latency", micros, |moment| moment.p99_us) { (chart) }
            }
        }
    }
}

/// CPU time a request of each target under each load: the median of the trials so far.
fn measured(state: &State, targets: &Targets<'_>) -> Markup {
    let Some(begun) = state.begun.as_ref().filter(|_| !state.measured.is_empty()) else { return Markup::default() };
    html! {
        h2 { "CPU time a request so far, in µs" }
        div.wide tabindex="0" role="region" aria-label="figures so far" {
            table.figures {
                thead { tr { th scope="col" { "target" } @for load in &begun.loads { th scope="col" { (load) } } } }
                tbody {
                    @for target in targets.iter() {
                        tr class=(target.class()) {
                            th scope="row" { (target.swatch()) " " (target.name) }
                            @for load in &begun.loads { td { (cell(state, target.name, load)) } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(state: &State, target: &str, load: &Load) -> String {
    let trials: Vec<&Measured> =
        state.measured.iter().filter(|trial| trial.target == target && trial.load == *load).collect();
    let errors: u64 = trials.iter().map(|trial| trial.errors).sum();
    let costs: Vec<f64> = trials.iter().filter_map(|trial| trial.cpu_us_per_request).collect();
    let median = results::Figure::of(&costs).map(|figure| figure.median);
    match median {
        _ if errors > 0 => plural(errors as usize, "error"),
        Some(median) => three_digits(median),
        None if trials.is_empty() => String::new(),
        None => "-".into(),
    }
}
