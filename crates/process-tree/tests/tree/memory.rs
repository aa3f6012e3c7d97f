//! Tests of memory: private memory, shared memory, past peaks, and estimates for many processes.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use process_tree::{Sample, Tree};

use crate::child::{Child, before_and_after, wait_for_reports};

const MIB: u64 = 1 << 20;
const SIZE: usize = 32 << 20;

#[track_caller]
fn assert_grew(before: &Sample, after: &Sample, by: u64) {
    let (before, after) = (before.memory_bytes.unwrap(), after.memory_bytes.unwrap());
    let grown = after.saturating_sub(before);
    assert!(grown.abs_diff(by) <= MIB, "from {before} to {after}, not by {by}");
}

pub fn private_memory_counts_in_full() {
    let mut root = Child::fork(|parent| {
        let mut child = Child::fork(|parent| {
            parent.pause();
            let block = vec![1_u8; SIZE];
            parent.pause();
            drop(block);
            parent.pause();
        });
        loop {
            child.wait_for_report();
            parent.pause();
            child.resume();
        }
    });
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let before = tree.sample().unwrap();
    root.resume();
    root.wait_for_report();
    let with_block = tree.sample().unwrap();
    assert_grew(&before, &with_block, SIZE as u64);
    root.resume();
    root.wait_for_report();
    let after = tree.sample().unwrap();
    assert_grew(&before, &after, 0);
    assert_eq!(after.peak_memory_bytes, with_block.memory_bytes);
    assert_eq!((after.memory_source, after.peak_memory_source), ("pss", "samples"));
}

pub fn shared_memory_counts_once() {
    let mut root = Child::fork(|parent| {
        let size = NonZeroUsize::new(SIZE).unwrap();
        // SAFETY: The new mapping replaces no other.
        let block =
            unsafe { mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) };
        let block = block.unwrap().cast::<u8>();
        let mut children: Vec<Child> = (0..4)
            .map(|_| {
                Child::fork(|parent| {
                    parent.pause();
                    // SAFETY: The mapping is `SIZE` bytes long, and stays until the process ends.
                    unsafe { block.write_bytes(1, SIZE) };
                    parent.pause();
                })
            })
            .collect();
        for _ in 0..2 {
            wait_for_reports(&mut children);
            parent.pause();
            children.iter_mut().for_each(Child::resume);
        }
    });
    let (before, after) = before_and_after(&mut root);
    assert_grew(&before, &after, SIZE as u64);
}

pub fn a_peak_between_two_samples_of_a_single_process_is_seen() {
    let mut root = Child::fork(|parent| {
        parent.pause();
        drop(std::hint::black_box(vec![1_u8; SIZE]));
        parent.pause();
    });
    let (before, after) = before_and_after(&mut root);
    assert_grew(&before, &after, 0);
    assert_eq!(after.peak_memory_source, "rss");
    assert!(after.peak_memory_bytes.unwrap() >= before.memory_bytes.unwrap() + SIZE as u64);
}

pub fn of_many_alike_processes_some_stand_for_all() {
    const LEAVES: u64 = 500;
    // The leaves are two generations below the root. The generations above them are not like them.
    let mut root = Child::fork(|parent| {
        let block = std::hint::black_box(vec![1_u8; SIZE]);
        let mut middle = Child::fork(|parent| {
            let own_block = std::hint::black_box(vec![1_u8; SIZE]);
            let mut leaves: Vec<Child> = Vec::new();
            for _ in 0..LEAVES {
                leaves.push(Child::fork(|parent| {
                    parent.pause();
                }));
            }
            wait_for_reports(&mut leaves);
            parent.pause();
            drop(own_block);
        });
        middle.wait_for_report();
        parent.pause();
        drop(block);
    });
    root.wait_for_report();

    // The fastest of five samples is taken, because other work on the machine slows some of them down.
    let sample_with = |budget| {
        let mut tree = Tree::new(root.pid).with_budget(budget);
        let mut shortest = Duration::MAX;
        let mut last = None;
        for _ in 0..5 {
            let begun = Instant::now();
            last = Some(tree.sample().unwrap());
            shortest = shortest.min(begun.elapsed());
        }
        (last.unwrap(), shortest)
    };
    let (all, cost_of_all) = sample_with(Duration::from_secs(60));
    let (some, cost_of_some) = sample_with(Duration::ZERO);

    assert_eq!((all.memory_source, some.memory_source), ("pss", "pss-sampled"));
    assert!(cost_of_some < cost_of_all / 2, "{cost_of_some:?} is not much less than {cost_of_all:?}");
    assert_eq!((all.processes, all.threads), (LEAVES + 2, LEAVES + 2));
    assert_eq!((some.processes, some.threads), (LEAVES + 2, LEAVES + 2));
    assert!(some.live_cpu - all.live_cpu < all.live_cpu / 5, "{some:?} is not like {all:?}");
    assert!(all.user.is_some() && some.user.is_none(), "{all:?} {some:?}");
    let alike = |a: Option<u64>, b: Option<u64>| a.unwrap().abs_diff(b.unwrap()) <= b.unwrap() / 5;
    assert!(alike(some.memory_bytes, all.memory_bytes), "{some:?} is not like {all:?}");
    assert!(alike(some.open_fds, all.open_fds), "{some:?} is not like {all:?}");
    assert!(alike(some.minor_faults, all.minor_faults), "{some:?} is not like {all:?}");
}
