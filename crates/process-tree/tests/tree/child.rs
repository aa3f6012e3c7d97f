//! Child processes that a test controls step by step, through pipes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::process::exit;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, alarm, fork, pipe};
use process_tree::{Sample, Tree};

/// After so many seconds, SIGALRM kills a child. So each read from it and each wait for it comes to an end. The longest
/// test takes some seconds.
pub const LIFETIME: u32 = 300;

/// A forked process as its parent sees it. When it is dropped, the process is killed and reaped.
pub struct Child {
    pub pid: Pid,
    to: File,
    from: File,
}

/// The parent as the child sees it.
pub struct Parent {
    to: File,
    from: File,
}

impl Child {
    /// Forks a child that runs `life` and exits. It is killed if its parent dies, and at the end of its `LIFETIME`.
    pub fn fork(life: impl FnOnce(&mut Parent)) -> Child {
        let (child_reads, parent_writes) = pipe().unwrap();
        let (parent_reads, child_writes) = pipe().unwrap();
        // SAFETY: This process has one thread, so the child may do everything that its parent may.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Child { pid: child, to: parent_writes.into(), from: parent_reads.into() },
            ForkResult::Child => {
                drop((parent_writes, parent_reads));
                set_pdeathsig(Signal::SIGKILL).unwrap();
                alarm::set(LIFETIME); // its parent's alarm, if there is one, is not copied by the fork
                let mut parent = Parent { to: child_writes.into(), from: child_reads.into() };
                let ended = std::panic::catch_unwind(AssertUnwindSafe(|| life(&mut parent)));
                exit(if ended.is_ok() { 0 } else { 101 })
            }
        }
    }

    /// Lets the child return from [`Parent::wait`].
    pub fn resume(&mut self) {
        self.to.write_all(b"x").unwrap();
    }

    /// Waits for the child's next report, and returns the time in it.
    pub fn wait_for_report(&mut self) -> Duration {
        let mut nanoseconds = [0; 8];
        self.from.read_exact(&mut nanoseconds).expect("the child has died");
        Duration::from_nanos(u64::from_ne_bytes(nanoseconds))
    }

    /// Waits until the child has exited by itself, and reaps it.
    pub fn reap(self) {
        // If SIGCHLD is ignored, the kernel has already removed the child, and waitpid(2) fails.
        let _ = waitpid(self.pid, None);
        std::mem::forget(self);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

impl Parent {
    /// Waits until the parent calls [`Child::resume`]; exits if the parent has closed the pipe.
    pub fn wait(&mut self) {
        if self.from.read_exact(&mut [0]).is_err() {
            exit(0);
        }
    }

    /// Reports to the parent that a step is done, with a time.
    pub fn report(&mut self, time: Duration) {
        self.to.write_all(&(time.as_nanos() as u64).to_ne_bytes()).unwrap();
    }

    /// Reports that a step is done, and waits until the parent calls [`Child::resume`].
    pub fn pause(&mut self) {
        self.report(Duration::ZERO);
        self.wait();
    }
}

/// Samples the tree when its root pauses for the first time and when it pauses for the second time.
pub fn before_and_after(root: &mut Child) -> (Sample, Sample) {
    root.wait_for_report();
    let mut tree = Tree::new(root.pid);
    let before = tree.sample().unwrap();
    root.resume();
    root.wait_for_report();
    (before, tree.sample().unwrap())
}

/// Waits for one report of each child.
pub fn wait_for_reports(children: &mut [Child]) {
    for child in children {
        child.wait_for_report();
    }
}

/// The CPU time that this process has used.
pub fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// Keeps the CPU busy until this process has used `cpu` of CPU time in all.
pub fn burn(cpu: Duration) {
    while own_cpu() < cpu {
        std::hint::black_box((0..1000).sum::<u64>());
    }
}
