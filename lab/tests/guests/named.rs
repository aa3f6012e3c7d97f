//! How guests are named on the command line.

use std::fs;

use crate::common::{output, text};
use crate::processes::folder;
use crate::run::run;

#[test]
fn a_guest_that_cannot_run_is_one_line_before_anything_starts() {
    for (args, expected) in [
        (&["--guests", "ngnix"][..], "--guests ngnix: there is no such guest; there are nginx, "),
        (&["--guests", "epoll"], "epoll is a model; --models chooses it"),
        (&["--models", "hyper"], "hyper is a guest; --guests chooses it"),
        (&["--models", "none"], "--models none: there is nothing left"),
        (&["--models", "none,epoll"], "--models none,epoll: 'none' stands alone"),
        (&["--models", "none", "--guests", "hyper", "--set", "epoll.threads=1"], "this run has no models"),
        (&["--guests", ""], "--guests: a name is empty"),
        (&["--guest", "epoll=cat {port}"], "epoll is the name of a model"),
        (&["--guest", "mine=/nowhere/server {port}"], "mine: there is no program /nowhere/server"),
        (&["--guest", "mine"], "write NAME=COMMAND"),
        (&["--guest", "mine=cat"], "does not say where {port} goes"),
        (&["--guests-file", "/nowhere/guests.toml"], "--guests-file /nowhere/guests.toml: No such file"),
        (&["--guests", "hyper", "--set", "hyper.threads=2"], "hyper is a guest, and has no flags here"),
        (&["serve", "--guests", "ngnix"], "there is no such guest"),
        (&["hyper"], "choose guests with --guests hyper"),
    ] {
        let run = output(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {}", text(&run.stderr));
        assert!(text(&run.stderr).contains(expected), "{args:?}: {}", text(&run.stderr));
        assert!(!text(&run.stderr).contains("Servers on"), "{args:?}: {}", text(&run.stderr));
    }
}

#[test]
fn all_guests_of_a_file_take_part() {
    let folder = folder("guests-in-a-file");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("guests.toml");
    let guest = |name: &str| format!("[{name}]\ncommand = \"{{self}} hyper {{listen}}\"\n");
    fs::write(&file, guest("one") + &guest("two")).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let ran = run("file", &["--models", "none", "--guests", "hyper", "--guests-file", file, "--workload", "/"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let cells = ran.results["cells"].as_array().expect("cells");
    assert_eq!(cells.iter().map(|cell| &cell["target"]).collect::<Vec<_>>(), ["hyper", "one", "two"]);
    let twice = output(&["--guests-file", file, "--guest", "one=cat {port}"]);
    assert!(text(&twice.stderr).contains("one is the name of another guest"), "{}", text(&twice.stderr));
}

#[test]
fn a_path_that_no_server_has_is_wrong_usage() {
    let ran = run("typo", &["--models", "none", "--guests", "hyper", "--workload", "/typo"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no server has the workload /typo"), "{}", ran.stderr);
}

#[test]
fn help_names_the_guests() {
    for args in [&["--help"][..], &["serve", "--help"], &["aa", "--help"]] {
        let help = text(&output(args).stdout);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("hyper; 'all' takes those installed"), "{help}");
        assert!(help.contains("--guests-file <FILE>"), "{help}");
        assert!(help.contains("'none': only guests"), "{help}");
    }
}
