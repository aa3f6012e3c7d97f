//! Shows progress on standard error: one line that is overwritten on a terminal, else a line for each trial and each
//! cell.

use super::terminal::{keep_below, say};
use crate::events::{Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use results::units::{duration, plural};
use results::{Cell, Figure, Verdict};

/// Shows the progress of a run on standard error.
pub struct Progress {
    quiet: bool,
    /// The line that is overwritten. Hidden where standard error is no terminal, or a dumb one.
    line: ProgressBar,
    trial: (usize, usize),
}

impl Progress {
    /// With `quiet`, nothing is shown.
    pub fn new(quiet: bool) -> Progress {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let target = if quiet || is_dumb { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let line = ProgressBar::with_draw_target(None, target);
        // The line is cut to the width of the terminal.
        line.set_style(ProgressStyle::with_template("{wide_msg}").expect("the template is valid"));
        keep_below(&line);
        Progress { quiet, line, trial: (0, 0) }
    }

    /// Erases the progress line.
    pub fn clear(&self) {
        self.line.finish_and_clear();
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::RunStarted { cells, trials, estimate, .. } => {
                let (cells, trials) = (plural(cells, "cell"), plural(trials, "trial"));
                say(&format!("{cells}, {trials}, about {}", duration(estimate)));
            }
            Event::TrialStarted { cell, done, total, .. } => {
                self.trial = (done + 1, total);
                if self.line.is_hidden() {
                    say(&format!("[{}/{total}] {cell}", done + 1));
                }
            }
            Event::WaitsForRoom => {
                const WHY: &str = "waiting: the kernel's table of tracked connections is full (nf_conntrack_max)";
                match self.line.is_hidden() {
                    true => say(WHY),
                    false => self.line.set_message(WHY),
                }
            }
            Event::Progress { cell, answered, errors, remaining, .. } => {
                let (number, total) = self.trial;
                let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
                let left = duration(remaining);
                // On a narrow terminal the end is cut off.
                self.line.set_message(format!("[{number}/{total}] {left} left, {answered} answers{errors}: {cell}"));
            }
            Event::CellFinished { cell } => say(&finished(cell)),
            Event::TrialFinished { .. } | Event::RunFinished { .. } => {}
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
