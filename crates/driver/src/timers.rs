use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// When each connection of a loop is to be looked at again, if nothing happens before.
///
/// A request moves its connection's deadline, and costs nothing here for that: an entry that comes due early is
/// looked at and put back.
#[derive(Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<(Instant, u64)>>);

impl Timers {
    /// Brings `key` up at `when`.
    pub fn set(&mut self, key: u64, when: Instant) {
        self.0.push(Reverse((when, key)));
    }

    /// Brings `key` up at its deadline, unless its one reminder comes sooner anyway.
    pub fn remind(&mut self, key: u64, deadline: Option<Instant>, reminder: &mut Option<Instant>) {
        if let Some(deadline) = deadline
            && reminder.is_none_or(|reminder| deadline < reminder)
        {
            *reminder = Some(deadline);
            self.set(key, deadline);
        }
    }

    /// A key whose time has come, and that time.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, u64)> {
        let Reverse((when, _)) = self.0.peek()?;
        (*when <= now).then(|| self.0.pop()).flatten().map(|Reverse(entry)| entry)
    }

    /// How long there is nothing to do; `None` is forever.
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        self.0.peek().map(|Reverse((when, _))| when.saturating_duration_since(now))
    }
}

/// A pause as poll(2) and epoll_wait(2) want it; `None` is forever.
///
/// Rounded up to whole milliseconds: waking before the time would only mean waiting again.
pub fn timeout(pause: Option<Duration>) -> PollTimeout {
    let pause = pause.map(|pause| pause.saturating_add(Duration::from_nanos(999_999)));
    pause.map_or(Ok(PollTimeout::NONE), PollTimeout::try_from).unwrap_or(PollTimeout::MAX)
}
