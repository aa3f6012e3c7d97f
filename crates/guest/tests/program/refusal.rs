//! What cannot start: the program prints one line that says what to do, starts nothing, and exits with code 2.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::running::{HYPER, command, error_line, output, start};

#[test]
fn wrong_arguments_are_answered_by_one_line() {
    for (args, begin, what) in [
        (&[][..], "guest: ", "name a guest: there are nginx, "),
        (&["no-such-guest"], "guest: ", "no guest no-such-guest: there are nginx, "),
        (&["--guest", "mine=./server"], "guest: ", "does not say where {port} goes"),
        (&["--guest", "mine='./server {port}"], "guest: ", "a quotation mark in its command is not closed"),
        (&["--guest", HYPER, "nginx"], "guest: ", "cannot be used with"),
        (&["--guest", HYPER, "--guests-file", "x"], "guest: ", "cannot be used with"),
        (&["--guests-file", "/nowhere/at/all.toml", "x"], "guest: ", "/nowhere/at/all.toml: No such file"),
        (
            &["--guest", "mine=./server {port} {prot}"],
            "guest: ",
            "{prot} stands for nothing: there are {port}, {address}, ",
        ),
        (&["hyper", "--threads", "0"], "guest: ", "--threads"),
        (&["hyper", "--threds", "1"], "guest: ", "--threads"),
        (&["hyper", "--listen", "8080"], "guest: ", "ADDRESS:PORT"),
        (&["hyper", "--grace", "10"], "guest: ", "10s"),
        (&["hyper", "--log", "/nowhere/at/all.log"], "guest: ", "--log /nowhere/at/all.log: No such file"),
        (&["hyper", "--files", "/nowhere/at/all"], "hyper: ", "--files /nowhere/at/all: there is no such directory"),
        (&["hyper", "--admin", "192.0.2.1:9080"], "hyper: ", "192.0.2.1:9080 is no address of this machine"),
        (&["--guest", "mine=no-such-program {port}"], "mine: ", "there is no program no-such-program"),
        (&["--guest", "mine=./no-such-program {port}"], "mine: ", "there is no program ./no-such-program"),
        (&["--guest", "mine=/etc/passwd {port}"], "mine: ", "/etc/passwd is not executable: change that with chmod +x"),
    ] {
        let line = error_line(args);
        assert!(line.starts_with(begin) && line.contains(what), "{args:?}: {line}");
        assert!(!line.contains("mine: mine:"), "{line}");
    }
    assert!(error_line(&["hyper", "--threads", "0"]).contains("(see guest --help)"));
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let line = error_line(&["hyper", flag, &taken]);
        let what = format!("hyper: {taken} is in use: stop what listens there, or choose another port with {flag}\n");
        assert_eq!(line, what);
    }
}

#[test]
fn a_relative_path_begins_at_the_current_directory() {
    // The tests run in the folder of their crate, where there is this file without permission to execute it.
    let line = error_line(&["--guest", "mine=./Cargo.toml {port}"]);
    assert_eq!(line, "mine: ./Cargo.toml is not executable: change that with chmod +x\n");
}

#[test]
fn one_of_several_guests_of_a_file_has_to_be_named() {
    let path = format!("{}/several-{}.toml", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, "[one]\ncommand = 'x {port}'\n[two]\ncommand = 'x {port}'\n").unwrap();
    let lines = [error_line(&["--guests-file", &path]), error_line(&["--guests-file", &path, "three"])];
    std::fs::remove_file(&path).unwrap();
    let there_are = "there are one, two\n";
    let example = format!("guest --guests-file {path} one");
    assert_eq!(lines[0], format!("guest: write a name after the file, as in {example}: {there_are}"));
    assert_eq!(lines[1], format!("guest: no guest three in {path}: {there_are}"));
}

#[test]
fn a_folder_for_the_guest_that_cannot_be_made_is_named_with_the_variable() {
    let (mut command, traces) = command(&["hyper"]);
    let output = command.env("TMPDIR", "/nowhere/at/all").output().unwrap();
    drop(traces);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("hyper: cannot make /nowhere/at/all/io-models-guest-XXXXXX: "), "{line}");
    assert!(line.contains(": set TMPDIR to a directory ") && line.lines().count() == 1, "{line}");
}

#[test]
fn what_the_kernel_cannot_execute_is_not_started_again() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no-program-{}", std::process::id()));
    // A shell writes it: a child that another test forks just then would have a file of our own open for writing (ETXTBSY).
    let write = "echo '#!/nowhere/at/all' > \"$0\" && chmod 755 \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&path).status().unwrap().success());
    let ended = start(&["--guest", &format!("mine={} {{port}}", path.display())]).wait_for_exit();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let line = format!("mine: cannot run {}: No such file or directory (os error 2)\n", path.display());
    assert_eq!(ended.stderr, line);
}

#[test]
fn help_and_version_exit_with_success() {
    let help = output(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let help = String::from_utf8(help.stdout).unwrap();
    for words in ["Usage: guest ", "--guest <NAME=COMMAND>", "--guests-file", "--once", "[env: LISTEN", "healthcheck"] {
        assert!(help.contains(words), "{help}");
    }
    let version = output(&["--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("guest {}\n", env!("CARGO_PKG_VERSION")));
}
