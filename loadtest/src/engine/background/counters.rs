//! The counters that the thread of the background load shares with the other threads.

use results::{BackgroundGroup, BackgroundLoad, BackgroundResults};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackgroundKind {
    Idle,
    SlowSender,
    SlowReader,
    Resetter,
    Busy,
}

/// What became of the background connections so far.
#[derive(Default)]
pub struct BackgroundCounters {
    /// Connections of which the first result is known: they are up or have failed.
    pub settled: AtomicU64,
    pub resets: AtomicU64,
    pub busy_answers: AtomicU64,
    /// Complete answers on connections of any kind. Resetters do not wait for theirs.
    pub answers: AtomicU64,
    /// Bytes that connections of any kind have received.
    pub bytes: AtomicU64,
    bytes_before: AtomicU64,
    bytes_in_window: AtomicU64,
    groups: [GroupCounters; 5],
}

/// The fields are those of [`BackgroundGroup`], and the connections that are established, whether up or not.
#[derive(Default)]
pub struct GroupCounters {
    pub up: AtomicU64,
    pub established: AtomicU64,
    up_at_end: AtomicU64,
    established_at_end: AtomicU64,
    pub cut_off: AtomicU64,
    pub failed: AtomicU64,
}

impl BackgroundCounters {
    /// The counters of the connections of this kind.
    pub fn group(&self, kind: BackgroundKind) -> &GroupCounters {
        &self.groups[kind as usize]
    }

    /// Connections of which the first result is known.
    pub fn settled(&self) -> usize {
        self.settled.load(Relaxed) as usize
    }

    /// Complete answers so far.
    pub fn answered(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// The window begins: what is received from now on counts.
    pub fn remember_begin(&self) {
        self.bytes_before.store(self.bytes.load(Relaxed), Relaxed);
    }

    /// The window has ended: remembers how many connections are up, how many are established, and what was received in it.
    pub fn remember_end(&self) {
        self.bytes_in_window.store(self.bytes.load(Relaxed) - self.bytes_before.load(Relaxed), Relaxed);
        for group in &self.groups {
            group.up_at_end.store(group.up.load(Relaxed), Relaxed);
            group.established_at_end.store(group.established.load(Relaxed), Relaxed);
        }
    }

    /// Connections that stay open and wait for their first answer, as those in the server's backlog do: when
    /// [`remember_end`](Self::remember_end) was called.
    pub fn unanswered_at_end(&self) -> u64 {
        self.unanswered(|group| (&group.established_at_end, &group.up_at_end))
    }

    /// As [`unanswered_at_end`](Self::unanswered_at_end), now.
    pub fn unanswered_now(&self) -> usize {
        self.unanswered(|group| (&group.established, &group.up)) as usize
    }

    fn unanswered(&self, counts: fn(&GroupCounters) -> (&AtomicU64, &AtomicU64)) -> u64 {
        let of_group = |kind| {
            let (established, up) = counts(self.group(kind));
            established.load(Relaxed).saturating_sub(up.load(Relaxed))
        };
        of_group(BackgroundKind::Idle) + of_group(BackgroundKind::SlowReader)
    }

    /// Returns what became of the connections that `load` asks for.
    pub fn results(&self, load: &BackgroundLoad) -> BackgroundResults {
        let group = |kind: BackgroundKind, asked: usize| {
            let counters = self.group(kind);
            BackgroundGroup {
                asked: asked as u64,
                up: counters.up_at_end.load(Relaxed),
                cut_off: counters.cut_off.load(Relaxed),
                failed: counters.failed.load(Relaxed),
            }
        };
        BackgroundResults {
            idle: group(BackgroundKind::Idle, load.idle),
            slow_senders: group(BackgroundKind::SlowSender, load.slow_senders),
            slow_readers: group(BackgroundKind::SlowReader, load.slow_readers),
            resetters: group(BackgroundKind::Resetter, load.resetters),
            resets: self.resets.load(Relaxed),
            busy: group(BackgroundKind::Busy, load.busy),
            busy_answers: self.busy_answers.load(Relaxed),
            bytes: self.bytes_in_window.load(Relaxed),
        }
    }
}
