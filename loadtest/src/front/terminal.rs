//! What is printed: lines and the progress line on standard error, and tables on standard output.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::LazyLock;
use terminal_size::{Width, terminal_size_of};

/// The progress line, which is overwritten again and again. It is hidden where standard error is no terminal, or a dumb
/// one.
static LINE: LazyLock<ProgressBar> = LazyLock::new(|| {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let target = if is_dumb { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let line = ProgressBar::with_draw_target(None, target);
    line.set_style(style("{wide_msg}"));
    line
});

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid")
}

/// Whether there is a progress line.
pub fn has_progress_line() -> bool {
    !LINE.is_hidden()
}

/// Shows this on the progress line, if there is one; it is cut to the width of the terminal.
pub fn show_progress(line: impl Into<Cow<'static, str>>) {
    LINE.set_message(line);
}

/// Shows this below the progress line, cut to the width of the terminal; nothing if it is empty.
pub fn show_below(line: &str) {
    let columns = terminal_size_of(io::stderr()).map_or(80, |(Width(width), _)| usize::from(width));
    LINE.set_style(style(if line.is_empty() { "{wide_msg}" } else { "{wide_msg}\n{prefix}" }));
    LINE.set_prefix(line.chars().take(columns).collect::<String>());
}

/// Erases the progress line. It does not come back.
pub fn clear_progress() {
    LINE.finish_and_clear();
}

/// Prints a line to standard error, above the progress line if there is one. It is no failure when its reader has gone away.
///
/// It is one write(2). Otherwise the line's end could come after what another stream, or another process, writes meanwhile:
/// `docker run` brings both streams to the same terminal.
pub fn say(line: &str) {
    LINE.suspend(|| drop(anstream::stderr().write_all(format!("{line}\n").as_bytes())));
}

/// The width in columns of what is printed to standard output: that of the terminal, or of the variable `COLUMNS`. `None`
/// if neither says it.
pub fn width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|&columns| columns > 0);
    columns.or_else(|| terminal_size_of(io::stdout()).map(|(Width(width), _)| width.into()))
}

/// Prints to standard output; without colours where these are not wanted (no terminal, `NO_COLOR`, `TERM=dumb`). It is
/// no failure when the reader has gone away (`| head`).
///
/// # Errors
/// One line: standard output cannot be written, for another reason.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), String> {
    let mut out = anstream::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}
