//! The report on a run: its answers, its tables, and the answers in short.

use super::terminal;
use anstyle::Style;
use results::wrap::wrap;
use results::{Results, answers, claims, disk_report, goals, table};
use std::io::{self, Write};
use std::path::Path;

/// The width of the answers where that of the output is not known.
const USUAL_WIDTH: usize = 100;

/// Prints the report on a run to standard output. Most of it may scroll out of sight, so the answers come once more, in
/// short, at the end.
///
/// # Errors
/// One line: standard output cannot be written.
pub fn print(results: &Results) -> Result<(), String> {
    terminal::print(|out| write(results, terminal::width(), out))
}

fn write(results: &Results, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    if results.is_board() {
        let width = width.unwrap_or(USUAL_WIDTH);
        writeln!(out)?;
        claims::print_details(&results.claims, width, out)?;
        writeln!(out)?;
        return claims::print_board(&results.claims, width, out);
    }
    if let Some(of_disk) = &results.settings.disk {
        disk_report::print(results, of_disk, width, out)?;
        return remarks(results, width, out);
    }
    let answers = answers::answers(results);
    let answers_width = width.unwrap_or(USUAL_WIDTH);
    if !answers.is_empty() {
        writeln!(out)?;
        answers::print(&answers, answers_width, out)?;
        writeln!(out)?;
    }
    table::print(results, width, out)?;
    remarks(results, width, out)?;
    if !answers.is_empty() {
        let bold = Style::new().bold();
        writeln!(out, "\n{bold}In short{bold:#}")?;
        answers::print_short(&answers, answers_width, out)?;
    }
    Ok(())
}

fn remarks(results: &Results, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
    if !results.remarks.is_empty() {
        writeln!(out)?;
    }
    results.remarks.iter().try_for_each(|remark| writeln!(out, "{}", wrap(remark, 2, width)))
}

/// Prints what the run says about the goals to standard output.
///
/// # Errors
/// One line: standard output cannot be written.
pub fn print_goals(judged: &[goals::Judged]) -> Result<(), String> {
    terminal::print(|out| {
        let bold = Style::new().bold();
        writeln!(out, "\n{bold}Goals{bold:#} (CPU time a request)")?;
        judged.iter().try_for_each(|goal| writeln!(out, "{}", wrap(&goal.line, 2, terminal::width())))
    })
}

/// The line that names a file which was written. Of a results.json it says how to print the report again, with the program
/// as it was called.
pub fn names(file: &Path) -> String {
    let called = std::env::args().next().unwrap_or_default();
    match file.file_name().and_then(|name| name.to_str()) {
        Some("results.json") => format!("results: {0} (printed again by: {called} show {0})", file.display()),
        Some("report.html") => format!("report: {} (open it in a browser)", file.display()),
        _ => format!("results: {}", file.display()),
    }
}
