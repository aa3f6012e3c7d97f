//! What is printed: lines on standard error, and at the end of a run the table. It is no failure when nobody reads it.

use indicatif::{ProgressBar, WeakProgressBar};
use results::{Results, table};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// The progress line that [`say`] must not disturb.
static PROGRESS: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Prints a line to standard error, above the progress line if there is one.
pub fn say(line: &str) {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(WeakProgressBar::upgrade);
    match progress.filter(|progress| !progress.is_hidden() && !progress.is_finished()) {
        Some(progress) => progress.println(line),
        None => drop(writeln!(anstream::stderr(), "{line}")),
    }
}

/// From now on, lines are printed above this progress line, until it is finished or dropped.
pub(super) fn keep_below(progress: &ProgressBar) {
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress.downgrade());
}

/// Prints the table of a run to standard output; without colours where these are not wanted (no terminal, `NO_COLOR`,
/// `TERM=dumb`).
pub fn print_table(results: &Results) {
    let mut out = anstream::stdout().lock();
    // It is not a failure when the reader of standard output has gone away (`| head`).
    let _ = table::print(results, &mut out).and_then(|()| out.flush());
}
