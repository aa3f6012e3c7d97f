//! Tests of the page /account: CPU time and replies, read at the same moment.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use process_tree::Account;

use crate::running::{RunningService, get, start, wait_for};

crate::tests![an_account_has_what_was_served_and_what_it_has_cost, the_counters_of_an_account_never_go_backwards,];

fn an_account_has_what_was_served_and_what_it_has_cost() {
    let service = start("plain", &[]);
    let before = service.account();
    assert_eq!((before.replies_before, before.replies_after), (0, 0));
    for _ in 0..3 {
        get(service.listen, "/burn/50").unwrap();
    }
    // The service counts a reply after the client has received it.
    wait_for("the third reply to be counted", || service.account().replies_after == 3);
    let after = service.account();
    assert_eq!((after.replies_before, after.replies_after), (3, 3));
    let cpu = Duration::from_nanos(after.cpu_ns - before.cpu_ns);
    assert!((150..300).contains(&cpu.as_millis()), "3 × 50 ms were burnt, {cpu:?} are reported");
    assert!(after.supervisor_cpu_ns > before.supervisor_cpu_ns);
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_nanos() as u64;
    assert!(before.monotonic_ns < after.monotonic_ns && after.monotonic_ns < now, "it is the clock of all processes");
    get(service.listen, "/take/1").unwrap();
    assert_eq!(service.account().syscalls, after.syscalls + 1);
    assert_eq!(after.boot_id.as_deref(), service.info()["boot_id"].as_str());
    assert_eq!(after.cpu_source, "clocks+wait4");
}

fn the_counters_of_an_account_never_go_backwards() {
    let service = start("plain", &[]);
    let mut last = service.account();
    let mut next = |service: &RunningService| {
        let now = service.account();
        let counters = |account: &Account| {
            [account.monotonic_ns, account.cpu_ns, account.supervisor_cpu_ns, account.replies_before, account.syscalls]
        };
        assert!(counters(&last).iter().zip(counters(&now)).all(|(last, now)| *last <= now), "{last:?} then {now:?}");
        assert!(last.replies_after <= now.replies_before && now.replies_before <= now.replies_after, "{now:?}");
        last = now;
    };
    for _ in 0..3 {
        get(service.listen, "/burn/20").unwrap();
        get(service.listen, "/orphan").unwrap();
        next(&service);
        let model = service.model().unwrap();
        nix::sys::signal::kill(model, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for("a new model process", || {
            next(&service); // also while there is none
            service.model().is_some_and(|now| now != model)
        });
    }
}
