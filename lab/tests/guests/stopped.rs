//! Guests that are stopped, and `lab serve`.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::common::text;
use crate::processes::{children, ends, folder, interrupt};
use crate::run::{assert_none_left, hyper_after, lab_in, left, processes};

/// Waits until the guest of the lab in this folder runs. Its command line begins so, and has its port.
fn wait_for(temporary: &Path, words: &str, lab: &mut Child) {
    let is_guest = |process: &String| process.contains(words) && !process.contains("{port}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !processes(temporary).iter().any(is_guest) {
        assert!(lab.try_wait().expect("its state").is_none(), "the lab has ended");
        assert!(Instant::now() < deadline, "{words} does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_while_a_guest_starts_leaves_nothing() {
    let temporary = folder("guests-interrupted");
    let args = [
        "--models",
        "none",
        "--guest",
        "mine=sh -c 'echo it starts {port}; exec sleep $((600 + 1))'",
        "--workload",
        "/",
        "--json",
        "/dev/null",
    ];
    let mut run = lab_in(&temporary, &args).spawn().expect("the lab runs");
    wait_for(&temporary, "sleep 601", &mut run);
    let services = children(run.id());
    assert!(!services.is_empty());
    interrupt(&run);
    let ended = run.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    assert!(!text(&ended.stderr).contains("mine: "), "{}", text(&ended.stderr));
    assert!(services.into_iter().all(ends));
    assert_none_left(&temporary);
    assert!(left(&temporary).is_empty(), "{:?}", left(&temporary));
}

#[test]
fn a_lab_that_is_killed_takes_its_guest_with_it() {
    let temporary = folder("guests-killed");
    let args = ["--models", "none", "--guest", "mine=sleep 602 {port}", "--workload", "/", "--json", "/dev/null"];
    let mut run = lab_in(&temporary, &args).spawn().expect("the lab runs");
    wait_for(&temporary, "sleep 602", &mut run);
    run.kill().expect("killed");
    run.wait().expect("it has ended");
    assert_none_left(&temporary);
    assert!(left(&temporary).is_empty(), "{:?}", left(&temporary));
}

#[test]
fn serve_keeps_a_guest_running_and_passes_on_what_it_writes() {
    let temporary = folder("guests-served");
    let guest = hyper_after("mine", "echo it starts;");
    let args = ["serve", "--models", "none", "--guest", &guest, "--port", "0", "--admin-port", "0"];
    let mut serve = lab_in(&temporary, &args).spawn().expect("the lab runs");
    let mut lines = BufReader::new(serve.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let started = lines.next().expect("a line for the guest");
    let address = started.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    assert!(started.starts_with("mine "), "{started}");
    TcpStream::connect(address).expect("it listens");
    interrupt(&serve);
    let ended = serve.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("mine: it starts\n"), "{}", text(&ended.stderr));
    assert_none_left(&temporary);
    TcpStream::connect(address).expect_err("it does not listen any more");
    assert!(left(&temporary).is_empty(), "{:?}", left(&temporary));
}
