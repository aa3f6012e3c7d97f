//! What a guest is charged with: its whole process tree, also children for which it does not wait.

use std::time::Duration;

use crate::running::{start, wait_for};

/// A process that works until `times` says that it has used 400 ms of user time, and then says how much it has used: user and
/// system time of its own in the first line of `times`. (In `$(times)` the shell would say the times of another process.)
const CHILD: &str = "\
own=
until case $own in '' | 0m0.[0-3]*) false ;; esac; do
    i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done
    times >$0.times; read own rest <$0.times
done
rm $0.times
times
echo done
";

/// Starts a shell that runs `script`, in which `CHILD` is the process above. Returns the CPU time that this process has used, and
/// that which the guest is charged with; `None` if the service may not make a control group.
fn used_and_charged(name: &str, script: &str) -> Option<(Duration, Duration)> {
    let path = |suffix| format!("{}/{name}-{}.{suffix}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let (child, log) = (path("sh"), path("log"));
    std::fs::write(&child, CHILD).unwrap();
    let script = script.replace("CHILD", &format!("sh {child}"));
    let guest = start(&["--guest", &format!("{name}=sh -c '{script}' {{port}}"), "--log", &log]);
    wait_for("the child", || std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with("done\n")));
    let account = guest.account();
    assert_eq!(guest.stop().code, Some(0));
    let used = own_time(&std::fs::read_to_string(&log).unwrap());
    [child, log].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    if account.cpu_source == "cgroup" {
        return Some((used, Duration::from_nanos(account.cpu_ns)));
    }
    println!("skipped: the service may not make a control group");
    None
}

/// User and system time in the first line of `times`, as in `0m0.420000s 0m0.010000s`. They are whole clock ticks, rounded down.
fn own_time(times: &str) -> Duration {
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    Duration::from_secs_f64(times.lines().next().unwrap().split_whitespace().map(seconds).sum())
}

fn check(name: &str, script: &str) {
    let Some((used, charged)) = used_and_charged(name, script) else { return };
    assert!(used > Duration::from_millis(100), "{used:?} are too little to compare");
    // The shells and their starts cost something, too. A child that is charged twice costs more than that.
    let most = used.mul_f64(1.4) + Duration::from_millis(40);
    assert!(used <= charged && charged < most, "the child has used {used:?}, the guest is charged with {charged:?}");
}

#[test]
fn a_child_that_the_guest_waits_for() {
    check("waited", "CHILD; sleep 600");
}

#[test]
fn a_child_that_the_guest_never_waits_for() {
    check("zombie", "CHILD & exec sleep 600");
}

#[test]
fn a_child_that_the_kernel_reaps_because_the_guest_ignores_sigchld() {
    check("ignored", "trap \"\" CHLD; CHILD & exec sleep 600");
}

#[test]
fn a_child_that_has_left_the_guest() {
    check("orphan", "(setsid CHILD &); exec sleep 600");
}
