//! Shows progress on standard error: one line that is overwritten on a terminal, else a line for each trial and each
//! cell.

use crate::duration;
use crate::figures::Figure;
use crate::results::{Cell, Verdict};
use crate::run::{Event, Observer};
use crate::units::plural;
use std::io::{IsTerminal, Write, stderr};

/// Shows the progress of a run on standard error.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    trial: (usize, usize),
}

impl Progress {
    /// With `quiet`, nothing is shown.
    pub fn new(quiet: bool) -> Progress {
        Progress { quiet, terminal: stderr().is_terminal(), trial: (0, 0) }
    }

    /// Erases the progress line.
    pub fn clear(&self) {
        if self.terminal && !self.quiet {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }

    fn over(&self, line: &str) {
        let _ = write!(stderr(), "\r\x1b[K{line}").and_then(|()| stderr().flush());
    }
}

impl Observer for Progress {
    fn on(&mut self, event: Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::RunStarted { cells, trials, estimate, .. } => {
                let _ = writeln!(
                    stderr(),
                    "{}, {}, about {}",
                    plural(cells, "cell"),
                    plural(trials, "trial"),
                    duration(estimate)
                );
            }
            Event::TrialStarted { cell, done, total, .. } => {
                self.trial = (done + 1, total);
                if !self.terminal {
                    let _ = writeln!(stderr(), "[{}/{total}] {cell}", done + 1);
                }
            }
            Event::WaitsForRoom => {
                const WHY: &str = "waiting: the kernel's table of tracked connections is full (nf_conntrack_max)";
                if self.terminal {
                    self.over(WHY);
                } else {
                    let _ = writeln!(stderr(), "{WHY}");
                }
            }
            Event::Progress { cell, answered, errors, remaining, .. } if self.terminal => {
                let (number, total) = self.trial;
                let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
                self.over(&format!(
                    "[{number}/{total}] {cell}: {answered} answers{errors}, {} left",
                    duration(remaining)
                ));
            }
            Event::CellFinished { cell } => {
                let line = finished(cell);
                let _ = if self.terminal { writeln!(stderr(), "\r\x1b[K{line}") } else { writeln!(stderr(), "{line}") };
            }
            _ => {}
        }
    }
}

/// The main figures of a finished cell in one line, shown before the table is complete.
fn finished(cell: &Cell) -> String {
    let number = |figure: Option<Figure>, unit: &str| figure.map(|f| format!("  {:.1} {unit}", f.median));
    let parts = [
        number(cell.throughput, "requests/s"),
        number(cell.latency_us.p99, "µs p99"),
        number(cell.server.cpu_us_per_request, "µs server CPU"),
        (cell.verdict != Verdict::Valid).then(|| format!("  {}", cell.verdict.name())),
    ];
    let what = format!("{} {} -c {}, {}", cell.target, cell.workload, cell.concurrency, cell.requests_per_connection);
    what + &parts.into_iter().flatten().collect::<String>()
}
