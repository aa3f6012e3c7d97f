//! Tests of the figures that count: processes, threads, descriptors, context switches and page faults.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Barrier;
use std::time::Duration;

use cpu_list::CpuList;
use process_tree::Tree;

use crate::child::{Child, before_and_after, wait_for_reports};

pub fn processes_threads_and_descriptors_are_counted() {
    let mut root = Child::fork(|parent| {
        let mut children = [0, 4].map(|threads| {
            Child::fork(move |parent| {
                parent.pause();
                let opened: Vec<File> = (0..2 * threads).map(|_| File::open("/dev/null").unwrap()).collect();
                let barrier = Barrier::new(threads + 1);
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            barrier.wait();
                            barrier.wait();
                        });
                    }
                    barrier.wait();
                    parent.pause();
                    barrier.wait();
                });
                drop(opened);
            })
        });
        for _ in 0..2 {
            wait_for_reports(&mut children);
            parent.pause();
            children.iter_mut().for_each(Child::resume);
        }
    });
    let (before, after) = before_and_after(&mut root);
    assert_eq!((before.processes, before.threads), (3, 3));
    assert_eq!((after.processes, after.threads), (3, 7));
    assert_eq!(after.open_fds.unwrap() - before.open_fds.unwrap(), 8);
    assert!(after.user.is_some(), "no process has exited");
    root.resume();
}

pub fn the_cpus_are_those_of_all_threads() {
    let all = CpuList::allowed().unwrap();
    let first = CpuList::from(vec![all.cpus()[0]]);
    let mut root = Child::fork(|parent| {
        first.apply().unwrap();
        parent.pause();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                all.apply().unwrap();
                barrier.wait();
                barrier.wait();
            });
            barrier.wait();
            parent.pause();
            barrier.wait();
        });
    });
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    assert_eq!(tree.cpus().unwrap(), first.cpus());
    root.resume();
    root.wait_for_report();
    assert_eq!(tree.cpus().unwrap(), all.cpus());
    root.resume();
}

pub fn a_root_that_has_exited_is_not_found() {
    let root = Child::fork(|parent| parent.wait());
    let mut tree = Tree::new(root.pid);
    tree.sample().unwrap();
    let pid = root.pid;
    drop(root);
    assert_eq!(tree.sample().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Tree::new(pid).sample().unwrap_err().kind(), ErrorKind::NotFound);
}

pub fn switches_of_all_threads_count_and_are_kept() {
    const SLEEPS: u64 = 1000;
    let mut root = Child::fork(|parent| {
        parent.pause();
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..SLEEPS).for_each(|_| std::thread::sleep(Duration::from_nanos(1)));
                barrier.wait();
                barrier.wait();
            });
            barrier.wait();
            parent.pause();
            barrier.wait();
        });
        parent.pause();
    });
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let switches = |tree: &mut Tree| tree.sample().unwrap().voluntary_switches.unwrap();
    let before = switches(&mut tree);
    root.resume();
    root.wait_for_report();
    let after = switches(&mut tree);
    // On a busy machine, the timer of a sleep can expire before the thread has gone to sleep: then it does not switch.
    assert!((SLEEPS / 2..SLEEPS + 100).contains(&(after - before)), "from {before} to {after}");
    root.resume();
    root.wait_for_report();
    assert!(switches(&mut tree) >= after, "the switches of a thread that has ended still count");
}

pub fn faults_of_reaped_children_count() {
    const PAGES: u64 = 1000;
    let mut root = Child::fork(|parent| {
        parent.pause();
        Child::fork(|_| {
            // Small blocks from the heap: in a huge page, one fault would stand for many.
            let blocks: Vec<Vec<u8>> = (0..PAGES).map(|_| vec![1; 4096]).collect();
            std::hint::black_box(blocks);
        })
        .reap();
        parent.pause();
    });
    let (before, after) = before_and_after(&mut root);
    let faults = after.minor_faults.unwrap() - before.minor_faults.unwrap();
    assert!((PAGES..2 * PAGES).contains(&faults), "{faults} faults");
    assert!(after.major_faults >= before.major_faults);
}
