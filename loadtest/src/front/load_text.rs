//! `--load TEXT`: a load in the words of the command line, as in `/ -R 500 --idle 1000`.

use super::load_flags::{LoadFlags, check_connections};
use clap::{Args, Command, FromArgMatches};
use results::Load;
use results::lists::add_new;
use results::schedule::Schedule;

/// The loads of these texts, each once. What a text does not say of busy clients and slow readers is as `flags` say, and so
/// are the connections of the closed loops, if `flags` say them.
///
/// # Errors
/// One line that names the text and says what to write instead.
pub fn loads(texts: &[String], flags: &LoadFlags) -> Result<Vec<Load>, String> {
    check_connections(&flags.concurrency)?;
    let mut loads = Vec::new();
    for text in texts {
        let wrong = |why: String| format!("--load '{text}': {why}");
        let mut described =
            parse(text).map_err(|why| wrong(format!("{why}; write a path and flags, as in '/ -R 500 --idle 1000'")))?;
        described.busy_workload = described.busy_workload.or_else(|| flags.busy_workload.clone());
        described.slow_reader_workload = described.slow_reader_workload.or_else(|| flags.slow_reader_workload.clone());
        for load in described.loads().map_err(wrong)? {
            match load.schedule {
                // What needs a closed loop's ceiling needs it with as many connections.
                schedule
                    if (schedule == Schedule::Closed || schedule.needs_ceiling()) && !flags.concurrency.is_empty() =>
                {
                    add_new(&mut loads, flags.concurrency.iter().map(|&n| Load { concurrency: n, ..load.clone() }));
                }
                _ => add_new(&mut loads, [load]),
            }
        }
    }
    Ok(loads)
}

/// The loads of these texts, each once, without any flags beside them.
///
/// # Errors
/// As those of [`loads`].
pub fn loads_of(texts: &[String]) -> Result<Vec<Load>, String> {
    let mut loads = Vec::new();
    for text in texts {
        let described = parse(text).and_then(|flags| flags.loads());
        add_new(&mut loads, described.map_err(|why| format!("--load '{text}': {why}"))?);
    }
    Ok(loads)
}

/// Reads the words of a load: the workload, and the flags.
fn parse(text: &str) -> Result<LoadFlags, String> {
    let command = LoadFlags::augment_args(Command::new("load").no_binary_name(true).disable_help_flag(true));
    // Without its name, the workload is the word that stands alone.
    let command = command.mut_arg("workload", |arg| arg.long(None).default_value(None).required(true));
    let matches = command.try_get_matches_from(words(text)).map_err(|error| first_line(&error))?;
    LoadFlags::from_arg_matches(&matches).map_err(|error| first_line(&error))
}

/// The words of a text. A method and the path after it are one: `POST /counter`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_method = |before: &String| before.bytes().all(|byte| byte.is_ascii_uppercase());
        match words.last_mut().filter(|before| word.starts_with('/') && is_method(before)) {
            Some(method) => *method = format!("{method} {word}"),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// What clap says, without its hints at a command line.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    match first.ends_with(':') {
        true => format!("{first} {}", lines.next().unwrap_or_default()),
        false => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{BackgroundLoad, PerConnection};

    /// The flags of a command line, beside the texts.
    fn flags(arguments: &[&str]) -> LoadFlags {
        let command = LoadFlags::augment_args(Command::new("test").no_binary_name(true));
        LoadFlags::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
    }

    fn loads_of(texts: &[&str], arguments: &[&str]) -> Result<Vec<Load>, String> {
        loads(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>(), &flags(arguments))
    }

    #[test]
    fn a_load_is_described_by_the_flags_of_the_command_line() {
        let one: PerConnection = "1".parse().unwrap();
        let beside = |background| Load { background, ..Load::default() };
        let (idle, none) = (BackgroundLoad { idle: 1_000, ..BackgroundLoad::default() }, BackgroundLoad::default());
        let busy = |workload: &str| BackgroundLoad { busy: 2, busy_workload: Some(workload.into()), ..none.clone() };
        let at = |rate, load| Load { schedule: Schedule::Rate(rate), ..load };
        for (text, expected) in [
            ("/ -c 64", Load::default()),
            (
                "/ -R 500 --requests-per-connection 1",
                Load { requests_per_connection: one, ..at(500.0, Load::default()) },
            ),
            (" --idle 1000   -R 0.5k /", at(500.0, beside(idle))),
            ("/sleep/100 -c 512", Load { workload: "/sleep/100".into(), concurrency: 512, ..Load::default() }),
            ("POST /counter -c 8", Load { workload: "POST /counter".into(), concurrency: 8, ..Load::default() }),
            ("/ -R 200 --busy 2 --busy-workload POST /nod", at(200.0, beside(busy("POST /nod")))),
            ("/ --busy 2", beside(busy("/work/1"))),
        ] {
            assert_eq!(loads_of(&[text], &["--busy-workload", "/work/1"]), Ok(vec![expected]), "{text}");
        }
    }

    #[test]
    fn lists_make_several_loads_and_what_comes_twice_counts_once() {
        let all = loads_of(&["/,/b -c 1,64", "/ -c 64", "/ -R 1", "/ -R 1"], &[]).unwrap();
        let all: Vec<String> = all.iter().map(|load| format!("{} {}", load.workload, load.concurrency)).collect();
        assert_eq!(all, ["/ 1", "/ 64", "/b 1", "/b 64", "/ 64"]);
        assert_eq!(loads_of(&["/ --knee"], &[]).unwrap().len(), 3);
    }

    #[test]
    fn the_connections_of_the_command_line_are_those_of_the_closed_loops() {
        let texts = ["/ -c 64", "/ -c 2 -R 500", "/sleep/100 -c 512", "/ -c 8"];
        let concurrency = |arguments: &[&str]| -> Vec<usize> {
            loads_of(&texts, arguments).unwrap().iter().map(|load| load.concurrency).collect()
        };
        assert_eq!(concurrency(&[]), [64, 2, 512, 8]);
        assert_eq!(concurrency(&["-c", "1000"]), [1000, 2, 1000]);
        assert_eq!(concurrency(&["-c", "1,9"]), [1, 9, 2, 1, 9]);
    }

    #[test]
    fn a_text_that_is_no_load_is_refused_with_what_to_write() {
        let as_in = "write a path and flags, as in '/ -R 500 --idle 1000'";
        for (text, words, instead) in [
            ("", "not provided: <PATH>", as_in),
            ("-c 64", "not provided: <PATH>", as_in),
            ("/ -c", "a value is required for '--concurrency", as_in),
            ("/ -c many", "invalid value 'many'", as_in),
            ("/ --duration 5s", "unexpected argument '--duration'", as_in),
            ("/ -R 1 --knee", "cannot be used with", as_in),
            ("files", "'files' is no path", "write '/files/64k', 'POST /counter' or '@paths.txt'"),
            ("@ -c 1", "'@'", "name a file after the @, without spaces in its name"),
            ("/ -c 0", "--concurrency", "must be at least 1"),
            ("/ --busy 1", "--busy-workload", "what these clients request"),
        ] {
            let why = loads_of(&[text], &[]).unwrap_err();
            assert!(why.starts_with(&format!("--load '{text}': ")) && why.lines().count() == 1, "{why}");
            assert!(why.contains(words) && why.ends_with(instead), "{why}");
        }
        assert!(loads_of(&["/"], &["-c", "0"]).unwrap_err().contains("must be at least 1"));
    }
}
