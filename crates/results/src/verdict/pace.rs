//! Whether the answers to an open loop came as fast as its requests were due.

use crate::schedule::Schedule;
use crate::schema::Trial;
use crate::slices::SLICES;

/// The answers that come in the window may be fewer than the requests that are due in it by one in a hundred.
const SHARE: f64 = 0.99;
/// And by so many standard deviations of the number of requests that cross the ends of the window.
const DEVIATIONS: f64 = 3.0;
/// And by so many requests: one that crosses an end, and one for the rounding of the rate.
const REQUESTS: f64 = 2.0;
/// Answers come in bursts if so many times the average come in one slice of the window.
const BURSTS: f64 = 2.0;

/// Complete answers that came in the window. In an open loop these are other answers than those of `outcomes`, which
/// belong to the requests that were due in the window, and of which some came later.
pub(super) fn answers_in_window(trial: &Trial) -> f64 {
    let pace = &trial.figures.pace;
    match pace.offered_per_second.zip(pace.achieved_share) {
        Some((offered, share)) => (share * offered * trial.seconds).round(),
        None => trial.outcomes.answered() as f64,
    }
}

/// Whether the target kept up with the rate that was offered, as far as the window can show it; `None` in a closed loop.
///
/// Answers that come in the window and requests that are due in it differ by the requests in flight at its two ends.
/// On average these are rate × mean latency (Little's law). If each of both numbers has a Poisson distribution, as
/// with Poisson arrivals and enough capacity, their difference has a variance of twice that. A target that does not
/// keep up lacks answers in proportion to the window, which is soon beyond three standard deviations. In a ramp, more
/// requests are in flight at the end than at the beginning, since the rate is higher there.
///
/// A server that computes in between answers in bursts. Where the window ends just before one, a whole burst
/// ([`Pace::largest_burst`](crate::figures::Pace)) lacks besides; only a longer window could tell what that means.
pub fn kept_up(trial: &Trial, schedule: Schedule) -> Option<bool> {
    let pace = &trial.figures.pace;
    let share = pace.achieved_share?;
    if share >= SHARE {
        return Some(true);
    }
    let Some(offered) = pace.offered_per_second else { return Some(false) };
    let latency = trial.figures.latency_us.mean.unwrap_or(0.0) / 1e6;
    let grows_by = if let Schedule::Ramp { from, to } = schedule { (to - from).max(0.0) * latency } else { 0.0 };
    let lacking = (1.0 - share) * offered * trial.seconds - grows_by;
    let by_chance = DEVIATIONS * (2.0 * offered * latency).sqrt();
    let in_a_slice = answers_in_window(trial) / SLICES as f64;
    let burst = pace.largest_burst.filter(|largest| *largest >= BURSTS * in_a_slice).unwrap_or(0.0);
    // Figures have nine digits.
    Some(lacking <= by_chance.max(REQUESTS) + burst + 1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::empty_trial;

    /// A window of one second: requests due, answers, mean latency in milliseconds.
    fn keeps_up(due: f64, answers: f64, latency_ms: f64, schedule: Schedule) -> Option<bool> {
        let mut trial = empty_trial();
        trial.seconds = 1.0;
        trial.figures.latency_us.mean = Some(latency_ms * 1e3);
        let pace = &mut trial.figures.pace;
        (pace.offered_per_second, pace.achieved_share) = (Some(due), Some(answers / due));
        assert_eq!(answers_in_window(&trial), answers);
        kept_up(&trial, schedule)
    }

    #[test]
    fn a_target_keeps_up_unless_it_lacks_more_answers_than_cross_the_ends_of_the_window() {
        let at = |due, answers, latency| keeps_up(due, answers, latency, Schedule::Rate(due)).unwrap();
        assert!(at(10_000.0, 9_900.0, 0.0) && !at(10_000.0, 9_899.0, 0.0), "one in a hundred");
        assert!(at(60.0, 59.0, 1.0) && at(60.0, 58.0, 1.0) && !at(60.0, 57.0, 1.0), "two requests");
        assert!(at(200.0, 182.0, 100.0) && !at(200.0, 180.0, 100.0), "20 in flight: three times the root of 40");
        // It has capacity for nine of ten: the last request is due after 1 s and answered after 1.11 s.
        assert!(!at(2_000.0, 1_800.0, 55.0));
        assert!(!at(1_000.0, 0.0, 500.0));
    }

    #[test]
    fn a_burst_that_comes_just_after_the_window_is_not_lacking() {
        // 300 requests are due a second. Between two computations of 57 ms, the server answers the 17 that wait.
        let keeps_up = |answers: f64, largest| {
            let mut trial = empty_trial();
            trial.seconds = 0.4;
            trial.figures.latency_us.mean = Some(35e3);
            let pace = &mut trial.figures.pace;
            (pace.offered_per_second, pace.achieved_share) = (Some(300.0), Some(answers / 120.0));
            pace.largest_burst = largest;
            kept_up(&trial, Schedule::Rate(300.0)).unwrap()
        };
        assert!(keeps_up(90.0, Some(17.0)) && !keeps_up(89.0, Some(17.0)), "a burst of 17, and 13.7 by chance");
        assert!(!keeps_up(103.0, Some(10.0)), "10 in a slice are less than twice 103 / 20: no burst");
        assert!(!keeps_up(103.0, None), "a file has no bursts that is older than this figure");
    }

    #[test]
    fn in_a_ramp_more_requests_are_in_flight_at_the_end() {
        let ramp = Schedule::Ramp { from: 100.0, to: 1_000.0 };
        assert_eq!(keeps_up(550.0, 460.0, 100.0, ramp), Some(true));
        assert_eq!(keeps_up(550.0, 460.0, 100.0, Schedule::Rate(550.0)), Some(false));
        assert_eq!(keeps_up(550.0, 400.0, 100.0, ramp), Some(false));
    }

    #[test]
    fn poisson_arrivals_at_a_target_with_enough_capacity_do_not_fail() {
        let mut random = fastrand::Rng::with_seed(1);
        let (rate, latency) = (200.0, 0.1);
        let failed = (0..1_000).filter(|_| {
            let (mut due, mut answers, mut now) = (0.0, 0.0, -1.0);
            while now < 1.0 {
                due += f64::from(now >= 0.0);
                answers += f64::from((0.0..1.0).contains(&(now + latency)));
                now -= (1.0 - random.f64()).ln() / rate;
            }
            keeps_up(due, answers, latency * 1e3, Schedule::Rate(rate)) == Some(false)
        });
        assert!(failed.count() <= 10, "three standard deviations");
    }

    #[test]
    fn a_closed_loop_has_no_rate_to_keep_up_with() {
        let mut trial = empty_trial();
        trial.outcomes[crate::outcomes::OutcomeClass::Ok] = 7;
        assert_eq!((kept_up(&trial, Schedule::Closed), answers_in_window(&trial)), (None, 7.0));
    }
}
