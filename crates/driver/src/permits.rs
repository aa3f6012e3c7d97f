//! The limit of open connections, for event loops.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The permits for open connections, which all loops of a process share: a loop takes one before it accepts, so the limit
/// holds over all threads.
pub struct Permits {
    limit: usize,
    taken: AtomicUsize,
    loops: AtomicUsize,
}

impl Permits {
    /// That many permits.
    pub fn new(limit: usize) -> Permits {
        Permits { limit, taken: AtomicUsize::new(0), loops: AtomicUsize::new(0) }
    }

    /// One more loop takes permits.
    pub(crate) fn join(&self) {
        self.loops.fetch_add(1, Relaxed);
    }

    /// Does more than one loop take permits?
    pub(crate) fn are_shared(&self) -> bool {
        self.loops.load(Relaxed) > 1
    }

    /// How many permits could be taken now.
    pub fn available(&self) -> usize {
        self.limit.saturating_sub(self.taken.load(Relaxed))
    }

    /// Takes a permit, unless all are taken.
    pub fn try_take(&self) -> bool {
        let one_more = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, one_more).is_ok()
    }

    /// Gives a permit back.
    pub fn give_back(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_permit_can_be_taken_again_when_it_was_given_back() {
        let permits = Permits::new(2);
        assert!(permits.try_take() && permits.try_take());
        assert!(!permits.try_take());
        assert_eq!(permits.available(), 0);
        permits.give_back();
        assert_eq!(permits.available(), 1);
        assert!(permits.try_take());
    }

    #[test]
    fn threads_never_take_more_than_there_are() {
        let permits = Permits::new(1000);
        let take = || (0..600).filter(|_| permits.try_take()).count();
        let taken: usize = thread::scope(|scope| {
            let takers: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }
}
