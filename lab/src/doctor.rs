//! `lab doctor`: describes this machine, what it does to the figures, and what to mend.

mod activity;
mod finding;
mod live;
mod state;

use std::io::{self, Write};
use std::time::Duration;

use loadtest::front::{Exit, Failure, print};
use loadtest::provenance;

use activity::Activity;
use finding::{Finding, Grade};

/// How long the machine is watched.
const WATCHED: Duration = Duration::from_secs(1);

/// Prints what was found: first what can be mended, then what is good to know, then what is as it should be.
///
/// # Errors
/// Standard output cannot be written.
pub fn doctor() -> Result<Exit, Failure> {
    let activity = Activity::watch(WATCHED);
    let mut findings = live::findings(&activity);
    findings.extend(state::findings(&provenance::here()));
    findings.sort_by_key(|finding| finding.grade);
    print(|out| write(&findings, out)).map_err(Failure::usage)?;
    Ok(Exit::Done)
}

fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    findings.iter().try_for_each(|finding| finding.write(out))?;
    let to_mend = findings.iter().filter(|finding| finding.grade == Grade::Mend).count();
    match to_mend {
        0 => writeln!(out, "\nThere is nothing to mend."),
        _ => {
            writeln!(out, "\nTo mend: {to_mend}, at the top.")
        }
    }
}
