//! Tests of `lab disk` as a user runs it, with few small files. None asks what the figures say.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{lab, output, text};

/// A new folder beneath the folder of the build, which is on a disk where /tmp may be in memory.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs `lab disk` there.
fn disk(here: &Path, args: &[&str]) -> Output {
    lab(&[&["disk"], args].concat()).current_dir(here).output().expect("the lab runs")
}

/// Whether the build is on a file system that is on no disk, as in a container; then nothing can be measured.
fn is_on_no_disk(run: &Output) -> bool {
    let is_refused = text(&run.stderr).contains("name a directory on a disk");
    if is_refused {
        println!("skipped: {}", text(&run.stderr));
    }
    is_refused
}

/// The results of the only run in a folder.
fn results(here: &Path) -> serde_json::Value {
    let runs: Vec<PathBuf> =
        fs::read_dir(here.join("results")).expect("results").flatten().map(|run| run.path()).collect();
    let [run] = &runs[..] else { panic!("one run: {runs:?}") };
    serde_json::from_slice(&fs::read(run.join("results.json")).expect("results.json")).expect("JSON")
}

const SMALL: [&str; 9] = ["--files", "200", "--size", "10k", "-d", "100ms", "--trials", "1", "--models"];

#[test]
fn cold_and_hot_files_are_served_and_then_removed() {
    let here = folder("cold-and-hot");
    let run = disk(&here, &[&SMALL[..], &["epoll,linux-aio", "--cache", "cold,hot"]].concat());
    if is_on_no_disk(&run) {
        return;
    }
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(!here.join("disk-files").exists(), "the files are removed, and the directory with them");
    let (results, printed) = (results(&here), text(&run.stdout));
    let disk = &results["settings"]["disk"];
    assert_eq!((&disk["dir"], &disk["sets"][0]["files"]), (&"disk-files".into(), &200.into()));
    for part in ["\n10k, cold · 200 files, 64 connections\n", "\n10k, hot · 200 files, 64 connections\n"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let cells = results["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 8, "two models, cold and hot, fetches and a bystander");
    for cell in cells {
        let trial = &cell["trials"][0];
        assert!(trial["ok"].as_u64() > Some(0), "{cell}");
        let is_fetch = cell["workload"] == "@10k";
        assert_eq!(trial["answer"]["bytes"], if is_fetch { 10_000 } else { 12 }, "{cell}");
    }
    let shown = lab(&["show"]).current_dir(&here).output().expect("the lab runs");
    assert_eq!(text(&shown.stdout), printed);
}

#[test]
fn files_that_are_kept_are_used_again() {
    let here = folder("kept");
    let quick = [&SMALL[..], &["epoll", "--keep"]].concat();
    let first = disk(&here, &quick);
    if is_on_no_disk(&first) {
        return;
    }
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("making 200 files of 10,000 bytes (2 MB) in disk-files/10k"));
    let file = here.join("disk-files/10k/199");
    let bytes = fs::read(&file).expect("the last file");
    assert_eq!(bytes.len(), 10_000);
    let second = disk(&here, &[&SMALL[..], &["epoll"]].concat());
    assert!(!text(&second.stderr).contains("making"), "{}", text(&second.stderr));
    assert_eq!(fs::read(&file).expect("it is still there: this run has not made it"), bytes);
    let other =
        disk(&here, &["--files", "3", "--size", "10k", "-d", "100ms", "--trials", "1", "--models", "epoll", "-q"]);
    assert_eq!((text(&other.stdout), text(&other.stderr)), (String::new(), String::new()));
    assert!(!file.exists(), "other files replace them, and are removed at the end");
}

#[test]
fn all_means_both_sizes_in_each_state_that_the_memory_allows_and_a_variant_has_its_own_rows() {
    let here = folder("all");
    let args = ["--all", "--files", "40", "-d", "100ms", "--trials", "1", "--models", "posix-aio-no-signals"];
    let run = disk(&here, &args);
    if is_on_no_disk(&run) {
        return;
    }
    let said = text(&run.stderr);
    // On a busy machine, 64 connections may get no file of 1 MB to its end in so short a window: exit code 1.
    assert!(matches!(run.status.code(), Some(0 | 1)), "{said}");
    assert!(said.contains("posix-aio-no-signals runs with --no-signals"), "{said}");
    assert!(said.contains("left out: --cache thrash: the files have 4 MB, and"), "{said}");
    let results = results(&here);
    let cells = results["cells"].as_array().expect("cells");
    let mut states: Vec<String> = cells.iter().map(|cell| format!("{} {}", cell["workload"], cell["cache"])).collect();
    states.sort();
    let files = ["\"@100k\" \"cold\"", "\"@100k\" \"hot\"", "\"@1M\" \"cold\"", "\"@1M\" \"hot\""];
    let beside = ["\"/\" \"cold\"", "\"/\" \"cold\"", "\"/\" \"hot\"", "\"/\" \"hot\""];
    assert_eq!(states, [beside, files].concat());
    assert!(cells.iter().all(|cell| cell["target"] == "posix-aio-no-signals"), "{cells:?}");
    assert!(cells.iter().any(|cell| cell["trials"][0]["ok"].as_u64() > Some(0)), "{cells:?}");
    assert!(results["settings"]["disk"]["memory_bytes"].as_u64() > Some(0));
}

#[test]
fn the_help_names_what_is_measured_by_default() {
    let help = text(&output(&["disk", "--help"]).stdout);
    for words in ["[default: disk-files]", "[default: 100k]", "linux-aio, uring", "nginx, nginx-aio, lighttpd"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert!(!help.contains("--slow-readers"), "the flags of other loads are hidden");
}

#[test]
fn what_cannot_be_measured_is_refused_with_what_to_do() {
    let here = folder("refused");
    for (args, words) in [
        (
            &["--dir", "/proc"][..],
            "--dir /proc: it is on proc, and the kernel names no disk beneath that; name a directory on a disk",
        ),
        (&["--dir", "a b"], "name a directory without spaces"),
        (&["--dir", "/proc/self/nothing"], "name another directory"),
        (&["--size", "0"], "as in 100k, 1M or 4G"),
        (&["--set", "100k"], "give a larger --set"),
        (&["--size", "1", "--set", "4G"], "at most 1,000,000 files of a size"),
        (&["--cache", "warm"], "possible values: cold, hot, thrash"),
        (&["--cache", "thrash", "--files", "9"], "give a larger --set, or let the lab have less memory"),
        (&["--all", "--cache", "hot"], "cannot be used with '--cache"),
        (&["--cache", "hot", "--set", "900000G", "--size", "1G"], "give a smaller --set"),
        (&["--workload", "/"], "'lab disk' has its own loads"),
        (&["--models", "none", "--guests", "nobody"], "there is no such guest"),
    ] {
        let run = disk(&here, args);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {}", text(&run.stderr));
        assert!(text(&run.stderr).contains(words), "{args:?}: {}", text(&run.stderr));
        assert!(!here.join("disk-files").join("100k").exists(), "{args:?}");
    }
    let huge = disk(&here, &["--size", "1G", "--files", "900000"]);
    if !is_on_no_disk(&huge) {
        assert_eq!(huge.status.code(), Some(2), "{}", text(&huge.stderr));
        assert!(
            text(&huge.stderr).contains("MB are free; name another directory, or a smaller --set"),
            "{}",
            text(&huge.stderr)
        );
        assert!(!here.join("disk-files").exists());
    }
}
