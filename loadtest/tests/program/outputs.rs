//! Files and standard output: what is written when, and what is made of the files later.

use crate::common::program;
use crate::{empty_folder, interrupt, loadtest, ok, one_line, server};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_results_folder_that_is_not_writable_is_reported_before_the_run() {
    let target = format!("a=http://{}", server(|_| ok("hi")));
    one_line(&loadtest(&["--target", &target, "-d", "1h", "--results", "/proc/nowhere"]), 2, "may write to");
}

#[test]
fn a_run_that_does_not_start_leaves_every_file_and_folder_as_it_was() {
    let folder = empty_folder("not-started");
    std::fs::write(folder.join("old.json"), "old").unwrap();
    let outputs = ["--json", "old.json", "--csv", "new.csv", "--out", "out", "--results", "a/b"];
    let run = |target: &str, more: &[&str]| {
        let mut run = program();
        run.current_dir(&folder).args(["--target", target]).args(outputs).args(more).stderr(Stdio::piped());
        run.stdout(Stdio::null()).spawn().unwrap()
    };
    let is_as_before = || {
        assert_eq!(names(&folder), ["old.json"]);
        assert_eq!(std::fs::read_to_string(folder.join("old.json")).unwrap(), "old");
    };
    let code = |child: Child| child.wait_with_output().unwrap().status.code();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("a=http://{}", listener.local_addr().unwrap());
    assert_eq!(code(run(&target, &["-c", "0"])), Some(2));
    is_as_before();
    // An interrupt that comes while the target has not answered the check yet.
    let child = run(&target, &["-d", "1h"]);
    let (mut stream, _) = listener.accept().unwrap();
    interrupt(&child);
    stream.write_all(ok("hi").as_bytes()).unwrap();
    assert_eq!(code(child), Some(130));
    is_as_before();
    drop((stream, listener));
    assert_eq!(code(run(&target, &[])), Some(3));
    is_as_before();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_output_depends_on_another() {
    let folder = empty_folder("full");
    let target = format!("a=http://{}", server(|_| ok("hi")));
    let run = |outputs: &[&str], stdout: Stdio| {
        let mut run = program();
        run.current_dir(&folder).args(["--target", &target, "-d", "700ms", "-c", "1"]).args(outputs);
        run.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
    };
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outputs = ["--json", "/dev/full", "--csv", "a.csv", "--out", "out", "--results", "results"];
    let failed = run(&outputs, Stdio::piped());
    let messages = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2), "{messages}");
    assert!(messages.contains("--json /dev/full: No space left on device"), "{messages}");
    assert!(String::from_utf8(failed.stdout).unwrap().contains("verdict"));
    assert_eq!(names(&folder), ["a.csv", "out", "results"]);
    assert_eq!(names(&folder.join("results")).len(), 1);
    assert_eq!(names(&folder.join("out")), ["report.html", "results.json", "slices.ndjson"]);

    let not_shown = run(&["--json", "a.json"], full().into());
    assert_eq!(not_shown.status.code(), Some(2), "{not_shown:?}");
    results::Results::load(&folder.join("a.json")).unwrap();

    // A pipe whose reader has gone away.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = run(&["--json", "b.json"], writer.into());
    assert_eq!(unread.status.code(), Some(0), "{unread:?}");
    results::Results::load(&folder.join("b.json")).unwrap();

    let again = |arguments: &[&str], stdout: Stdio| {
        let mut again = program();
        again.current_dir(&folder).args(arguments).stdout(stdout).stderr(Stdio::piped());
        again.spawn().unwrap().wait_with_output().unwrap()
    };
    for command in [&["show", "a.json"][..], &["merge", "a.json", "b.json"], &["compare", "a.json", "b.json"]] {
        one_line(&again(command, full().into()), 2, "standard output: No space left on device");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unread = again(command, writer.into());
        assert!(unread.status.success() && unread.stderr.is_empty(), "{unread:?}");
    }
    one_line(&again(&["merge", "a.json", "b.json", "-o", "/dev/full"], Stdio::null()), 2, "--output /dev/full");
    let printed = again(&["merge", "a.json", "b.json", "-o", "/dev/stdout"], Stdio::piped());
    serde_json::from_slice::<results::Results>(&printed.stdout).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn conditions_decide_the_exit_code_and_result_files_can_be_read_again() {
    let target = format!("--target=a=http://{}", server(|_| ok("hi")));
    let folder = std::env::temp_dir().join(format!("loadtest-again-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (first, second, both, csv) = (path("1.json"), path("2.json"), path("both.json"), path("1.csv"));
    let short =
        |more: &[&str]| loadtest(&[&[target.as_str(), "-d", "1s", "-c", "1", "-t", "1", "--quiet"], more].concat());
    let met = short(&["--json", &first, "--csv", &csv, "--fail-on", "errors<0.1%,errors<1%"]);
    assert_eq!(met.status.code(), Some(0), "{met:?}");
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 2);
    one_line(
        &short(&["--json", &second, "--fail-on", "throughput>1000000000"]),
        1,
        "--fail-on throughput>1000000000: a /",
    );
    assert_eq!(short(&["--fail-on", "p99<fast"]).status.code(), Some(2));
    let merged = loadtest(&["merge", &first, &second, "-o", &both]);
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let text = |output: Output| String::from_utf8(output.stdout).unwrap();
    assert!(text(loadtest(&["show", &both])).contains("verdict"));
    assert!(text(loadtest(&["compare", &first, &second])).starts_with("a / with 1 connection, keep-alive: "));
    one_line(&loadtest(&["merge", &first, &first]), 2, "same run twice");
    one_line(&loadtest(&["show", &csv]), 2, "1.csv");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn goals_are_judged_at_the_end_and_decide_the_exit_code() {
    let folder = empty_folder("goals");
    let file = folder.join("results.json").to_str().unwrap().to_owned();
    write_run(file.as_ref(), "r", |_| {}); // pool needs 2.18 times epoll's CPU time; that of plain is not known
    let show = |goals: &str| {
        let output = loadtest(&["show", &file, "--at-most", goals]);
        let text = String::from_utf8(output.stdout).unwrap();
        let goals = text.split_once("\nGoals (CPU time a request)\n").expect("goals come last").1;
        (output.status.code(), goals.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (code, lines) = show("pool/epoll=2.5,epoll/pool=0.6");
    assert_eq!((code, lines.len()), (Some(0), 2), "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with(": reached")), "{lines:?}");
    let (code, lines) = show("pool/epoll=1.5,pool/epoll=2.5,plain/epoll=9");
    assert_eq!((code, lines.len()), (Some(4), 3), "{lines:?}");
    assert!(lines[0].ends_with("at most 1.5: not reached") && lines[1].ends_with(": reached"), "{lines:?}");
    let why = "at most 9: cannot be told: plain: the target has neither --metrics nor --target-pid";
    assert!(lines[2].ends_with(why), "{lines:?}");
    one_line(&loadtest(&["show", &file, "--at-most", "epoll/nginx=1"]), 2, "it has epoll, pool, plain");
    assert!(!String::from_utf8(loadtest(&["show", &file]).stdout).unwrap().contains("Goals"));

    let url = server(|_| ok("hi"));
    let targets = format!("--target=a=http://{url},b=http://{url}");
    let run = |more: &[&str]| loadtest(&[&[targets.as_str(), "-d", "500ms", "-c", "1", "-t", "1"], more].concat());
    let told = run(&["--at-most", "a/b=1"]);
    let text = String::from_utf8(told.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(told.status.code(), Some(4), "{text}");
    assert!(last.contains("at most 1: cannot be told: a: the target has neither"), "{text}");
    one_line(&run(&["--quiet", "--at-most", "a/b=1"]), 4, "--at-most: a / b at / with 1 connection");
    one_line(&run(&["--at-most", "a/c=1"]), 2, "the run has no target 'c'; it has a, b");
    one_line(&run(&["--at-most", "a/b=1", "--idle", "1"]), 2, "give one, as in --load '/ -c 64'");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A run of one second's trial that is not of the machine of the tests, as a file.
fn write_run(path: &Path, run_id: &str, change: impl FnOnce(&mut results::Results)) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/results/tests/golden/closed.json");
    let mut run = results::Results::load(&golden).unwrap();
    run.run_id = run_id.into();
    change(&mut run);
    run.write(&mut std::fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn runs_of_different_experiments_are_compared_only_if_asked() {
    let folder = empty_folder("compare");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (first, second, other) = (path("1"), path("2"), path("3"));
    write_run(first.as_ref(), "r", |_| {});
    write_run(second.as_ref(), "s", |_| {});
    write_run(other.as_ref(), "t", |run| {
        run.machine.host = Some("other".into());
        run.settings.threads = 2;
    });
    let same = loadtest(&["compare", &first, &second]);
    assert!(same.status.success() && same.stderr.is_empty(), "{same:?}");
    let refused = loadtest(&["compare", &first, &other]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{why}");
    let lines: Vec<&str> = why.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("--anyway"), "{why}");
    assert_eq!(lines[1..], ["  host: golden and other", "  threads: 1 and 2"]);
    let anyway = loadtest(&["compare", &first, &other, "--anyway"]);
    assert_eq!(anyway.status.code(), Some(0), "{anyway:?}");
    let printed = String::from_utf8(anyway.stdout).unwrap();
    let above =
        "no fair comparison, so a change may have another cause:\n  host: golden and other\n  threads: 1 and 2\n\n";
    assert_eq!(printed.strip_prefix(above), Some(String::from_utf8(same.stdout).unwrap().as_str()));
    // What else differs is told, but does not keep the runs from being compared or merged.
    let (one, two) = (path("4"), path("5"));
    let of_commit = |file: &str, run_id: &str, commit: &str| {
        write_run(file.as_ref(), run_id, |run| drop(run.machine.provenance.insert("commit".into(), commit.into())));
    };
    of_commit(&one, "u", "1f2e");
    of_commit(&two, "v", "9a8b");
    let compared = loadtest(&["compare", &one, &two]);
    let printed = String::from_utf8(compared.stdout).unwrap();
    let above = "the circumstances differ, which may be the cause of a change:\n  commit: 1f2e and 9a8b\n\n";
    assert!(compared.status.success() && printed.starts_with(above), "{printed}");
    let merged = loadtest(&["merge", &one, &two]);
    let warned = String::from_utf8(merged.stderr).unwrap();
    let warning = "warning: the runs were not made under the same circumstances: commit: 1f2e and 9a8b\n";
    assert_eq!((merged.status.code(), warned.as_str()), (Some(0), warning));
    let twice = loadtest(&["compare", &first, &first]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("both have the trials of run r"), "{twice:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_merge_by_root_writes_as_the_owner_of_the_results() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can become another user");
    }
    let folder = empty_folder("owner");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let results = path("results");
    std::fs::create_dir(&results).unwrap();
    write_run(path("results/1").as_ref(), "r", |_| {});
    write_run(path("results/2").as_ref(), "s", |_| {});
    std::fs::write(path("like"), "").unwrap();
    chown(path("like"), Some(12345), Some(54321)).unwrap();
    // The paths are relative, as in the container, where root owns the folder that Docker has made.
    let merge = |output: &str| {
        let mut merge = program();
        merge.current_dir(&folder).args(["merge", "results/1", "results/2", "-o", output]);
        merge.env("LOADTEST_RESULTS", "./results").env("LOADTEST_OWNER", "like").output().unwrap()
    };
    let merged = merge("results/m.json");
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let owner = |name: &str| std::fs::metadata(path(name)).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!((owner("results"), owner("results/m.json")), ((12345, 54321), (12345, 54321)));
    assert_eq!(merge("results/m.json").status.code(), Some(0), "it can be replaced");
    one_line(&merge("m.json"), 2, "name a place that you may write to");
    std::fs::remove_dir_all(folder).unwrap();
}
