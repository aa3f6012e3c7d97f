//! The memory that the processes of a service share, and the [`Scoreboard`] in it.

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use crate::counters::{Counters, Totals};
use crate::facts::Facts;

const SHARDS: usize = 64;
const MAX_NOTE_BYTES: usize = 512;

/// The layout of the shared memory. It consists of atomics only, for which zero bytes are valid.
#[repr(C)]
struct Shared {
    shards: [Counters; SHARDS],
    claimed: AtomicUsize,
    counter: AtomicU64,
    note_len: AtomicUsize,
    note: [AtomicU8; MAX_NOTE_BYTES],
    facts: Facts,
}

/// Maps `count` numbers, all zero, which this process shares with its children for as long as they live: mmap(2),
/// `MAP_SHARED`.
pub fn map_numbers(count: usize) -> io::Result<&'static [AtomicUsize]> {
    let len = NonZeroUsize::new(count * size_of::<AtomicUsize>()).ok_or(io::ErrorKind::InvalidInput)?;
    let memory = map_shared(len)?.cast::<AtomicUsize>();
    // SAFETY: the mapping is page-aligned, `len` bytes long, never unmapped, and zero, which is valid for an atomic.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr(), count) })
}

fn map_shared(len: NonZeroUsize) -> io::Result<NonNull<c_void>> {
    // SAFETY: a new anonymous mapping overlaps no other.
    let memory =
        unsafe { mmap_anonymous(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) };
    Ok(memory?)
}

/// A handle on the shared counters. All copies, in this process and in its children, refer to the same scoreboard.
#[derive(Clone, Copy)]
pub struct Scoreboard(&'static Shared);

impl Scoreboard {
    /// Maps a new scoreboard, all zero, which this process shares with its children for as long as they live: mmap(2),
    /// `MAP_SHARED`.
    pub fn map() -> io::Result<Scoreboard> {
        let len = NonZeroUsize::new(size_of::<Shared>()).ok_or(io::ErrorKind::InvalidInput)?;
        let memory = map_shared(len)?;
        // SAFETY: the mapping is page-aligned, as long as `Shared`, never unmapped, and zero, which is valid for every
        // atomic in it; all access is through atomics.
        Ok(Scoreboard(unsafe { memory.cast::<Shared>().as_ref() }))
    }

    /// Returns the shard for one more worker. There are 64 shards: from the 65th worker on, workers share them. The
    /// counts stay right, counting only becomes slower.
    pub fn claim(&self) -> &'static Counters {
        &self.0.shards[self.0.claimed.fetch_add(1, Ordering::Relaxed) % SHARDS]
    }

    /// The sums of the counters over all shards.
    pub fn totals(&self) -> Totals {
        Totals::of(self.claimed())
    }

    /// The replies of all routes and statuses. Quicker to read than [`totals`](Scoreboard::totals).
    pub fn replies(&self) -> u64 {
        self.claimed().iter().map(Counters::replies).sum()
    }

    /// The CPU time of reaped children, in nanoseconds; likewise.
    pub fn reaped_cpu_ns(&self) -> u64 {
        self.claimed().iter().map(Counters::reaped_cpu_ns).sum()
    }

    /// The shards in which some worker may have counted something.
    fn claimed(&self) -> &'static [Counters] {
        &self.0.shards[..self.0.claimed.load(Ordering::Relaxed).min(SHARDS)]
    }

    /// Sets the gauges to zero. To be called when the model's process has died, which closed its connections.
    pub fn reset_gauges(&self) {
        self.0.shards.iter().for_each(Counters::reset_gauges);
    }

    /// The number that `/counter` serves: data that all workers share.
    pub fn counter(&self) -> &'static AtomicU64 {
        &self.0.counter
    }

    /// Leaves a note for the other processes. It is cut after 512 bytes.
    pub fn leave_note(&self, note: &str) {
        for (to, from) in self.0.note.iter().zip(note.bytes()) {
            to.store(from, Ordering::Relaxed);
        }
        self.0.note_len.store(note.len().min(MAX_NOTE_BYTES), Ordering::Release);
    }

    /// The note that a process left; empty if there is none.
    pub fn note(&self) -> String {
        let len = self.0.note_len.load(Ordering::Acquire);
        let bytes: Vec<u8> = self.0.note[..len].iter().map(|b| b.load(Ordering::Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// States a fact about the model, such as what it found on this machine. It replaces an earlier fact of that name.
    ///
    /// Any thread of the model's process may call this; a forked child should not. The name is cut after 32 bytes, the
    /// value after 128. There is room for eight facts; a ninth is ignored. Facts outlive the process that stated them.
    pub fn state(&self, name: &str, value: &str) {
        self.0.facts.state(name, value);
    }

    /// All facts, names and values, in the order in which the names were first stated.
    pub fn facts(&self) -> Vec<(String, String)> {
        self.0.facts.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{ROUTES, STATUSES, Syscall};
    use nix::sys::wait::waitpid;
    use nix::unistd::{ForkResult, fork};
    use std::time::Duration;

    #[test]
    fn the_counts_of_a_dead_process_stay() {
        let board = Scoreboard::map().unwrap();
        // SAFETY: the child makes only atomic additions and `_exit`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let shard = board.claim();
                shard.opened();
                shard.served(1, 200, Duration::from_micros(3));
                shard.syscall(Syscall::Read);
                // SAFETY: `_exit` is async-signal-safe.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        };
        let totals = board.totals();
        assert_eq!((totals.accepted, totals.active), (1, 1));
        assert_eq!(totals.requests[1][0], 1);
        assert_eq!(totals.durations[1][2], 1, "3 µs belongs to the bucket up to 5 µs");
        assert_eq!(board.replies(), 1);
        board.reset_gauges();
        assert_eq!((board.totals().accepted, board.totals().active), (1, 0));
    }

    #[test]
    fn the_times_of_system_calls_are_added_up() {
        let board = Scoreboard::map().unwrap();
        board.claim().syscall_took(Syscall::IoSubmit, Duration::from_micros(3));
        board.claim().syscall_took(Syscall::IoSubmit, Duration::from_micros(4));
        board.claim().syscall(Syscall::Read);
        let totals = board.totals();
        assert_eq!(totals.syscalls[Syscall::IoSubmit as usize], 2);
        assert_eq!(totals.syscall_ns[Syscall::IoSubmit as usize], 7_000);
        assert_eq!(totals.syscall_ns.iter().sum::<u64>(), 7_000);
        assert!(Syscall::ALL.iter().enumerate().all(|(at, (call, _))| *call as usize == at));
    }

    #[test]
    fn an_unlisted_status_is_counted_in_the_last_slot() {
        let board = Scoreboard::map().unwrap();
        board.claim().served(ROUTES.len() + 5, 299, Duration::MAX);
        let totals = board.totals();
        assert_eq!(totals.requests[ROUTES.len() - 1][STATUSES.len() - 1], 1);
        assert_eq!(totals.durations[ROUTES.len() - 1].last(), Some(&1));
    }

    #[test]
    fn a_long_note_is_truncated() {
        let board = Scoreboard::map().unwrap();
        assert_eq!(board.note(), "");
        board.leave_note(&"x".repeat(600));
        assert_eq!(board.note().len(), 512);
    }
}
