//! Children that do as they are told.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::process::exit;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, Pid, fork, pipe};
use process_tree::{Sample, Tree};

/// A forked process, killed and reaped when this is dropped.
pub struct Child {
    pub pid: Pid,
    to: File,
    from: File,
}

/// The child's end.
pub struct Parent {
    to: File,
    from: File,
}

impl Child {
    /// Forks a child that does this and exits. It dies with its parent.
    pub fn fork(life: impl FnOnce(&mut Parent)) -> Child {
        let (child_reads, parent_writes) = pipe().unwrap();
        let (parent_reads, child_writes) = pipe().unwrap();
        // SAFETY: This process has one thread, so the child may do whatever its parent may.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Child { pid: child, to: parent_writes.into(), from: parent_reads.into() },
            ForkResult::Child => {
                drop((parent_writes, parent_reads));
                set_pdeathsig(Signal::SIGKILL).unwrap();
                let mut parent = Parent { to: child_writes.into(), from: child_reads.into() };
                let ended = std::panic::catch_unwind(AssertUnwindSafe(|| life(&mut parent)));
                exit(if ended.is_ok() { 0 } else { 101 })
            }
        }
    }

    /// Lets the child go on from its `wait`.
    pub fn go(&mut self) {
        self.to.write_all(b"x").unwrap();
    }

    /// Waits for the child's word.
    pub fn hear(&mut self) -> Duration {
        let mut word = [0; 8];
        self.from.read_exact(&mut word).expect("the child has died");
        Duration::from_nanos(u64::from_ne_bytes(word))
    }

    /// Waits until the child has exited of itself, and reaps it.
    pub fn reap(self) {
        // Nobody is left to wait for where SIGCHLD is ignored.
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
    /// Waits until the parent says `go`; exits if the parent will not say it any more.
    pub fn wait(&mut self) {
        if self.from.read_exact(&mut [0]).is_err() {
            exit(0);
        }
    }

    /// Says that this is done, and a time.
    pub fn say(&mut self, time: Duration) {
        self.to.write_all(&(time.as_nanos() as u64).to_ne_bytes()).unwrap();
    }

    /// Says that this is done, and waits until the parent says `go`.
    pub fn pause(&mut self) {
        self.say(Duration::ZERO);
        self.wait();
    }
}

/// What a tree costs when its root pauses, and when it pauses again.
pub fn before_and_after(root: &mut Child) -> (Sample, Sample) {
    root.hear();
    let mut tree = Tree::new(root.pid);
    let before = tree.sample().unwrap();
    root.go();
    root.hear();
    (before, tree.sample().unwrap())
}

/// Waits for a word of each.
pub fn hear_all(children: &mut [Child]) {
    for child in children {
        child.hear();
    }
}

/// The CPU that this process has used.
pub fn own_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// Keeps the CPU busy until this process has used so much of it.
pub fn burn(cpu: Duration) {
    while own_cpu() < cpu {
        std::hint::black_box((0..1000).sum::<u64>());
    }
}
