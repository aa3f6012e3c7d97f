//! The lab as a program that tests start.

use std::process::{Command, Output, Stdio};

use test_lifetime::limit_lifetime;

/// After so many seconds, SIGALRM kills a lab, and its services end with it. So what a test reads from it comes to an
/// end. The test of all models takes more than a minute, and several times as long on a busy machine.
pub const LIFETIME: u32 = 900;

/// The lab with these arguments; its output is for the test.
pub fn lab(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    limit_lifetime(&mut command, LIFETIME);
    command
}

/// Runs the lab to its end.
pub fn output(args: &[&str]) -> Output {
    lab(args).output().expect("the lab runs")
}

/// What a program has written.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
