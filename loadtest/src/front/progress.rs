//! Shows progress on standard error: on a terminal a panel of two lines that is overwritten, and a line for each finished block or cell;
//! elsewhere, as in a log file, a line every few seconds.

use super::sparkline::sparkline;
use super::terminal::{has_progress_line, say, show_below, show_progress};
use crate::conntrack::FULL;
use crate::events::{Event, Observer};
use crate::neighbours;
use results::units::{count, duration, micros, plural, three_digits};
use results::{Arrivals, Cell, Load, Trial, Verdict};
use std::time::{Duration, Instant};

/// The time between two lines of progress where lines stay.
const PACE: Duration = Duration::from_secs(5);

/// Shows the progress of a run on standard error.
pub struct Progress {
    quiet: bool,
    /// Where the run is, as `block 7 of 20`.
    place: String,
    /// Which window of a knee search runs; empty in other trials.
    knee: String,
    /// What has a line when it is finished.
    tells: Tells,
    /// Answers a second, CPU time a request and the 99th percentile of the trials of the block so far.
    measured: Vec<[Option<f64>; 3]>,
    /// When the last line of progress was written, where lines stay.
    told: Option<Instant>,
}

/// What has a line when it is finished.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    Blocks,
    Cells,
    Nothing,
}

impl Progress {
    /// With `quiet`, nothing is shown.
    pub fn new(quiet: bool) -> Progress {
        Progress {
            quiet,
            place: String::new(),
            knee: String::new(),
            tells: Tells::Nothing,
            measured: Vec::new(),
            told: None,
        }
    }

    /// Shows how far the run is.
    fn show(&mut self, line: &str) {
        match has_progress_line() {
            true => show_progress(line.to_owned()),
            false if self.is_due(Instant::now()) => say(line),
            false => {}
        }
    }

    /// Shows the trials of the block below the progress line, a bar each.
    fn show_measured(&self) {
        if has_progress_line() {
            show_below(&panel(&self.measured));
        }
    }

    /// Whether it is time for a line of progress where lines stay. If so, the next one is due after [`PACE`].
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= PACE);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }

    /// Each finished block has a line, or where each load has only one, each cell: on a terminal, or if they end as slowly as
    /// lines of progress come.
    fn tells(is_terminal: bool, loads: usize, blocks: usize, trials: usize, estimate: Duration) -> Tells {
        let (what, lines) = if blocks > 1 { (Tells::Blocks, loads * blocks) } else { (Tells::Cells, trials) };
        if is_terminal || estimate >= PACE * lines as u32 { what } else { Tells::Nothing }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::RunStarted { loads, targets, blocks, trials, estimate, arrivals, .. } => {
                self.tells = Progress::tells(has_progress_line(), loads, blocks, trials, estimate);
                let arrivals = if arrivals == Some(Arrivals::Poisson) { ", Poisson arrivals" } else { "" };
                say(&format!("{}: about {}{arrivals}", size(loads, targets, blocks), duration(estimate)));
            }
            Event::BlockStarted { done, planned, .. } => {
                self.place = match done < planned {
                    true => format!("block {} of {planned}", done + 1),
                    false => format!("further block {}", done + 1 - planned),
                };
                self.measured.clear();
                self.show_measured();
            }
            Event::BlockFinished { load, cells, number, took } if self.tells == Tells::Blocks => {
                say(&finished_block(&self.place, load, cells, number, took));
            }
            Event::TrialStarted { cell, .. } => {
                self.knee = String::new();
                if !has_progress_line() {
                    self.show(&format!("{}: {cell}", self.place.clone()));
                }
            }
            Event::KneeWindow { number, rate, .. } => {
                self.knee = format!(", window {} at {rate:.0} requests/s", number + 1);
            }
            Event::MadeAgain { cell, why, .. } => self.show(&format!("made again: {cell}: {why}")),
            Event::Disturbed { by } => say(&disturbed(by)),
            Event::WaitsForTarget { target } => say(&format!("waiting: {target} does not answer any more")),
            Event::WaitsForRoom { at_most, remaining } => {
                let (at_most, left) = (duration(at_most), duration(remaining));
                self.show(&format!("waiting up to {at_most}: {FULL}; {left} left"));
            }
            Event::Progress { cell, answered, errors, remaining, .. } => {
                let errors = if errors > 0 { format!(", {} errors", count(errors as f64)) } else { String::new() };
                let (left, answers) = (duration(remaining), count(answered as f64));
                // On a narrow terminal the end is cut off.
                self.show(&format!("{}, {left} left: {cell}{}: {answers} answers{errors}", self.place, self.knee));
            }
            Event::TrialFinished { trial, .. } => {
                let figures = &trial.figures;
                self.measured.push([figures.throughput, figures.server.cpu_us_per_request, figures.latency_us.p99]);
                self.show_measured();
            }
            Event::CellFinished { cell } if self.tells == Tells::Cells => say(&finished(cell)),
            Event::BlockFinished { .. } | Event::CellFinished { .. } | Event::RunFinished { .. } => {}
        }
    }
}

/// A warning that other load tests run, with these process ids.
pub fn disturbed(by: &[u32]) -> String {
    let (others, run) = (neighbours::named(by), if by.len() == 1 { "runs" } else { "run" });
    format!("warning: on this machine, {others} {run} already: each disturbs the other")
}

/// How large the run is: `5 loads, 14 targets, 4 blocks of each`.
fn size(loads: usize, targets: usize, blocks: usize) -> String {
    let of_each = if loads == 1 { "" } else { " of each" };
    let blocks = if blocks > 1 { format!(", {}{of_each}", plural(blocks, "block")) } else { String::new() };
    format!("{}, {}{blocks}", plural(loads, "load"), plural(targets, "target"))
}

/// A finished block in one line, with a first figure: the targets with the least and the most CPU time a request in it.
fn finished_block(place: &str, load: &Load, cells: &[&Cell], number: u64, took: Duration) -> String {
    let of_block = |cell: &Cell| cell.trials.iter().rfind(|trial| trial.block == Some(number)).and_then(cpu);
    let mut costs: Vec<(f64, &str)> =
        cells.iter().filter_map(|cell| Some((of_block(cell)?, cell.key.target.as_str()))).collect();
    costs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let cost = |(cost, target): &(f64, &str)| format!("{} ({target})", three_digits(*cost));
    let range = match &costs[..] {
        [] => String::new(),
        [only] => format!(": CPU µs/r {}", cost(only)),
        [least, .., most] => format!(": CPU µs/r {} to {}", cost(least), cost(most)),
    };
    format!("{place} in {}: {load}{range}", duration(took))
}

/// The trials of a block in a line: a bar for each, and the last value.
fn panel(measured: &[[Option<f64>; 3]]) -> String {
    let part = |at: usize, name: &str, written: fn(f64) -> String| {
        let values: Vec<Option<f64>> = measured.iter().map(|of_trial| of_trial[at]).collect();
        let last = (*values.last()?)?;
        Some(format!("{name} {} {}", sparkline(&values), written(last)))
    };
    let parts = [part(0, "req/s", count), part(1, "CPU µs/r", three_digits), part(2, "p99", micros)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

fn cpu(trial: &Trial) -> Option<f64> {
    trial.figures.server.cpu_us_per_request
}

/// The main figures of a finished cell in one line, shown before the table is complete; a figure that may not be compared
/// has the table's mark.
fn finished(cell: &Cell) -> String {
    let mut line = format!("{}:", cell.key);
    let figures = [
        ("server.cpu_us_per_request", "CPU µs/r", three_digits as fn(f64) -> String),
        ("throughput", "req/s", count),
        ("latency_us.p99", "p99", micros),
    ];
    for (path, what, written) in figures {
        let (name, figure) = cell.figures.at(path);
        if let Some(figure) = figure {
            line += &format!("  {what} {}{}", cell.mark(&name), written(figure.median));
        }
    }
    match cell.verdict {
        Verdict::Valid => line,
        verdict => format!("{line}  {}", verdict.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Bound, Figure, Flaw, Plan};

    #[test]
    fn where_lines_stay_they_come_at_a_pace_and_only_slow_cells_have_their_own() {
        let mut progress = Progress::new(false);
        let start = Instant::now();
        // 252 trials of a tenth of the pace.
        let lines = (0..252).filter(|&n| progress.is_due(start + PACE / 10 * n)).count();
        assert_eq!(lines, 26);
        let tells = |is_terminal, blocks, estimate| Progress::tells(is_terminal, 5, blocks, 70 * blocks, estimate);
        assert_eq!(tells(false, 1, PACE * 69), Tells::Nothing);
        assert_eq!((tells(true, 1, PACE * 69), tells(false, 1, PACE * 70)), (Tells::Cells, Tells::Cells));
        assert_eq!((tells(false, 4, PACE * 20), tells(false, 4, PACE * 19)), (Tells::Blocks, Tells::Nothing));
    }

    #[test]
    fn the_trials_of_a_block_are_bars_with_the_last_value() {
        let trials = [[Some(100_000.0), Some(5.0), Some(400.0)], [Some(50_000.0), None, Some(800.0)]];
        assert_eq!(panel(&trials), "req/s █▄ 50,000   p99 ▄█ 800µs");
        assert_eq!(panel(&[]), "");
    }

    #[test]
    fn the_size_of_a_run_is_said_in_a_line() {
        assert_eq!(size(5, 14, 4), "5 loads, 14 targets, 4 blocks of each");
        assert_eq!((size(1, 1, 1), size(1, 2, 3)), ("1 load, 1 target".into(), "1 load, 2 targets, 3 blocks".into()));
    }

    #[test]
    fn a_finished_cell_has_its_main_figures_with_their_marks() {
        let key = Plan { targets: vec!["a".into()], ..Plan::default() }.cells().remove(0);
        let mut cell = Cell::new(key);
        assert_eq!(finished(&cell), "a / with 64 connections, keep-alive:");
        cell.figures.server.cpu_us_per_request = Figure::of(&[7.16]);
        cell.figures.throughput = Figure::of(&[26_000.0]);
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: "busy".into(), bound: Some(Bound::Lower) };
        cell.flaws.insert("throughput".into(), flaw);
        cell.verdict = Verdict::ClientLimited;
        let expected = "  CPU µs/r 7.16  req/s >=26,000  client-limited";
        assert_eq!(finished(&cell), format!("a / with 64 connections, keep-alive:{expected}"));
    }
}
