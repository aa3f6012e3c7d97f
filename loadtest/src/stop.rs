//! When a run ends early: because of a signal, or because the time of its budget is over.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Tells all that works or waits in a run whether it shall end now.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    flag: &'a AtomicBool,
    /// The run also ends here.
    limit: Option<Instant>,
}

impl<'a> From<&'a AtomicBool> for Stop<'a> {
    fn from(flag: &'a AtomicBool) -> Stop<'a> {
        Stop { flag, limit: None }
    }
}

impl<'a> Stop<'a> {
    /// Ends the run when the flag becomes true, and at `limit` if there is one.
    pub fn new(flag: &'a AtomicBool, limit: Option<Instant>) -> Stop<'a> {
        Stop { flag, limit }
    }

    /// Whether the run shall end.
    pub fn is_set(self) -> bool {
        self.is_interrupted() || self.limit.is_some_and(|limit| Instant::now() >= limit)
    }

    /// Whether the run shall end because of the flag.
    pub fn is_interrupted(self) -> bool {
        self.flag.load(Relaxed)
    }

    /// The time until the limit; `None` if there is none.
    pub fn left(self) -> Option<Duration> {
        self.limit.map(|limit| limit.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_interrupts_and_a_limit_only_ends() {
        let flag = AtomicBool::new(false);
        let now = Instant::now();
        let (free, over) = (Stop::from(&flag), Stop::new(&flag, Some(now)));
        assert!(!free.is_set() && over.is_set() && !over.is_interrupted());
        assert_eq!((free.left(), over.left()), (None, Some(Duration::ZERO)));
        assert!(!Stop::new(&flag, Some(now + Duration::from_secs(3600))).is_set());
        flag.store(true, Relaxed);
        assert!(free.is_set() && free.is_interrupted());
    }
}
