//! What the lecture's experiment with the most processes does where little is allowed.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_lifetime::limit_lifetime;

#[test]
fn where_few_open_files_are_allowed_the_limit_is_named_and_no_process_is_started() {
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ceiling");
    let _ = fs::remove_dir_all(&results);
    let script = r#"ulimit -n 1000 && exec "$0" lecture ten-thousand --results "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_lab")]).arg(&results);
    limit_lifetime(&mut command, 900);
    let run = command.output().expect("the lab runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let run_folder = fs::read_dir(&results).expect("results").next().expect("a run").expect("an entry").path();
    let board = fs::read(run_folder.join("results.json")).expect("results.json");
    let board: serde_json::Value = serde_json::from_slice(&board).expect("JSON");
    let claim = &board["claims"][0];
    assert_eq!(claim["ruling"], "cannot-be-shown");
    let why = claim["why"].as_str().expect("a reason");
    assert!(why.contains("744 connections are the most here, by 1000 open files (ulimit -Hn)"), "{why}");
    assert!(claim["experiment"].is_null(), "no server ran");
    fs::remove_dir_all(&results).expect("removed");
}
