//! Tests of trees in a control group that contains nothing else. They need the permission to create one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::Pid;
use process_tree::Tree;

use crate::child::{Child, burn};

const BURNT: Duration = Duration::from_millis(200);
/// What a busy machine may add to the CPU time that was burnt. It is less than `BURNT`, the error if that was counted
/// not at all or twice.
const SLACK: Duration = Duration::from_millis(190);
const SIZE: usize = 32 << 20;

/// New groups for CPU and memory, which `drop` removes.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn make() -> Option<Groups> {
        let at = Path::new("/sys/fs/cgroup");
        let parents = match at.join("cgroup.controllers").exists() {
            true => vec![at.to_owned()],
            false => vec![at.join("cpuacct"), at.join("memory")],
        };
        let name = format!("process-tree-test-{}", std::process::id());
        let mut made = Groups(Vec::new());
        for parent in parents {
            let group = parent.join(&name);
            if let Err(error) = std::fs::create_dir(&group) {
                println!("skipped: no writable cgroup ({}: {error})", group.display());
                return None;
            }
            made.0.push(group);
        }
        Some(made)
    }

    fn add(&self, pid: Pid) {
        for group in &self.0 {
            std::fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // The group stays busy for a moment after its last process has been reaped.
            let deadline = Instant::now() + Duration::from_secs(120);
            while std::fs::remove_dir(group).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)) {
                if Instant::now() > deadline {
                    // A panic while the test panics would end all tests.
                    assert!(std::thread::panicking(), "it stays busy: {}", group.display());
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
}

pub fn a_group_with_only_the_tree_accounts_for_children_that_were_never_waited_for() {
    let Some(groups) = Groups::make() else { return };
    let mut root = Child::fork(|parent| {
        // SAFETY: Ignoring a signal installs no handler.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
        parent.pause();
        let child = Child::fork(|_| {
            let block = std::hint::black_box(vec![1_u8; SIZE]);
            burn(BURNT);
            drop(block);
        });
        // With SIGCHLD ignored, wait(2) blocks until all children have ended, and then fails without their usage.
        child.reap();
        parent.pause();
    });
    root.wait_for_report();
    groups.add(root.pid);
    let mut tree = Tree::new(root.pid);
    let before = tree.sample().unwrap();
    root.resume();
    root.wait_for_report();
    let after = tree.sample().unwrap();

    assert_eq!(after.cpu_source, "cgroup");
    let charged = after.cpu - before.cpu;
    assert!(charged >= BURNT && charged < BURNT + SLACK, "charged {charged:?}");
    assert!(after.live_cpu - before.live_cpu < SLACK, "reaped processes are not live");
    assert_eq!(after.memory_source, "pss");
    if after.peak_memory_source == "cgroup" {
        assert!(after.peak_memory_bytes.unwrap() >= SIZE as u64);
    } else {
        println!("not tested: the group reports no peak of memory");
    }
    drop(root);
}

pub fn a_group_with_other_processes_is_not_used() {
    let Some(groups) = Groups::make() else { return };
    let [mut root, mut other] = [(); 2].map(|()| {
        Child::fork(|parent| {
            parent.pause();
        })
    });
    root.wait_for_report();
    other.wait_for_report();
    groups.add(root.pid);
    groups.add(other.pid);
    let sample = Tree::new(root.pid).sample().unwrap();
    assert_eq!((sample.cpu_source, sample.peak_memory_source), ("processes", "rss"));
    drop((root, other));
}
