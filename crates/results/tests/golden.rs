//! Files of schema 1 read, show, merge and compare as `golden/README.md` says. With the variable `WRITE_GOLDEN` set, what
//! is printed now is written as what is expected.

use anstream::StripStream;
use results::conditions::{self, Condition};
use results::{Results, answers, claims, compare, csv, figures, merge, noise, table};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Every run; each has its table in `X.show.txt`.
const RUNS: [&str; 14] = [
    "aa",
    "again",
    "closed",
    "fail",
    "interrupted",
    "interrupted-later",
    "knee",
    "many",
    "old",
    "old-other",
    "oldest",
    "open",
    "problems",
    "ramp",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Asserts that this is what the file has, or writes the file.
fn assert_same(printed: &str, name: &str) {
    match std::env::var_os("WRITE_GOLDEN") {
        Some(_) => fs::write(path(name), printed).unwrap(),
        None => assert_eq!(printed, text(name), "{name}"),
    }
}

fn run(name: &str) -> Results {
    match name {
        // Not the file, which may be written meanwhile.
        "merged" => merge::merge(run("closed"), run("again")).unwrap(),
        _ => Results::load(&path(&format!("{name}.json"))).unwrap(),
    }
}

fn shown(results: &Results) -> String {
    let mut out = Vec::new();
    table::print(results, None, &mut StripStream::new(&mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

/// What older settings have instead of `loads`.
const PRODUCT: [&str; 7] = [
    "workloads",
    "schedules",
    "concurrencies",
    "requests_per_connection",
    "beside",
    "busy_workload",
    "slow_reader_workload",
];

/// Asserts that `value` has everything that `old` has; it may have more.
fn assert_has(value: &Value, old: &Value, at: &str) {
    match (value, old) {
        (Value::Object(fields), Value::Object(old)) => {
            for (name, old) in old {
                if name == "memory_bytes_per_connection" {
                    assert!(fields[name].is_null(), "{at}: in schema 1 it was something else");
                    continue;
                }
                if at.ends_with(".settings") && PRODUCT.contains(&name.as_str()) {
                    assert!(fields.contains_key("loads"), "{at}");
                    continue;
                }
                let field = fields.get(name).unwrap_or_else(|| panic!("{at}.{name} is not there any more"));
                assert_has(field, old, &format!("{at}.{name}"));
            }
        }
        (Value::Array(values), Value::Array(old)) => {
            assert_eq!(values.len(), old.len(), "{at}");
            values
                .iter()
                .zip(old)
                .enumerate()
                .for_each(|(n, (value, old))| assert_has(value, old, &format!("{at}[{n}]")));
        }
        (Value::Number(number), Value::Number(old)) => assert_eq!(number.as_f64(), old.as_f64(), "{at}"),
        _ => assert_eq!(value, old, "{at}"),
    }
}

#[test]
fn every_run_is_read_and_written_with_all_that_it_had() {
    for name in RUNS {
        let old: Value = serde_json::from_str(&text(&format!("{name}.json"))).unwrap();
        let run = run(name);
        assert_has(&serde_json::to_value(&run).unwrap(), &old, name);
        assert!(run.cells.iter().all(|cell| run.settings.loads.contains(&cell.key.load)), "{name}");
    }
}

#[test]
fn every_run_is_shown_as_before() {
    for name in RUNS {
        assert_same(&shown(&run(name)), &format!("{name}.show.txt"));
    }
}

#[test]
fn every_run_answers_as_before() {
    for name in RUNS {
        let mut out = Vec::new();
        answers::print(&answers::answers(&run(name)), 100, &mut StripStream::new(&mut out)).unwrap();
        assert_same(&String::from_utf8(out).unwrap(), &format!("{name}.answers.txt"));
    }
}

#[test]
fn a_board_is_shown_in_detail_and_in_short_and_written_as_csv() {
    let board = Results::load(&path("board.json")).unwrap();
    let again = Results::load(&path("board-again.json")).unwrap();
    let printed = |write: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        let mut out = Vec::new();
        write(&mut StripStream::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_same(&printed(&|out| claims::print_details(&board.claims, 100, out)), "board.details.txt");
    for width in [60, 80, 118] {
        let short = printed(&|out| claims::print_board(&board.claims, width, out));
        assert!(short.lines().all(|line| line.chars().count() <= width), "{short}");
        assert_same(&short, &format!("board.{width}.txt"));
    }
    assert_same(&printed(&|out| claims::print_comparison(&board.claims, &again.claims, out)), "board.compare.txt");
    assert_same(&printed(&|out| csv::write(&board, out)), "board.csv");
    let written = serde_json::to_value(&board).unwrap();
    assert_has(&written, &serde_json::from_str(&text("board.json")).unwrap(), "board");
}

#[test]
fn runs_merge_as_before() {
    for (first, second, name) in [("closed", "again", "merged"), ("old", "old-other", "old-merged")] {
        let merged = merge::merge(run(first), run(second)).unwrap();
        let merged_as_json = serde_json::to_value(&merged).unwrap();
        match std::env::var_os("WRITE_GOLDEN") {
            Some(_) => fs::write(path(&format!("{name}.json")), merged_as_json.to_string() + "\n").unwrap(),
            None => {
                let old: Value = serde_json::from_str(&text(&format!("{name}.json"))).unwrap();
                assert_has(&merged_as_json, &old, name);
            }
        }
        assert_same(&shown(&merged), &format!("{name}.show.txt"));
    }
    for name in ["interrupted", "interrupted-later", "many", "open", "problems"] {
        let twin = Results { run_id: "twin".into(), ..run(name) };
        let merged = merge::merge(run(name), twin).unwrap();
        assert_same(&shown(&merged), &format!("twin-{name}.show.txt"));
    }
}

#[test]
fn runs_compare_as_before() {
    let mut compared = 0;
    for entry in fs::read_dir(path("")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some((first, second)) =
            file.strip_prefix("compare-").and_then(|rest| rest.strip_suffix(".txt")?.split_once('-'))
        else {
            continue;
        };
        let mut out = Vec::new();
        compare::print(&run(first), &run(second), &mut out).unwrap();
        assert_same(&String::from_utf8(out).unwrap(), &file);
        compared += 1;
    }
    assert_eq!(compared, 7);
}

#[test]
fn the_noise_of_an_aa_run_is_told_as_before() {
    let mut out = Vec::new();
    noise::print(&run("aa"), false, &mut out).unwrap();
    let noise = String::from_utf8(out).unwrap();
    assert!(noise.contains("differ from itself"), "{noise}");
    assert_same(&noise, "aa.noise.txt");
}

#[test]
fn conditions_are_crossed_as_before() {
    let conditions: Vec<Condition> =
        text("fail.conditions.txt").lines().map(|condition| condition.parse().unwrap()).collect();
    let crossed = conditions::crossed(&conditions, &run("fail"));
    assert!(!crossed.is_empty());
    assert_same(&(crossed.join("\n") + "\n"), "fail.crossed.txt");
}

/// Splits comma-separated values into lines of fields.
fn fields(text: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_csv_file_has_the_columns_that_it_had_with_the_same_values() {
    // The old files were made of other ones, and have no CSV.
    for name in RUNS.into_iter().filter(|name| !name.starts_with("old")) {
        let mut out = Vec::new();
        csv::write(&run(name), &mut out).unwrap();
        let (new, old) = (fields(&String::from_utf8(out).unwrap()), fields(&text(&format!("{name}.csv"))));
        assert_eq!(new.len(), old.len(), "{name}");
        let at: BTreeMap<&str, usize> = new[0].iter().map(String::as_str).zip(0..).collect();
        for (line, old_line) in new.iter().zip(&old) {
            let others =
                old[0].iter().zip(old_line).filter(|(column, _)| !column.starts_with("memory_bytes_per_connection"));
            for (column, value) in others {
                assert_eq!(&line[at[column.as_str()]], value, "{name}: {column}");
            }
        }
        let added = figures::names().find(|name| name.path() == "client.longest_cpu_wait").unwrap().column();
        assert!(at.contains_key(added.as_str()), "every figure has a column");
    }
}

#[test]
fn what_was_refused_is_refused_for_the_same_reason() {
    let mut told = String::new();
    for command in text("refused.txt").lines().filter(|line| line.starts_with("$ loadtest ")) {
        let load = |file: &str| {
            let whole = Results::load(&path(file));
            whole.map_err(|why| why.replace(&format!("{}/", path("").display()).replace("//", "/"), ""))
        };
        let refused = match command.split(' ').skip(2).collect::<Vec<_>>()[..] {
            ["show", file] => load(file).err(),
            ["merge", first, second] => load(first).and_then(|first| merge::merge(first, load(second)?)).err(),
            ["compare", first, second] => load(first).and_then(|_| load(second)).err(),
            _ => panic!("{command:?}"),
        };
        let why = refused.unwrap_or_else(|| panic!("{command} is not refused"));
        told += &format!("{command}\nloadtest: {why}\n\n");
    }
    assert_eq!(told.matches("$ loadtest").count(), 18);
    assert_same(&told, "refused.txt");
}
