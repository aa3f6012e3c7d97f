//! One thread's open loop: which request is due next, and which connection is free for it. No sockets and no clock.

use super::pacer::Pacer;
use crate::meter::Nanos;
use std::collections::VecDeque;

/// What the open loop asks for at some point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: no request is due, or none of the connections is free.
    Nothing,
    /// A request has waited for a connection for too long, and is given up.
    Shed,
    /// Send a request.
    Send {
        /// The connection that has been free the longest.
        index: u32,
        /// When the request was due.
        intended: Nanos,
        /// How late it is although a connection was free.
        lag: Nanos,
    },
}

/// A schedule, once the load is on, and the connections that are free for it.
#[derive(Default)]
pub struct OpenLoop {
    pacer: Option<Pacer>,
    /// The one that waits the longest first: connection, generation, and since when. What has happened to one in the
    /// meantime is seen by its generation.
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
    pub fn freed(&mut self, index: u32, generation: u32, now: Nanos) {
        self.free.push_back((index, generation, now));
    }

    /// When there is something to send; with no connection free, what is due waits for one.
    #[inline]
    pub fn due(&self) -> Option<Nanos> {
        self.pacer.as_ref().filter(|_| !self.free.is_empty()).map(Pacer::due)
    }

    /// Requests that are due before `now` and wait for a connection.
    pub fn unsent(&self, now: Nanos) -> u64 {
        self.pacer.as_ref().map_or(0, |pacer| pacer.waiting(now))
    }

    /// What to do at `now`, to be asked again until it is nothing. A request waits for `patience` at the most; `is_free`
    /// says whether a connection of that generation is still there and has nothing to do.
    pub fn next(&mut self, now: Nanos, patience: Nanos, is_free: impl Fn(u32, u32) -> bool) -> Next {
        let Some(pacer) = self.pacer.as_mut().filter(|pacer| pacer.due() <= now) else { return Next::Nothing };
        let intended = pacer.due();
        if now - intended > patience {
            pacer.advance();
            return Next::Shed;
        }
        while let Some((index, generation, since)) = self.free.pop_front() {
            if is_free(index, generation) {
                pacer.advance();
                return Next::Send { index, intended, lag: now.saturating_sub(intended.max(since)) };
            }
        }
        Next::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Schedule;
    use crate::schedule::Times;
    use std::time::Duration;

    const PATIENCE: Nanos = 1_000_000_000;

    /// A request each millisecond, and a connection for each of `freed` that is free since then.
    fn open_loop(freed: &[Nanos]) -> OpenLoop {
        let times = Times::new(Schedule::Rate(1000.0), Duration::ZERO, Duration::from_secs(1)).unwrap();
        let mut open_loop = OpenLoop::default();
        open_loop.begin(Pacer::new(times, 0, 0, 1));
        (0..).zip(freed).for_each(|(index, &since)| open_loop.freed(index, 0, since));
        open_loop
    }

    fn millis(n: u64) -> Nanos {
        n * 1_000_000
    }

    #[test]
    fn requests_go_out_in_order_on_the_connection_that_is_free_the_longest() {
        let mut open_loop = open_loop(&[0, 0, 0]);
        for n in 0..3 {
            assert_eq!(open_loop.due(), Some(millis(n)));
            let next = open_loop.next(millis(n) + 7, PATIENCE, |_, _| true);
            assert_eq!(next, Next::Send { index: n as u32, intended: millis(n), lag: 7 });
            assert_eq!(open_loop.next(millis(n) + 7, PATIENCE, |_, _| true), Next::Nothing);
        }
        assert_eq!((open_loop.due(), open_loop.unsent(millis(5) + 1)), (None, 3));
    }

    #[test]
    fn lag_does_not_count_what_a_connection_was_waited_for() {
        let mut open_loop = open_loop(&[millis(5)]);
        let next = open_loop.next(millis(5) + 7, PATIENCE, |_, _| true);
        assert_eq!(next, Next::Send { index: 0, intended: 0, lag: 7 });
    }

    #[test]
    fn a_connection_that_is_gone_is_passed_over() {
        let mut open_loop = open_loop(&[0, 0]);
        let next = open_loop.next(0, PATIENCE, |index, _| index == 1);
        assert_eq!(next, Next::Send { index: 1, intended: 0, lag: 0 });
    }

    #[test]
    fn what_waits_for_too_long_is_given_up() {
        let mut open_loop = open_loop(&[0]);
        let now = PATIENCE + millis(2);
        assert_eq!(open_loop.next(now, PATIENCE, |_, _| true), Next::Shed);
        assert_eq!(open_loop.next(now, PATIENCE, |_, _| true), Next::Shed);
        let next = open_loop.next(now, PATIENCE, |_, _| true);
        assert_eq!(next, Next::Send { index: 0, intended: millis(2), lag: PATIENCE });
    }

    #[test]
    fn a_closed_loop_has_nothing_to_send() {
        let mut open_loop = OpenLoop::default();
        open_loop.freed(0, 0, 0);
        assert_eq!((open_loop.is_on(), open_loop.due()), (false, None));
        assert_eq!(open_loop.next(Nanos::MAX, PATIENCE, |_, _| true), Next::Nothing);
    }
}
