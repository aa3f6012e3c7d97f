//! What a program says of its version.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// How long a program may take to say its version. Then it is killed, and the version is not known. The lab waits longer for a
/// service that it stops.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
/// So much of its output is looked at, in bytes.
const MOST: u64 = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(5);

/// The version in the output of a program: the first number with dots. `None` if it says none, or does not end within `limit`.
///
/// The output goes to a file in `folder`, so this process needs no thread to read it, and waits for no child that has inherited a
/// pipe.
pub(crate) fn ask(program: &Path, args: &[String], folder: &Path, limit: Duration) -> Option<String> {
    let path = folder.join("version");
    let output = File::create(&path).ok()?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(output.try_clone().ok()?).stderr(output);
    let status = wait(&mut command, limit);
    let said = File::open(&path);
    let _ = std::fs::remove_file(&path); // the folder is the guest's
    status?;
    let mut text = Vec::new();
    said.ok()?.take(MOST).read_to_end(&mut text).ok()?;
    number(&String::from_utf8_lossy(&text))
}

/// Runs a program to its end. `None` if it cannot be run, or takes longer. Then it is killed, and in any case what it has started.
fn wait(command: &mut Command, limit: Duration) -> Option<ExitStatus> {
    let mut child = command.process_group(0).spawn().ok()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let deadline = Instant::now() + limit;
    // The group keeps its number until the program was waited for.
    let has_ended = loop {
        match waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => sleep(PAUSE),
            Ok(status) => break status != WaitStatus::StillAlive,
            Err(_) => break false,
        }
    };
    let _ = killpg(group, Signal::SIGKILL);
    let status = child.wait().ok();
    status.filter(|_| has_ended)
}

fn number(text: &str) -> Option<String> {
    let numbers = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|number| number.trim_matches('.'));
    numbers.filter(|number| number.contains('.')).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_end_is_not_waited_for() {
        assert!(wait(Command::new("sleep").arg("600"), Duration::from_millis(20)).is_none());
        assert!(wait(&mut Command::new("true"), Duration::from_secs(600)).is_some_and(|status| status.success()));
    }

    #[test]
    fn the_version_is_the_first_number_with_dots() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", Some("1.22.1")),
            ("v18.20.4\n", Some("18.20.4")),
            ("Server version: Apache/2.4.62 (Debian)\nbuilt: 2024-10-04T15:21:08\n", Some("2.4.62")),
            ("lighttpd/1.4.69 (ssl) - a light and fast webserver\n", Some("1.4.69")),
            ("5.0.", Some("5.0")),
            ("version 7... of 2024", None),
            ("", None),
        ] {
            assert_eq!(number(text).as_deref(), version, "{text}");
        }
    }
}
