//! Tests of the CPU time of live processes, of zombies and of reaped processes.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use process_tree::Tree;

use crate::child::{Child, burn, own_cpu};

const BURNT: Duration = Duration::from_millis(200);
/// What a busy machine may add to the CPU time that was burnt. It is less than that of one child that is missed or
/// counted twice.
const SLACK: Duration = Duration::from_millis(100);
/// The kernel rounds the parent's reaped user and system time down to a tick of 10 ms each.
const TWO_TICKS: Duration = Duration::from_millis(20);

/// The CPU time of this process's reaped children, to the microsecond.
fn cpu_of_reaped() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    Duration::from_micros((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as u64)
}

pub fn grandchildren_that_have_been_reaped_are_charged() {
    let mut root = Child::fork(|parent| {
        parent.pause();
        let grandchildren: Vec<Child> = (0..3).map(|_| Child::fork(|_| burn(BURNT))).collect();
        grandchildren.into_iter().for_each(Child::reap);
        parent.report(cpu_of_reaped());
        parent.wait();
    });
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let before = tree.sample().unwrap();
    root.resume();
    let burnt = root.wait_for_report();
    let after = tree.sample().unwrap();

    assert!(burnt >= 3 * BURNT);
    let charged = after.cpu - before.cpu;
    assert!(charged + TWO_TICKS >= burnt, "charged {charged:?} of {burnt:?}");
    assert!(charged < burnt + SLACK, "charged {charged:?} for {burnt:?}");
    assert!(after.live_cpu - before.live_cpu < SLACK, "reaped processes are not live");
    assert_eq!(after.processes, 1);
    assert!(before.user.is_some() && before.system.is_some());
    assert_eq!((after.user, after.system), (None, None), "the split is unknown for short-lived processes");
}

pub fn live_children_are_charged_to_the_nanosecond() {
    let mut root = Child::fork(|parent| {
        let mut children: Vec<Child> = (0..3)
            .map(|_| {
                Child::fork(|parent| {
                    burn(BURNT);
                    parent.report(own_cpu());
                    parent.wait();
                })
            })
            .collect();
        let burnt: Duration = children.iter_mut().map(Child::wait_for_report).sum();
        parent.report(burnt + own_cpu());
        parent.wait();
    });
    let burnt = root.wait_for_report();
    let sample = Tree::new(root.pid).sample().unwrap();

    assert!(burnt >= 3 * BURNT);
    assert!(sample.live_cpu >= burnt, "charged {:?} of {burnt:?}", sample.live_cpu);
    assert!(sample.live_cpu < burnt + SLACK, "charged {:?} for {burnt:?}", sample.live_cpu);
    assert_ne!(sample.live_cpu.subsec_nanos() % 1_000_000, 0, "the figure is not in ticks");
    assert_eq!(sample.cpu, sample.live_cpu);
    let split = sample.user.unwrap() + sample.system.unwrap();
    assert!(split <= sample.live_cpu && split + 4 * TWO_TICKS >= sample.live_cpu, "{split:?}");
}

pub fn the_clocks_of_many_processes_are_read_without_their_other_figures() {
    // More than are examined when there is no time, so that some clocks are all that is read of their processes.
    const CHILDREN: u32 = 40;
    let mut root = Child::fork(|parent| {
        let mut children: Vec<Child> = (0..CHILDREN)
            .map(|_| {
                Child::fork(|parent| {
                    burn(BURNT / CHILDREN);
                    parent.report(own_cpu());
                    parent.wait();
                })
            })
            .collect();
        let burnt: Duration = children.iter_mut().map(Child::wait_for_report).sum();
        parent.report(burnt + own_cpu());
        parent.wait();
    });
    let burnt = root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let mut calls = 0;
    let live = tree.live_cpu(|| calls += 1).unwrap();
    assert_eq!(calls, 1);
    assert!(burnt >= BURNT && live >= burnt && live < burnt + SLACK, "{live:?} of {burnt:?}");
    assert!(tree.sample().unwrap().live_cpu >= live);
}

pub fn a_zombie_is_charged_before_and_after_it_is_reaped() {
    let mut root = Child::fork(|parent| {
        let child = Child::fork(|_| burn(BURNT));
        waitid(Id::Pid(child.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
        parent.pause();
        child.reap();
        parent.pause();
    });
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let unreaped = tree.sample().unwrap();
    assert_eq!((unreaped.processes, unreaped.threads), (2, 2));
    assert!(unreaped.cpu >= BURNT && unreaped.cpu == unreaped.live_cpu, "{unreaped:?}");

    root.resume();
    root.wait_for_report();
    let reaped = tree.sample().unwrap();
    assert_eq!(reaped.processes, 1);
    assert!(reaped.cpu >= unreaped.cpu, "a counter never goes backwards");
    assert!(reaped.cpu < unreaped.cpu + SLACK, "{reaped:?}");
    assert!(reaped.live_cpu < BURNT);
}

/// There is one child at a time, so the tree cannot use more CPU time than the time that passes, except in the moment
/// in which the parent forks. If a child is counted twice, the CPU time exceeds that. Each child burns so much that it
/// is visible in spite of the rounding to ticks.
pub fn a_child_that_is_reaped_during_a_sample_is_never_charged_twice() {
    let root = Child::fork(|_| {
        loop {
            Child::fork(|_| burn(2 * SLACK)).reap();
        }
    });
    let begun = Instant::now();
    let mut tree = Tree::new(root.pid);
    let first = tree.sample().unwrap().cpu;
    let mut last = first;
    while begun.elapsed() < Duration::from_secs(3) {
        let now = tree.sample().unwrap().cpu;
        assert!(now >= last, "a counter never goes backwards");
        assert!(now - first <= begun.elapsed() + SLACK, "charged {:?} in {:?}", now - first, begun.elapsed());
        last = now;
    }
    assert!(last > first);
}
