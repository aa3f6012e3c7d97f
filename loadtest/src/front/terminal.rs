//! What is printed at the end of a run.

use results::{Results, table};
use std::io::Write;

/// Prints the table of a run to standard output; without colours where these are not wanted (no terminal, `NO_COLOR`,
/// `TERM=dumb`).
pub fn print_table(results: &Results) {
    let mut out = anstream::stdout().lock();
    // It is not a failure when the reader of standard output has gone away (`| head`).
    let _ = table::print(results, &mut out).and_then(|()| out.flush());
}
