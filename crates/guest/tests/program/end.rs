//! How guests end, and that nothing of them is left: each test looks for processes, folders and control groups afterwards.

use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::running::{HYPER, PROGRAM, get, start, wait_for};

#[test]
fn a_guest_that_exits_at_once_ends_the_service_with_once() {
    let ended = start(&["--guest", "short=sh -c 'exit 3' {port}", "--once"]).wait_for_exit();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "short: the guest's process exited with code 3\n");
}

#[test]
fn a_guest_that_goes_into_the_background_is_killed_with_a_line_that_says_what_to_do() {
    for once in [&[][..], &["--once"]] {
        let daemon = "daemon=sh -c 'sleep 600 & setsid sleep 600 & exit 0' {port}";
        let ended = start(&[&["--guest", daemon], once].concat()).wait_for_exit();
        assert_eq!(ended.code, Some(1));
        let line = "exited with code 0 and left others behind: tell it to stay in the foreground";
        assert_eq!(ended.stderr, format!("daemon: the guest's process {line}\n"));
    }
}

#[test]
fn a_guest_that_exits_with_success_is_told_to_stay() {
    let short = ["--guest", "short=sh -c 'exit 0' {port}"];
    let ended = start(&[&short[..], &["--once"]].concat()).wait_for_exit();
    assert_eq!(ended.code, Some(1));
    let line = "short: the guest's process exited with code 0: it has to stay in the foreground and serve";
    assert_eq!(ended.stderr, format!("{line}\n"));
    let guest = start(&short);
    wait_for("a restart", || guest.metric("server_restarts_total").is_some_and(|restarts| restarts >= 1.0));
    let ended = guest.stop();
    assert!(ended.stderr.starts_with(&format!("{line}; it is restarted now\n")), "{}", ended.stderr);
}

#[test]
fn a_guest_that_ignores_sigterm_is_killed_after_the_grace_period_with_its_tree() {
    let deaf = "deaf=sh -c 'trap \"\" TERM; sleep 600 & setsid sleep 600 & wait; wait' {port}";
    let guest = start(&["--guest", deaf, "--grace", "200ms"]);
    guest.wait_for_guests(3);
    let ended = guest.stop();
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        "deaf: stopping, with 200ms to finish\ndeaf: the grace period is over: the guest is killed\n"
    );
}

#[test]
fn a_second_signal_kills_a_guest_that_ignores_sigterm() {
    let guest = start(&["--guest", "deaf=sh -c 'trap \"\" TERM; sleep 600; sleep 600' {port}", "--grace", "10m"]);
    guest.wait_for_guests(2);
    guest.signal(Signal::SIGTERM);
    wait_for("the stop", || guest.page("/healthz") == (503, "stopping\n".into()));
    // Signals count as one request for a quarter of a second, so it is sent until it counts as the second.
    let pid = guest.pid();
    let again = std::thread::spawn(move || {
        wait_for("the end", || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            kill(pid, Signal::SIGTERM).is_err() || is_zombie(pid)
        })
    });
    let ended = guest.wait_for_exit();
    again.join().unwrap();
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.ends_with("deaf: told to stop again: the guest is killed\n"), "{}", ended.stderr);
}

fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn children_that_outlive_the_guest_are_killed() {
    // The shell ends at SIGTERM, and its children do not.
    let guest = start(&["--guest", "parent=sh -c 'setsid sleep 600 & sleep 600 & wait' {port}"]);
    guest.wait_for_guests(3);
    let ended = guest.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn children_of_a_crashed_guest_do_not_meet_the_next_one() {
    let guest = start(&["--guest", "parent=sh -c 'setsid sleep 600 & wait' {port}"]);
    let before = guest.wait_for_guests(2);
    kill(guest.main().unwrap(), Signal::SIGKILL).unwrap();
    wait_for("the next guest", || {
        let now = guest.guests();
        now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
    });
    assert_eq!(guest.stop().code, Some(0));
}

#[test]
fn a_guest_that_prints_a_lot_holds_up_no_page_and_no_stop() {
    // The test does not read what it prints, so the pipe is full soon.
    let mut guest = start(&["--guest", "loud=sh -c 'while :; do echo 0123456789 0123456789 0123456789; done' {port}"]);
    let _pipe = guest.stop_reading();
    for _ in 0..100 {
        assert_eq!(guest.page("/healthz"), (503, "starting\n".into()));
    }
    wait_for("the guest to wait for the pipe", || guest.main().is_some_and(waits_for_a_pipe));
    assert_eq!(guest.page("/healthz").0, 503);
    assert_eq!(guest.stop().code, Some(0));
}

fn waits_for_a_pipe(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") S "))
}

#[test]
fn what_a_guest_prints_is_appended_to_its_log() {
    let log = format!("{}/loud-{}.log", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&log, "before\n").unwrap();
    let loud = "loud=sh -c 'echo out; echo err >&2; exit 3' {port}";
    let ended = start(&["--guest", loud, "--log", &log, "--once"]).wait_for_exit();
    assert_eq!(ended.stderr, "loud: the guest's process exited with code 3\n");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "before\nout\nerr\n");
    std::fs::remove_file(log).unwrap();
}

#[test]
fn a_guest_that_is_down_can_be_stopped() {
    let guest = start(&["--guest", "crashing=sh -c 'exit 3' {port}"]);
    wait_for("long delays", || guest.metric("server_restarts_total").is_some_and(|restarts| restarts >= 4.0));
    wait_for("a delay", || guest.page("/healthz").1 == "restarting\n");
    let ended = guest.stop();
    // It may be started once more just before the signal.
    let last = ended.stderr.lines().last().unwrap();
    match ended.code {
        Some(1) => assert_eq!(last, "crashing: stopped while the guest was down"),
        code => assert_eq!((code, last), (Some(0), "crashing: stopping, with 10s to finish")),
    }
}

#[test]
fn a_guest_ends_with_a_supervisor_that_is_killed() {
    let guest = start(&["--guest", HYPER]);
    guest.wait_until_healthy();
    let traces = guest.kill();
    wait_for("the guest to end", || traces.processes().is_empty());
}

#[test]
fn a_shell_ends_with_a_killed_supervisor_and_so_does_what_it_executes() {
    let guest = start(&["--guest", &format!("shell=sh -c 'exec {PROGRAM} be hyper 127.0.0.1:{{port}}'")]);
    guest.wait_until_healthy();
    let traces = guest.kill();
    wait_for("the guest to end", || traces.processes().is_empty());
}

#[test]
fn hyper_without_a_free_descriptor_goes_on_when_it_has_one_again() {
    let few = format!("few=sh -c 'ulimit -n 32; exec {PROGRAM} be hyper 127.0.0.1:{{port}}'");
    let guest = start(&["--guest", &few]);
    guest.wait_until_healthy();
    let pid = guest.main().unwrap();
    let connections = [(); 64].map(|()| TcpStream::connect(guest.listen).unwrap());
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    wait_for("the last descriptor to be taken", || open() >= 32); // more, if this test has inherited one with a higher number
    drop(connections);
    assert_eq!(get(guest.listen, "/").unwrap(), (200, "Hello World\n".into()));
    assert_eq!(guest.main(), Some(pid), "it is the same process");
    assert_eq!(guest.stop().code, Some(0));
}

#[test]
fn ctrl_c_stops_a_guest() {
    let guest = start(&["--guest", HYPER]);
    guest.wait_until_healthy();
    guest.signal(Signal::SIGINT);
    let ended = guest.wait_for_exit();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), "tiny: stopping, with 10s to finish\n"));
}
