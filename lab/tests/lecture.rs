//! Tests of `lab lecture` as a user runs it. None asks what the experiments say: a busy machine may show nothing.

mod common;
#[path = "common/processes.rs"]
mod processes;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use common::{lab, output, text};
use processes::{children, ends, folder, interrupt};

/// The board in the only folder of this folder.
fn board(results: &Path) -> (PathBuf, serde_json::Value) {
    let folders: Vec<PathBuf> = fs::read_dir(results).expect("a folder").flatten().map(|run| run.path()).collect();
    let [folder] = &folders[..] else { panic!("one lecture has one folder: {folders:?}") };
    let board = fs::read(folder.join("results.json")).expect("results.json");
    (folder.clone(), serde_json::from_slice(&board).expect("JSON"))
}

/// The names of the claims on a board.
fn ids(board: &serde_json::Value) -> Vec<&str> {
    board["claims"].as_array().expect("claims").iter().filter_map(|claim| claim["id"].as_str()).collect()
}

#[test]
fn claims_are_judged_in_the_order_of_the_board_and_their_experiments_are_kept() {
    let here = folder("lecture-judged");
    fs::create_dir(&here).expect("a folder");
    let lab = |args: &[&str]| lab(args).current_dir(&here).output().expect("the lab runs");
    let run = lab(&[
        "lecture",
        "linux-aio",
        "process-start",
        "process-start",
        "--blocks",
        "1",
        "--json",
        "board",
        "--dir",
        "/proc",
    ]);
    let messages = text(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{messages}");
    let (folder, board) = board(&here.join("results"));
    assert_eq!(ids(&board), ["process-start", "linux-aio"]);
    assert_eq!(board["interrupted"], false);
    let (made, not_here) = (&board["claims"][0], &board["claims"][1]);
    assert!(folder.join(made["experiment"].as_str().expect("a path")).exists());
    assert!(folder.join("process-start/slices.ndjson").exists());
    assert_eq!((&not_here["ruling"], &not_here["experiment"]), (&"cannot-be-shown".into(), &serde_json::Value::Null));
    let why = not_here["why"].as_str().expect("a reason");
    assert!(why.contains("name a directory on a disk"), "{why}");
    for line in
        ["2 claims, about ", "1 of 2 process-start, about ", "process-start: ", "2 of 2 linux-aio", "linux-aio: "]
    {
        assert!(messages.lines().any(|message| message.starts_with(line)), "{line}: {messages}");
    }
    let same: serde_json::Value =
        serde_json::from_slice(&fs::read(here.join("board")).expect("the file of --json")).expect("JSON");
    assert_eq!(same, board);
    let shown = lab(&["show"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stdout), text(&run.stdout));
}

#[test]
fn a_quiet_lecture_prints_nothing() {
    let results = folder("lecture-quiet");
    let run = output(&["lecture", "linux-aio", "--dir", "/proc", "-q", "--results", results.to_str().expect("UTF-8")]);
    assert_eq!((run.status.code(), text(&run.stdout), text(&run.stderr)), (Some(0), String::new(), String::new()));
    assert_eq!(ids(&board(&results).1), ["linux-aio"]);
}

/// Interrupts a lecture when a line of its progress begins with this, and it has a service. Returns its exit code.
fn interrupted_at(start: &str, args: &[&str], results: &Path) -> Option<i32> {
    let args = [&["lecture"], args, &["--results", results.to_str().expect("UTF-8")]].concat();
    let mut run = lab(&args).spawn().expect("the lab runs");
    let mut progress = BufReader::new(run.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(progress.any(|line| line.starts_with(start)), "it ended before");
    let services = children(run.id());
    interrupt(&run);
    let rest: Vec<String> = progress.collect();
    let ended = run.wait_with_output().expect("it ends");
    assert!(services.into_iter().all(ends), "{rest:?}");
    ended.status.code()
}

#[test]
fn ctrl_c_before_the_first_claim_is_judged_leaves_nothing() {
    let results = folder("lecture-ctrl-c-early");
    assert_eq!(interrupted_at("1 of 1 process-start", &["process-start", "--blocks", "1000"], &results), Some(130));
    assert!(!results.exists());
}

#[test]
fn ctrl_c_keeps_what_was_judged() {
    let results = folder("lecture-ctrl-c");
    // Their order is that of the board, and the second one lasts.
    let args = ["process-start", "callback", "framework", "--blocks", "1"];
    let code = interrupted_at("process-start: ", &args, &results);
    let (_, board) = board(&results);
    // The claims that cannot be made here take no time: the lecture may be over before the signal comes.
    let is_interrupted = ids(&board).len() < 3;
    assert_eq!((code, board["interrupted"] == true), (Some(if is_interrupted { 130 } else { 0 }), is_interrupted));
    assert_eq!(ids(&board)[0], "process-start");
}

#[test]
fn a_claim_that_there_is_not_gets_one_line_with_those_that_there_are() {
    let run = output(&["lecture", "race"]);
    let why = text(&run.stderr);
    assert_eq!((run.status.code(), why.lines().count()), (Some(2), 1), "{why}");
    assert!(why.contains("there is no claim 'race' (did you mean races?); there are process-start, "), "{why}");
    assert_eq!(output(&["lecture", "races", "--blocks", "0"]).status.code(), Some(2));
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_the_load() {
    let run = output(&["lecture", "process-start", "--results", "/proc/nowhere"]);
    let why = text(&run.stderr);
    assert_eq!((run.status.code(), why.lines().count()), (Some(2), 1), "{why}");
    assert!(why.contains("name a place that you may write to"), "{why}");
}
