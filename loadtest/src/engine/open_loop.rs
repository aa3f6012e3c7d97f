//! The open loop of one thread, without sockets or clock: which request is due next, and which connection is free for
//! it.

use super::clock::Nanos;
use super::pacer::Pacer;
use std::collections::VecDeque;
use std::ops::Range;

/// What the open loop asks for at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Nothing: no request is due, or no connection is free.
    Nothing,
    /// Give up requests that have waited too long for a connection.
    Shed {
        /// When the first one was due.
        intended: Nanos,
        count: u64,
    },
    /// Send a request.
    Send {
        /// The connection that has been free the longest.
        index: u32,
        /// When the request was due.
        intended: Nanos,
        /// Schedule lag: how late the request is although a connection was free.
        lag: Nanos,
    },
}

/// A schedule (once the load is on), and the connections that are free for its requests.
#[derive(Default)]
pub struct OpenLoop {
    pacer: Option<Pacer>,
    /// The free connections, the one that has been free the longest first: connection, generation, and since when it is
    /// free. The generation shows whether the connection was closed in the meantime.
    free: VecDeque<(u32, u32, Nanos)>,
}

impl OpenLoop {
    /// The load begins.
    pub fn begin(&mut self, pacer: Pacer) {
        self.pacer = Some(pacer);
    }

    /// Whether there is an open loop, and its load has begun.
    pub fn is_on(&self) -> bool {
        self.pacer.is_some()
    }

    /// A connection is free for a request since `now`.
    pub fn add_free(&mut self, index: u32, generation: u32, now: Nanos) {
        self.free.push_back((index, generation, now));
    }

    /// When the next request can be sent. `None` if no connection is free: due requests then wait for one.
    #[inline]
    pub fn due(&self) -> Option<Nanos> {
        self.pacer.as_ref().filter(|_| !self.free.is_empty()).map(Pacer::due)
    }

    /// Whether a request that was due before `time` waits for a connection.
    pub fn has_waiting(&self, time: Nanos) -> bool {
        self.pacer.as_ref().is_some_and(|pacer| pacer.due() < time)
    }

    /// Gives up the requests that were due within `due` and wait for a connection, and those due before them. Returns
    /// the number of the former.
    pub fn give_up(&mut self, due: Range<Nanos>) -> u64 {
        let Some(pacer) = &mut self.pacer else { return 0 };
        pacer.give_up(due.start);
        pacer.give_up(due.end)
    }

    /// Returns what to do at `now`; the caller asks again until there is nothing to do. A request waits for at most
    /// `timeout`. The requests of a [`NextAction::Shed`] were all due within `window`, or all outside of it. `is_free`
    /// says whether a connection still has that generation and is free.
    pub fn next(
        &mut self,
        now: Nanos,
        timeout: Nanos,
        window: &Range<Nanos>,
        is_free: impl Fn(u32, u32) -> bool,
    ) -> NextAction {
        let Some(pacer) = self.pacer.as_mut().filter(|pacer| pacer.due() <= now) else { return NextAction::Nothing };
        let intended = pacer.due();
        if now - intended > timeout {
            let edge = [window.start, window.end].into_iter().find(|&edge| intended < edge);
            let before = edge.map_or(now - timeout, |edge| edge.min(now - timeout));
            return NextAction::Shed { intended, count: pacer.give_up(before) };
        }
        while let Some((index, generation, since)) = self.free.pop_front() {
            if is_free(index, generation) {
                pacer.advance();
                return NextAction::Send { index, intended, lag: now.saturating_sub(intended.max(since)) };
            }
        }
        NextAction::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::intended_times::IntendedTimes;
    use results::{Arrivals, Schedule};
    use std::time::Duration;

    const TIMEOUT: Nanos = 1_000_000_000;
    const WINDOW: Range<Nanos> = 0..Nanos::MAX;

    /// An open loop with a request every millisecond, and a connection for each entry of `freed`, which is free since
    /// then.
    fn open_loop(freed: &[Nanos]) -> OpenLoop {
        let times = IntendedTimes::new(Schedule::Rate(1000.0), Duration::ZERO, Duration::from_secs(1)).unwrap();
        let mut open_loop = OpenLoop::default();
        open_loop.begin(Pacer::new(times, Arrivals::Even, 0, 0, (0, 1)));
        (0..).zip(freed).for_each(|(index, &since)| open_loop.add_free(index, 0, since));
        open_loop
    }

    fn millis(n: u64) -> Nanos {
        n * 1_000_000
    }

    #[test]
    fn requests_are_sent_in_order_on_the_connection_that_has_been_free_the_longest() {
        let mut open_loop = open_loop(&[0, 0, 0]);
        for n in 0..3 {
            assert_eq!(open_loop.due(), Some(millis(n)));
            let next = open_loop.next(millis(n) + 7, TIMEOUT, &WINDOW, |_, _| true);
            assert_eq!(next, NextAction::Send { index: n as u32, intended: millis(n), lag: 7 });
            assert_eq!(open_loop.next(millis(n) + 7, TIMEOUT, &WINDOW, |_, _| true), NextAction::Nothing);
        }
        assert_eq!(open_loop.due(), None);
        assert_eq!((open_loop.has_waiting(millis(3)), open_loop.has_waiting(millis(3) + 1)), (false, true));
    }

    #[test]
    fn schedule_lag_does_not_include_the_wait_for_a_connection() {
        let mut open_loop = open_loop(&[millis(5)]);
        let next = open_loop.next(millis(5) + 7, TIMEOUT, &WINDOW, |_, _| true);
        assert_eq!(next, NextAction::Send { index: 0, intended: 0, lag: 7 });
    }

    #[test]
    fn a_connection_that_was_closed_is_skipped() {
        let mut open_loop = open_loop(&[0, 0]);
        let next = open_loop.next(0, TIMEOUT, &WINDOW, |index, _| index == 1);
        assert_eq!(next, NextAction::Send { index: 1, intended: 0, lag: 0 });
    }

    #[test]
    fn a_request_that_waits_too_long_for_a_connection_is_given_up() {
        let mut open_loop = open_loop(&[0]);
        let now = TIMEOUT + millis(2);
        assert_eq!(open_loop.next(now, TIMEOUT, &WINDOW, |_, _| true), NextAction::Shed { intended: 0, count: 2 });
        let next = open_loop.next(now, TIMEOUT, &WINDOW, |_, _| true);
        assert_eq!(next, NextAction::Send { index: 0, intended: millis(2), lag: TIMEOUT });
    }

    #[test]
    fn requests_are_given_up_together_up_to_the_windows_edge() {
        let mut open_loop = open_loop(&[0]);
        let (now, window) = (TIMEOUT + millis(30), millis(10)..millis(20));
        for (first, count) in [(0, 10), (10, 10), (20, 10)] {
            let shed = NextAction::Shed { intended: millis(first), count };
            assert_eq!(open_loop.next(now, TIMEOUT, &window, |_, _| true), shed);
        }
        assert!(matches!(open_loop.next(now, TIMEOUT, &window, |_, _| true), NextAction::Send { .. }));
        // An interrupt gives up the requests from 31 ms on that were due.
        assert_eq!((open_loop.give_up(millis(40)..millis(60)), open_loop.due()), (20, None));
        assert!(open_loop.has_waiting(millis(60) + 1) && !open_loop.has_waiting(millis(60)));
    }

    #[test]
    fn a_closed_loop_has_no_scheduled_request() {
        let mut open_loop = OpenLoop::default();
        open_loop.add_free(0, 0, 0);
        assert_eq!((open_loop.is_on(), open_loop.due()), (false, None));
        assert_eq!(open_loop.next(Nanos::MAX, TIMEOUT, &WINDOW, |_, _| true), NextAction::Nothing);
    }
}
