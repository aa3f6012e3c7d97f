use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// When each connection of a loop is to be looked at again, if no event comes before.
///
/// A request moves its connection's deadline, and that costs nothing here: a timer that runs out before the deadline is
/// set anew.
#[derive(Debug)]
pub struct Timers<K>(BinaryHeap<Reverse<(Instant, K)>>);

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Timers<K> {
        Timers(BinaryHeap::new())
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Sets a timer of `key`; it may have several.
    pub fn set(&mut self, key: K, when: Instant) {
        self.0.push(Reverse((when, key)));
    }

    /// Sets a timer for the deadline of `key`, unless its one timer runs out sooner anyway.
    pub fn set_for_deadline(&mut self, key: K, deadline: Option<Instant>, timer: &mut Option<Instant>) {
        if let Some(deadline) = deadline
            && timer.is_none_or(|timer| deadline < timer)
        {
            *timer = Some(deadline);
            self.set(key, deadline);
        }
    }

    /// Takes out a timer that has run out by `now`: its time and its key.
    pub fn pop(&mut self, now: Instant) -> Option<(Instant, K)> {
        let Reverse((when, _)) = self.0.peek()?;
        (*when <= now).then(|| self.0.pop()).flatten().map(|Reverse(entry)| entry)
    }

    /// The time until the next timer runs out; `None` without one.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        self.0.peek().map(|Reverse((when, _))| when.saturating_duration_since(now))
    }
}

/// A time-out as poll(2) and epoll_wait(2) take it; `None` is without end.
///
/// Rounded up to whole milliseconds: to wake before the time would only mean another wait.
pub fn poll_timeout(timeout: Option<Duration>) -> PollTimeout {
    let timeout = timeout.map(|timeout| timeout.saturating_add(Duration::from_nanos(999_999)));
    timeout.map_or(Ok(PollTimeout::NONE), PollTimeout::try_from).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_run_out_in_the_order_of_their_times_and_not_before() {
        let start = Instant::now();
        let mut timers = Timers::default();
        for (key, seconds) in [('b', 2), ('a', 1), ('c', 3)] {
            timers.set(key, start + seconds * SECOND);
        }
        assert_eq!(timers.timeout(start), Some(SECOND));
        assert_eq!(timers.pop(start), None);
        let later = start + 2 * SECOND;
        assert_eq!(timers.timeout(later), Some(Duration::ZERO), "it is late, and that is no negative time");
        assert_eq!(timers.pop(later), Some((start + SECOND, 'a')));
        assert_eq!(timers.pop(later), Some((later, 'b')));
        assert_eq!(timers.pop(later), None);
        assert_eq!(timers.timeout(later), Some(SECOND));
    }

    #[test]
    fn a_deadline_that_moves_away_costs_no_further_timer() {
        let start = Instant::now();
        let mut timers = Timers::default();
        let mut timer = None;
        timers.set_for_deadline('a', Some(start + 5 * SECOND), &mut timer);
        for seconds in 6..100 {
            timers.set_for_deadline('a', Some(start + seconds * SECOND), &mut timer);
        }
        timers.set_for_deadline('a', None, &mut timer);
        assert_eq!((timers.0.len(), timer), (1, Some(start + 5 * SECOND)));
    }

    #[test]
    fn a_deadline_that_comes_nearer_gets_a_timer_of_its_own() {
        let start = Instant::now();
        let mut timers = Timers::default();
        let mut timer = None;
        timers.set_for_deadline('a', Some(start + 5 * SECOND), &mut timer);
        timers.set_for_deadline('a', Some(start + SECOND), &mut timer);
        assert_eq!(timer, Some(start + SECOND));
        assert_eq!(timers.pop(start + SECOND), Some((start + SECOND, 'a')));
    }

    #[test]
    fn a_time_out_is_never_rounded_down() {
        assert_eq!(poll_timeout(None), PollTimeout::NONE);
        assert_eq!(poll_timeout(Some(Duration::ZERO)), PollTimeout::ZERO);
        assert_eq!(poll_timeout(Some(Duration::from_nanos(1))), PollTimeout::from(1u8));
        assert_eq!(poll_timeout(Some(Duration::from_micros(1500))), PollTimeout::from(2u8));
        assert_eq!(poll_timeout(Some(Duration::MAX)), PollTimeout::MAX);
    }
}
