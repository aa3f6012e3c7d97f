//! The figures of the run, in the page itself, for readers that have no other file of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use maud::{Markup, html};
use results::{Cell, Results, Trial};
use std::io::Write;

/// The most characters of the embedded figures.
const MOST: usize = 300_000;

pub fn part(results: &Results) -> Markup {
    let Some((href, what)) = link(results) else { return Markup::default() };
    let name = format!("{}.json.gz", results.run_id);
    html! {
        footer {
            p {
                "The figures are in this page: "
                a href=(href) download=(name) { "results.json, compressed" }
                " (" (what) "). With the histograms they are in the results.json of the run."
            }
            p { "A report of the I/O models lab: one server in each I/O model, measured side by side." }
        }
    }
}

/// The results as the address of a link, and what they have: as much as the page has room for.
fn link(results: &Results) -> Option<(String, &'static str)> {
    let fitting = |of: Results, what| {
        let text = encoded(&of)?;
        (text.len() <= MOST).then(|| (format!("data:application/gzip;base64,{text}"), what))
    };
    let without_histograms =
        Results { cells: cells(results, |trials| trials.iter().map(bare).collect()), ..results.clone() };
    let without_trials = || Results { cells: cells(results, |_| Vec::new()), ..results.clone() };
    fitting(without_histograms, "each trial, without histograms")
        .or_else(|| fitting(without_trials(), "without the trials"))
}

fn cells(results: &Results, trials: impl Fn(&[Trial]) -> Vec<Trial>) -> Vec<Cell> {
    results.cells.iter().map(|cell| Cell { trials: trials(&cell.trials), ..cell.clone() }).collect()
}

/// A trial without histograms.
fn bare(trial: &Trial) -> Trial {
    Trial {
        latency_histogram: String::new(),
        connect_histogram: String::new(),
        service_time_histogram: String::new(),
        schedule_lag_histogram: String::new(),
        slices: Vec::new(),
        ..trial.clone()
    }
}

fn encoded(results: &Results) -> Option<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut gzip, results).ok()?;
    gzip.flush().ok()?;
    Some(STANDARD.encode(gzip.finish().ok()?))
}
