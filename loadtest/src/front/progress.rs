//! Shows progress on standard error: on a terminal one line that is overwritten and a line for each finished cell;
//! elsewhere, as in a log file, a line every few seconds.

use super::terminal::{LINE, say};
use crate::events::{Event, Observer};
use crate::neighbours;
use results::units::{duration, plural};
use results::{Cell, Figure, Verdict};
use std::time::{Duration, Instant};

/// The time between two lines of progress where lines stay.
const PACE: Duration = Duration::from_secs(5);

/// Shows the progress of a run on standard error.
pub struct Progress {
    quiet: bool,
    /// The number of the running trial, and of all trials.
    trial: (usize, usize),
    /// Which window of a knee search runs; empty in other trials.
    knee: String,
    /// Whether each finished cell has a line.
    tells_cells: bool,
    /// When the last line of progress was written, where lines stay.
    told: Option<Instant>,
}

impl Progress {
    /// With `quiet`, nothing is shown.
    pub fn new(quiet: bool) -> Progress {
        Progress { quiet, trial: (0, 0), knee: String::new(), tells_cells: true, told: None }
    }

    /// Erases the progress line.
    pub fn clear(&self) {
        LINE.finish_and_clear();
    }

    /// Shows how far the run is.
    fn show(&mut self, line: &str) {
        match LINE.is_hidden() {
            true if self.is_due(Instant::now()) => say(line),
            true => {}
            false => LINE.set_message(line.to_owned()),
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

    /// Whether each finished cell has a line: on a terminal, or if cells end as slowly as lines of progress come.
    fn tells_cells(is_terminal: bool, trials: usize, estimate: Duration) -> bool {
        is_terminal || estimate >= PACE * trials as u32
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::RunStarted { cells, trials, estimate, arrivals, .. } => {
                self.tells_cells = Progress::tells_cells(!LINE.is_hidden(), trials, estimate);
                let arrivals = arrivals.map_or(String::new(), |arrivals| format!(", {arrivals} arrivals"));
                let (cells, trials) = (plural(cells, "cell"), plural(trials, "trial"));
                say(&format!("{cells}, {trials}, about {}{arrivals}", duration(estimate)));
            }
            Event::TrialStarted { cell, done, total, .. } => {
                (self.trial, self.knee) = ((done + 1, total), String::new());
                if LINE.is_hidden() {
                    self.show(&format!("[{}/{total}] {cell}", done + 1));
                }
            }
            Event::KneeWindow { number, rate, .. } => {
                self.knee = format!(", window {} at {rate:.0} requests/s", number + 1);
            }
            Event::MadeAgain { cell, why, .. } => self.show(&format!("made again: {cell}: {why}")),
            Event::Disturbed { by } => {
                let (others, run) = (neighbours::named(by), if by.len() == 1 { "runs" } else { "run" });
                say(&format!("warning: on this machine, {others} {run} already: each disturbs the other"));
            }
            Event::WaitsForTarget { target } => say(&format!("waiting: {target} does not answer any more")),
            Event::WaitsForRoom => {
                self.show("waiting: the kernel's table of tracked connections is full (nf_conntrack_max)");
            }
            Event::Progress { cell, answered, errors, remaining, .. } => {
                let (number, total) = self.trial;
                let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
                let left = duration(remaining);
                // On a narrow terminal the end is cut off.
                self.show(&format!("[{number}/{total}] {left} left, {answered} answers{errors}: {cell}{}", self.knee));
            }
            Event::CellFinished { cell } if self.tells_cells => say(&finished(cell)),
            Event::CellFinished { .. } | Event::TrialFinished { .. } | Event::RunFinished { .. } => {}
        }
    }
}

/// The main figures of a finished cell in one line, shown before the table is complete.
fn finished(cell: &Cell) -> String {
    let number = |figure: Option<Figure>, unit: &str| figure.map(|f| format!("  {:.1} {unit}", f.median));
    let parts = [
        number(cell.figures.throughput, "requests/s"),
        number(cell.figures.latency_us.p99, "µs p99"),
        number(cell.figures.server.cpu_us_per_request, "µs server CPU"),
        (cell.verdict != Verdict::Valid).then(|| format!("  {}", cell.verdict.name())),
    ];
    let key = &cell.key;
    let what = format!("{} {} -c {}, {}", key.target, key.workload, key.concurrency, key.requests_per_connection);
    what + &parts.into_iter().flatten().collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_lines_stay_they_come_at_a_pace_and_only_slow_cells_have_their_own() {
        let mut progress = Progress::new(false);
        let start = Instant::now();
        // 252 trials of a tenth of the pace.
        let lines = (0..252).filter(|&n| progress.is_due(start + PACE / 10 * n)).count();
        assert_eq!(lines, 26);
        assert!(!Progress::tells_cells(false, 252, PACE / 10 * 252));
        assert!(Progress::tells_cells(true, 252, PACE / 10 * 252) && Progress::tells_cells(false, 3, PACE * 3));
    }
}
