//! What a program says of its version.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program may take to say its version when a guest starts. Then it is killed, and the version is not known.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
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
    wait(&mut command, limit)?;
    number(&String::from_utf8_lossy(&std::fs::read(&path).ok()?))
}

/// Runs a program to its end. `None` if it cannot be run, or takes longer, and is then killed.
fn wait(command: &mut Command, limit: Duration) -> Option<ExitStatus> {
    let mut child = command.spawn().ok()?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().ok()? {
            return Some(status);
        }
        sleep(PAUSE);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
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
