//! How a program ends: its exit codes, and the line that says why it ended early.

use super::terminal::say;
use std::process::ExitCode;

/// How a program ends; the numbers are its exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was measured, and every condition was met.
    Done = 0,
    /// Requests failed, or a condition of `--fail-on` was not met, or the load could not be run.
    Failed = 1,
    /// The command line is wrong, or a file cannot be written.
    Usage = 2,
    /// A target does not answer.
    Unreachable = 3,
    /// A goal of `--at-most` was not reached, or the run cannot tell.
    Missed = 4,
    /// A signal ended the run; what was measured until then is reported.
    Interrupted = 130,
}

/// Why a program ends early: its exit code, and a line that says what went wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub Exit, pub String);

impl Failure {
    /// Wrong usage.
    pub fn usage(why: impl Into<String>) -> Failure {
        Failure(Exit::Usage, why.into())
    }
}

/// The exit code of `program`. Prints to standard error why it ended early, if it did.
pub fn exit_code(program: &str, ended: Result<Exit, Failure>) -> ExitCode {
    let exit = ended.unwrap_or_else(|Failure(exit, why)| {
        say(&format!("{program}: {why}"));
        exit
    });
    ExitCode::from(exit as u8)
}
