//! Decides when the warm-up is over.
//!
//! The warm-up takes at least the planned time. It goes on until each measured connection has got an answer, since the
//! first request on a connection may cost the server more than the others, and until the rate of answers does not grow any
//! more. It ends anyway after four times the planned time, or after a second if that is longer.

use super::clock::Nanos;
use std::collections::VecDeque;

/// The window is decided this long before it begins, so that each thread knows of it by then.
pub const LEAD: Nanos = 25_000_000;
/// The longest warm-up, unless four times the planned one is longer.
const LONGEST: Nanos = 1_000_000_000;
/// If no further connection was answered for so long, the others are not waited for: the server does not serve them.
const STARVED: Nanos = 250_000_000;
/// The rate has settled if the second half of a period has at most this many answers for each one of the first half...
const GROWTH: f64 = 1.1;
/// ...and this many standard deviations of a Poisson distribution more, since small counts vary.
const DEVIATIONS: f64 = 2.0;

/// The warm-up so far.
pub struct WarmUp {
    planned: Nanos,
    longest: Nanos,
    connections: usize,
    /// Whether there are enough requests for all connections.
    can_answer_all: bool,
    /// When the number of answered connections last grew, and that number.
    progress: (Nanos, usize),
    /// The number of answers at points in time. The first one is not later than the begin of the last planned period.
    answers: VecDeque<(Nanos, u64)>,
}

impl WarmUp {
    /// A warm-up that shall take `planned` for this number of measured connections. `rate` is the requests a second of an
    /// open loop.
    pub fn new(planned: Nanos, connections: usize, rate: Option<f64>) -> WarmUp {
        let longest = LONGEST.max(planned.saturating_mul(4));
        // A connection that is free is used again after all others.
        let can_answer_all = rate.is_none_or(|rate| rate * longest as f64 / 1e9 >= connections as f64);
        WarmUp { planned, longest, connections, can_answer_all, progress: (0, 0), answers: VecDeque::from([(0, 0)]) }
    }

    /// Takes note of the number of answers and of answered connections at `now`, counted from the begin of the load.
    /// Returns when the window may begin, once that is known.
    pub fn window_begin(&mut self, now: Nanos, answers: u64, answered_once: usize) -> Option<Nanos> {
        if answered_once > self.progress.1 {
            self.progress = (now, answered_once);
        }
        self.answers.push_back((now, answers));
        while self.answers.len() > 2 && self.answers[1].0 + self.planned <= now {
            self.answers.pop_front();
        }
        let begin = now + LEAD;
        let over =
            begin >= self.longest || (begin >= self.planned && self.has_answered_all(now) && self.has_settled(now));
        over.then_some(begin.max(self.planned))
    }

    fn has_answered_all(&self, now: Nanos) -> bool {
        let (last, answered) = self.progress;
        !self.can_answer_all || answered >= self.connections || (answered > 0 && now - last >= STARVED)
    }

    /// Whether the rate in the second half of the last period was not above that in its first half.
    fn has_settled(&self, now: Nanos) -> bool {
        let period = self.planned.min(now);
        let [begin, middle, end] = [now - period, now - period / 2, now].map(|time| self.answers_at(time));
        let (first, second) = (middle - begin, end - middle);
        second <= GROWTH * first + DEVIATIONS * first.max(1.0).sqrt()
    }

    /// The number of answers at `time`, interpolated between the two nearest points.
    fn answers_at(&self, time: Nanos) -> f64 {
        let after = self.answers.partition_point(|&(at, _)| at < time).min(self.answers.len() - 1);
        let (later, to) = self.answers[after];
        let (earlier, from) = self.answers[after.saturating_sub(1)];
        let share = (time - earlier.min(time)) as f64 / (later - earlier).max(1) as f64;
        from as f64 + share.min(1.0) * (to - from) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    /// When the window begins, in milliseconds, with these answers and answered connections at each millisecond. There are
    /// 64 connections, and the planned warm-up is 60 ms. The coordinator looks every 10 ms.
    fn begin(rate: Option<f64>, answers: impl Fn(u64) -> u64, answered_once: impl Fn(u64) -> usize) -> u64 {
        let mut warm_up = WarmUp::new(60 * MILLISECOND, 64, rate);
        let look = |ms| warm_up.window_begin(ms * MILLISECOND, answers(ms), answered_once(ms));
        (0..).step_by(10).find_map(look).unwrap() / MILLISECOND
    }

    #[test]
    fn a_server_with_a_constant_rate_is_warm_after_the_planned_time() {
        assert_eq!(begin(None, |ms| 30 * ms, |_| 64), 65);
        assert_eq!(begin(Some(200.0), |ms| ms / 5, |_| 64), 65);
    }

    #[test]
    fn each_connection_must_have_been_answered() {
        assert_eq!(begin(None, |ms| 30 * ms, |ms| if ms < 200 { 63 } else { 64 }), 225);
        // 200 requests a second take 320 ms to reach 64 connections, and 20 take longer than the longest warm-up.
        assert_eq!(begin(Some(200.0), |ms| ms / 5, |ms| (ms as usize / 5).min(64)), 345);
        assert_eq!(begin(Some(20.0), |ms| ms / 50, |ms| ms as usize / 50), 65);
    }

    #[test]
    fn a_server_that_serves_some_connections_only_is_not_waited_for() {
        assert_eq!(begin(None, |ms| 30 * ms, |ms| (ms as usize).min(8)), 10 + 250 + 25);
    }

    #[test]
    fn a_server_that_gets_faster_is_waited_for_until_the_end() {
        let doubles_every_20_ms = |ms: u64| (100.0 * 2f64.powf(ms as f64 / 20.0)) as u64 - 100;
        assert_eq!(begin(None, doubles_every_20_ms, |_| 64), 1005);
        let begins = begin(None, |ms| if ms < 200 { ms * ms } else { 400 * ms - 40_000 }, |_| 64);
        assert!((225..=285).contains(&begins), "{begins}");
    }

    #[test]
    fn a_server_that_never_answers_has_the_longest_warm_up() {
        assert_eq!(begin(None, |_| 0, |_| 0), 1005);
        let mut warm_up = WarmUp::new(2_000 * MILLISECOND, 1, None);
        let look = |ms| warm_up.window_begin(ms * MILLISECOND, 0, 0);
        assert_eq!((0..).step_by(10).find_map(look), Some(8_005 * MILLISECOND));
    }
}
