//! What is printed: lines on standard error, and at the end of a run the table. It is no failure when nobody reads it.

use results::{Results, table};
use std::io::Write;

/// Prints a line to standard error, in one write(2). Otherwise the line's end could come after what another stream, or
/// another process, writes meanwhile: `docker run` brings both streams to the same terminal.
pub fn say(line: &str) {
    let _ = anstream::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints the table of a run to standard output; without colours where these are not wanted (no terminal, `NO_COLOR`,
/// `TERM=dumb`).
pub fn print_table(results: &Results) {
    let mut out = anstream::stdout().lock();
    // It is not a failure when the reader of standard output has gone away (`| head`).
    let _ = table::print(results, &mut out).and_then(|()| out.flush());
}
