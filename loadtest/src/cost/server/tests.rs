//! Tests of the figures with readings that are given.

use super::*;
use crate::cost::kernel_memory::{Baseline, KernelGrowth};
use crate::cost::spent::Spent;
use process_tree::BusyTimes;
use std::time::Instant;

/// What a target on CPU 0 of this machine has used at the second `n`: half of the CPU, for 1,000 replies a second.
pub(in crate::cost) fn spent(n: u64) -> Spent {
    Spent {
        at: Duration::from_secs(n),
        cpu: Duration::from_millis(500 * n),
        supervisor_cpu: Some(Duration::from_millis(n)),
        replies: (1_000 * n, 1_000 * n),
        syscalls: Some(3_000 * n),
        throttled: Some(Duration::from_millis(20 * n)),
        lacks_ended_children: false,
        source: "a test".into(),
        cpus: vec![0],
        place: Place::Here,
    }
}

fn moment(spent: Spent) -> Moment {
    Moment { spent: Ok(spent), at: Instant::now(), busy: None, disks: None, own_cpu: Duration::ZERO }
}

fn snapshot(n: f64) -> Snapshot {
    Snapshot {
        replies: Some(1_000.0 * n),
        user: Some(n),
        system: Some(3.0 * n),
        memory: Some(1e6 * n),
        memory_source: Some("pss".into()),
        peak_memory: Some(2e6 * n),
        threads: Some(n),
        minor_faults: Some(500.0 * n),
        ..Snapshot::default()
    }
}

/// So many connections, all of them answered.
fn answered(answered: u64) -> Connections {
    Connections { answered, unanswered: 0 }
}

fn readings() -> Readings {
    Readings {
        idle: snapshot(1.0),
        warm: snapshot(2.0),
        loaded: vec![snapshot(3.0), snapshot(9.0), snapshot(5.0)],
        begin: moment(spent(1)),
        end: moment(spent(3)),
        throttled: None,
        cpu_pressure: None,
        kernel: Ok(KernelGrowth { before: Baseline { bytes: 0, drift: 0 }, loaded: 9_000_000, own_end: 1_000.0 }),
        cpus_allowed: None,
        generator_cpus: vec![1],
        why_missing: "not known".into(),
    }
}

#[test]
fn cpu_and_replies_are_those_of_the_same_two_moments() {
    let cost = readings().server_cost(answered(1_000));
    assert_eq!((cost.cpu_us_per_request, cost.cpus_used), (Ok(500.0), Ok(0.5)));
    assert_eq!((cost.syscalls_per_request, cost.supervisor_cpus_used), (Ok(3.0), Ok(0.001)));
    // The snapshots know a quarter and three quarters, in clock ticks.
    assert_eq!((cost.user_us_per_request, cost.system_us_per_request), (Ok(125.0), Ok(375.0)));
    assert_eq!(cost.minor_faults_per_request, Ok(0.5), "of the snapshots' own replies");
    assert_eq!(cost.major_faults_per_request, Err("not known".into()));
    assert_eq!(sources(&Costs(Ok(readings())))["server.cpu_us_per_request"], "a test");
}

#[test]
fn more_cpu_than_the_target_may_use_is_no_figure() {
    let mut all = readings();
    let used = |ms: u64| Spent { cpu: Duration::from_millis(500 + 2 * ms), ..spent(3) };
    all.end = moment(used(1_010));
    assert_eq!(all.server_cost(answered(4)).cpus_used, Ok(1.01));
    all.end = moment(used(1_024));
    assert_eq!(all.server_cost(answered(4)).cpus_used, Ok(1.024), "a clock tick of 10 ms in 2 s");
    all.end = moment(used(1_310));
    let cost = all.server_cost(answered(4));
    let why = || Err("used 1.31 of 1 CPU: the two readings do not belong together".into());
    assert_eq!((cost.cpus_used, cost.cpu_us_per_request, cost.user_us_per_request), (why(), why(), why()));
    assert_eq!((cost.syscalls_per_request, cost.threads), (Ok(3.0), Ok(5.0)));
    all.end = moment(Spent { cpus: vec![0, 1], ..used(1_310) });
    assert_eq!(all.server_cost(answered(4)).cpus_used, Ok(1.31));
    // A target that does not say its CPUs: what is known of it otherwise.
    (all.end, all.cpus_allowed) = (moment(Spent { cpus: vec![], ..used(1_310) }), Some(1));
    assert_eq!(all.server_cost(answered(4)).cpus_used, why());
}

#[test]
fn replies_that_came_meanwhile_leave_no_figure_a_request() {
    let mut all = readings();
    all.begin = moment(Spent { replies: (990, 1_010), ..spent(1) });
    assert_eq!(all.server_cost(answered(4)).cpu_us_per_request, Ok(500.0), "1 % of the window's 2,000 are allowed");
    all.begin = moment(Spent { replies: (989, 1_011), ..spent(1) });
    let cost = all.server_cost(answered(4));
    let why = || Err("22 replies came while the CPU time was read, more than 1 % of the window's 2000".into());
    assert_eq!((cost.cpu_us_per_request, cost.syscalls_per_request), (why(), why()));
    assert_eq!(cost.cpus_used, Ok(0.5));
    all.end = moment(Spent { replies: (1_000, 1_000), ..spent(3) });
    assert_eq!(all.server_cost(answered(4)).cpu_us_per_request, Err("no request was answered".into()));
}

#[test]
fn a_guest_has_its_cpu_time_and_no_system_calls() {
    let mut all = readings();
    let guest = |n| moment(Spent { syscalls: None, ..spent(n) });
    (all.begin, all.end) = (guest(1), guest(3));
    let cost = all.server_cost(answered(4));
    assert_eq!((cost.cpu_us_per_request, cost.supervisor_cpus_used), (Ok(500.0), Ok(0.001)));
    assert_eq!(cost.syscalls_per_request, Err("only the lab's models count their system calls".into()));
}

#[test]
fn a_service_that_answers_without_a_call_of_its_own_has_a_library_that_makes_them() {
    let mut all = readings();
    let framework = |n| moment(Spent { syscalls: Some(0), ..spent(n) });
    (all.begin, all.end) = (framework(1), framework(3));
    let why = "a library makes its system calls, and does not count them";
    assert_eq!(all.server_cost(answered(4)).syscalls_per_request, Err(why.into()));
}

#[test]
fn extrapolated_counters_have_no_difference() {
    let mut all = readings();
    all.loaded[2].memory_source = Some("pss-sampled".into());
    let cost = all.server_cost(answered(4));
    assert!(cost.minor_faults_per_request.unwrap_err().starts_with("there were too many processes"));
    assert_eq!((cost.cpu_us_per_request, cost.syscalls_per_request), (Ok(500.0), Ok(3.0)));
}

#[test]
fn a_few_clock_ticks_are_no_split() {
    let mut all = readings();
    let last = &mut all.loaded[2];
    (last.user, last.system) = (Some(2.05), Some(6.14));
    let why = all.server_cost(answered(4)).user_us_per_request.unwrap_err();
    assert!(why.ends_with("and 190 ms have too few of them"), "{why}");
    all.loaded[2].system = Some(6.15);
    assert_eq!(all.server_cost(answered(4)).user_us_per_request.map(f64::round), Ok(125.0));
}

#[test]
fn levels_are_medians_of_the_snapshots_under_load() {
    let cost = readings().server_cost(answered(1_000));
    assert_eq!((cost.memory_bytes, cost.threads), (Ok(5e6), Ok(5.0)));
    assert_eq!(cost.processes, Err("not known".into()));
}

#[test]
fn memory_a_connection_is_user_and_kernel() {
    let mut all = readings();
    let cost = all.server_cost(answered(1_000));
    assert_eq!(cost.user_memory_bytes_per_connection, Ok(4_000.0));
    assert_eq!((cost.kernel_memory_bytes, cost.kernel_memory_bytes_per_connection), (Ok(8e6), Ok(8_000.0)));
    assert_eq!(cost.memory_bytes_per_connection, Ok(12_000.0));
    all.idle.memory = Some(5e6 + 65_536.0);
    assert_eq!(all.server_cost(answered(1_000)).user_memory_bytes_per_connection, Ok(0.0), "within the noise");
    all.idle.memory = Some(6e6);
    let cost = all.server_cost(answered(1_000));
    assert_eq!(cost.memory_bytes_per_connection, Err("memory shrank under load".into()));
    assert_eq!(cost.kernel_memory_bytes_per_connection, Ok(8_000.0));
    all.loaded[0].memory_source = Some("cgroup".into());
    let why = all.server_cost(answered(1_000)).user_memory_bytes_per_connection.unwrap_err();
    assert!(why.ends_with("the kernel's part included"), "{why}");
}

#[test]
fn memory_a_connection_is_not_told_where_its_process_was_there_before() {
    let mut all = readings();
    all.idle.threads = Some(1_000.0);
    let cost = all.server_cost(answered(1_000));
    let why = || Err("a process or thread for each connection was there before the connections".into());
    assert_eq!((cost.user_memory_bytes_per_connection, cost.memory_bytes_per_connection), (why(), why()));
    assert_eq!(cost.kernel_memory_bytes, Ok(8e6));
    assert!(all.server_cost(answered(1_001)).memory_bytes_per_connection.is_ok(), "one of them has none yet");
    all.idle.threads = Some(31.0);
    assert!(all.server_cost(answered(1)).memory_bytes_per_connection.is_ok(), "they may be there for anything");
}

#[test]
fn memory_a_connection_is_told_only_where_the_target_has_answered_nearly_all() {
    let all = readings();
    // A pool of workers holds some connections, the others wait in the backlog: of each there is an end here.
    let cost = all.server_cost(Connections { answered: 256, unanswered: 744 });
    let why = || Err("the target answered 256 of 1000 connections, so it is not known what the others take".into());
    assert_eq!((cost.user_memory_bytes_per_connection, cost.kernel_memory_bytes_per_connection), (why(), why()));
    assert_eq!((cost.memory_bytes_per_connection, cost.kernel_memory_bytes), (why(), Ok(8e6)));
    let cost = all.server_cost(Connections { answered: 990, unanswered: 10 });
    assert_eq!(cost.user_memory_bytes_per_connection, Ok(4e6 / 990.0));
    assert!(all.server_cost(Connections { answered: 989, unanswered: 11 }).memory_bytes_per_connection.is_err());
    let cost = all.server_cost(answered(0));
    assert_eq!(cost.user_memory_bytes_per_connection, Err("no request was answered".into()));
}

#[test]
fn the_kernels_memory_is_told_of_this_machine_only() {
    for (place, expected) in [(Place::Elsewhere, "on another machine"), (Place::Unknown, "does not say whether")] {
        let mut all = readings();
        all.end = moment(Spent { place, ..spent(3) });
        let cost = all.server_cost(answered(1_000));
        assert!(cost.kernel_memory_bytes.unwrap_err().contains(expected));
        assert!(cost.memory_bytes_per_connection.unwrap_err().contains(expected));
        assert_eq!(cost.user_memory_bytes_per_connection, Ok(4_000.0));
        let machine = all.machine_use();
        assert!(machine.foreign_on_server_cpus.is_err());
    }
}

#[test]
fn a_peak_of_an_earlier_trial_is_not_this_trials() {
    let mut all = readings();
    assert_eq!(all.server_cost(answered(4)).peak_memory_bytes, Ok(1e7));
    for snapshot in &mut all.loaded {
        snapshot.peak_memory = Some(2e6); // as before the load
    }
    assert_eq!(all.server_cost(answered(4)).peak_memory_bytes, Ok(9e6), "the highest of the snapshots");
}

#[test]
fn counters_that_restart_have_no_cost() {
    let why = || Err("the target's counters restarted within the trial".into());
    let mut all = readings();
    all.loaded[2].minor_faults = Some(1.0);
    let cost = all.server_cost(answered(4));
    assert_eq!((cost.cpu_us_per_request, cost.memory_bytes), (why(), why()));
    all = readings();
    for restarted in [
        Spent { cpu: Duration::ZERO, ..spent(3) },
        Spent { replies: (7, 7), ..spent(3) },
        Spent { supervisor_cpu: Some(Duration::ZERO), ..spent(3) },
    ] {
        all.end = moment(restarted);
        assert_eq!(all.server_cost(answered(4)).cpu_us_per_request, why());
    }
}

#[test]
fn the_share_of_throttled_time_is_of_the_window() {
    let mut all = readings();
    all.end.at = all.begin.at + Duration::from_secs(2);
    all.throttled = Some(Duration::from_millis(100));
    let machine = all.machine_use();
    assert_eq!((machine.server_throttled, machine.client_throttled), (Ok(0.02), Ok(0.05)));
    assert!(machine.cpu_pressure.unwrap_err().contains("/proc/pressure/cpu"));
    assert_eq!(machine.foreign_on_server_cpus, Err("/proc/stat cannot be read".into()));
}

#[test]
fn foreign_shares_say_where_they_are_from() {
    let mut all = readings();
    assert!(!sources(&Costs(Ok(readings()))).contains_key("machine.foreign_on_client_cpus"));
    all.end.busy = BusyTimes::read().ok();
    let source = &sources(&Costs(Ok(all)))["machine.foreign_on_client_cpus"];
    assert!(source.starts_with("busy times of the CPUs (") && source.contains("at least"), "{source}");
}
