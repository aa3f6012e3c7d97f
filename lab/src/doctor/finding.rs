//! One line of `lab doctor`.

use std::io::{self, Write};

/// The width to which lines are wrapped, in characters.
const WIDTH: usize = 80;
/// The width of the grade and the space after it.
const INDENT: usize = 6;

/// How good it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It disturbs measurements, and can be changed.
    Mend,
    /// It decides what figures mean, and cannot be changed, or need not be.
    Note,
    /// It is as it should be.
    Ok,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    /// What it is, and its value.
    pub what: String,
    /// What it does to the figures; empty where it is as it should be.
    pub effect: String,
    /// A command that mends it; empty if there is none.
    pub command: String,
}

impl Finding {
    pub fn ok(what: impl Into<String>) -> Finding {
        Finding { grade: Grade::Ok, what: what.into(), effect: String::new(), command: String::new() }
    }

    pub fn note(what: impl Into<String>, effect: impl Into<String>) -> Finding {
        Finding { grade: Grade::Note, effect: effect.into(), ..Finding::ok(what) }
    }

    pub fn mend(what: impl Into<String>, effect: impl Into<String>, command: impl Into<String>) -> Finding {
        Finding { grade: Grade::Mend, effect: effect.into(), command: command.into(), ..Finding::ok(what) }
    }

    /// Prints it: what it is, its effect below, and the command, which is not wrapped, so that it can be copied.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let grade = match self.grade {
            Grade::Mend => "mend",
            Grade::Note => "note",
            Grade::Ok => "ok",
        };
        for (number, line) in wrapped(&self.what, WIDTH - INDENT).iter().enumerate() {
            writeln!(out, "{:<INDENT$}{line}", if number == 0 { grade } else { "" })?;
        }
        let below = 2 * INDENT;
        for line in wrapped(&self.effect, WIDTH - below).iter().filter(|line| !line.is_empty()) {
            writeln!(out, "{:below$}{line}", "")?;
        }
        if !self.command.is_empty() {
            writeln!(out, "{:below$}$ {}", "", self.command)?;
        }
        Ok(())
    }
}

/// Breaks a text at spaces, into lines of at most so many characters, if no word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_wrapped_and_its_command_is_not() {
        let mut out = Vec::new();
        let command = "sysctl -w ".to_owned() + &"x".repeat(90);
        Finding::mend("what: 1", ["word"; 25].join(" "), command.clone()).write(&mut out).unwrap();
        Finding::ok("another").write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "mend  what: 1");
        assert!(lines[1].starts_with("            word word") && lines[1].len() <= WIDTH, "{text}");
        assert!(lines[2].starts_with("            word"), "{text}");
        assert_eq!(lines[3..], [format!("            $ {command}"), "ok    another".to_owned()]);
    }
}
