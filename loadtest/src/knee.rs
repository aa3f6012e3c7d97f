//! Searches for the knee: the highest rate that a target can take without a steep growth of its latency.
//!
//! The first two windows are at a low rate, [`LOW`] of the ceiling that the closed loop measured. A target *keeps up*
//! with a rate if its 99th percentile of the latency is not above a multiple of that at the low rate, and if answers come
//! as fast as requests are due ([`kept_up`]) and none fails. The search then halves, on a logarithmic scale,
//! the bracket between the highest rate that the target kept up with and the lowest one that it did not keep up with,
//! until the bracket is within [`RESOLUTION`].
//!
//! The target is made ready anew for each window, so that none begins with what an overload has left behind.
//!
//! A single stall of the machine can spoil a window. It only ever makes latencies longer, so of the two windows at the
//! low rate the one with the lower p99 counts. Elsewhere the search would end far below the knee. So it tries the upper
//! end of the last bracket again, and if the target keeps up this time, the search goes on above it.

use crate::trial::Ended;
use results::lists::add_new;
use results::verdict::kept_up;
use results::{Probe, Schedule, Trial, Verdict};
use std::io;

/// The low rate, as a share of the ceiling.
const LOW: f64 = 0.1;
/// The windows at the low rate.
const LOW_WINDOWS: usize = 2;
/// The highest rate that is considered, as a share of the ceiling. The measured ceiling may be too low; a higher end
/// takes no more windows, since the number of halvings stays the same up to twice the ceiling.
const TOP: f64 = 1.5;
/// The ratio of the ends of a bracket that is narrow enough.
const RESOLUTION: f64 = 1.05;
/// The most windows of a search. Without a spoiled window it needs nine.
const MOST_WINDOWS: usize = 15;

/// Searches for the knee. `window` makes a window, which has this number and this rate. `objection` says for a window
/// with which the target did not keep up, and the CPUs that the target may run on, whether something else may be the
/// cause.
///
/// Returns the window at the highest rate that the target kept up with, so that its figures are those at the knee, or a
/// window at the low rate if there is none. Its `probes` have all windows.
///
/// # Errors
/// Those of `window`.
pub fn search(
    ceiling: f64,
    multiple: f64,
    objection: &dyn Fn(&Trial, Option<usize>) -> Option<Verdict>,
    window: &mut dyn FnMut(usize, f64) -> io::Result<Ended>,
) -> io::Result<Ended> {
    let mut search = Search {
        low: ceiling * LOW,
        multiple,
        limit: None,
        probes: Vec::new(),
        kept: None,
        failed: vec![ceiling * TOP],
        is_confirmed: false,
        remarks: Vec::new(),
    };
    while let Some(rate) = search.next() {
        match window(search.probes.len(), rate)? {
            Ended::Measured { trial, cpus, no_answer_at_end } => {
                let is_cut_short = trial.aborted;
                search.add(rate, trial, cpus, objection);
                if is_cut_short || no_answer_at_end.is_some() {
                    return Ok(search.end(is_cut_short, no_answer_at_end));
                }
            }
            Ended::Stopped if search.kept.is_some() => return Ok(search.end(true, None)),
            ended => return Ok(ended),
        }
    }
    Ok(search.end(false, None))
}

/// A window that may be the one at the knee.
struct Kept {
    rate: f64,
    trial: Box<Trial>,
    cpus: Option<usize>,
}

struct Search {
    low: f64,
    multiple: f64,
    /// The highest accepted p99, in microseconds; known after the windows at the low rate, if one of these is sound.
    limit: Option<f64>,
    probes: Vec<Probe>,
    /// The window at the highest rate that the target kept up with; else the first window.
    kept: Option<Kept>,
    /// The rates above it that the target did not keep up with, in falling order. The first one is the end of the
    /// range, which was not tried.
    failed: Vec<f64>,
    /// Whether the target did not keep up with the lowest of these a second time.
    is_confirmed: bool,
    remarks: Vec<String>,
}

impl Search {
    /// The rate of the next window; `None` if the search is over.
    fn next(&self) -> Option<f64> {
        match &self.probes[..] {
            [] => return Some(self.low),
            // A further window would have as few samples.
            [Probe { p99_us: None, .. }] => return None,
            low if low.len() < LOW_WINDOWS => return Some(self.low),
            _ => {}
        }
        if self.limit.is_none() || self.is_confirmed || self.probes.len() >= MOST_WINDOWS {
            return None;
        }
        let kept = self.kept.as_ref()?.rate;
        match self.failed[..] {
            [.., lowest] if lowest > kept * RESOLUTION => Some((kept * lowest).sqrt()),
            [_, .., lowest] => Some(lowest),
            _ => None,
        }
    }

    fn add(
        &mut self,
        rate: f64,
        mut trial: Box<Trial>,
        cpus: Option<usize>,
        objection: &dyn Fn(&Trial, Option<usize>) -> Option<Verdict>,
    ) {
        add_new(&mut self.remarks, std::mem::take(&mut trial.remarks));
        let is_kept = !trial.aborted && {
            let p99_us = trial.figures.latency_us.p99;
            let is_achieved = kept_up(&trial, Schedule::Rate(rate)) == Some(true);
            let sound_p99 = p99_us.filter(|_| is_achieved && trial.outcomes.errors() == 0);
            let is_low = self.probes.len() < LOW_WINDOWS;
            let limit = sound_p99.filter(|_| is_low).map(|p99| p99 * self.multiple);
            let is_lower = limit.is_some_and(|limit| self.limit.is_none_or(|other| limit < other));
            if is_lower {
                self.limit = limit;
            }
            let kept_up = sound_p99.zip(self.limit).is_some_and(|(p99, limit)| p99 <= limit);
            let objection = if kept_up { None } else { objection(&trial, cpus) };
            self.probes.push(Probe { rate, p99_us, kept_up, objection });
            match is_low {
                true => is_lower,
                false => {
                    self.note(rate, kept_up);
                    kept_up
                }
            }
        };
        if is_kept || self.kept.is_none() {
            self.kept = Some(Kept { rate, trial, cpus });
        }
    }

    /// Narrows the bracket.
    fn note(&mut self, rate: f64, kept_up: bool) {
        if kept_up {
            self.failed.retain(|&failed| failed > rate);
        } else if self.failed.last() == Some(&rate) {
            self.is_confirmed = true;
        } else {
            self.failed.push(rate);
        }
    }

    /// What the search returns. An interrupt also cuts short a search between two windows.
    fn end(self, is_cut_short: bool, no_answer_at_end: Option<String>) -> Ended {
        let Some(Kept { mut trial, cpus, .. }) = self.kept else { return Ended::Stopped };
        trial.aborted |= is_cut_short;
        (trial.probes, trial.remarks) = (self.probes, self.remarks);
        Ended::Measured { trial, cpus, no_answer_at_end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NotReady;
    use crate::measure::tests::empty_trial;
    use results::OutcomeClass;
    use std::sync::LazyLock;

    const CEILING: f64 = 10_000.0;

    /// A window of a target that answers up to `capacity` requests a second, with the latency of an M/M/1 queue. The
    /// p99 is `noise` times that.
    fn window(capacity: f64, rate: f64, noise: f64) -> Ended {
        static EMPTY: LazyLock<Trial> = LazyLock::new(empty_trial);
        let mut trial = Box::new(EMPTY.clone());
        let load = (rate / capacity).min(0.9999);
        trial.seconds = rate; // by which the tests recognise the window
        trial.figures.latency_us.p99 = Some(100.0 / (1.0 - load) * noise);
        trial.figures.pace.achieved_share = Some((capacity / rate).min(1.0));
        Ended::Measured { trial, cpus: Some(1), no_answer_at_end: None }
    }

    /// The rate at which that target's p99 is three times that at the low rate.
    fn knee(capacity: f64) -> f64 {
        capacity * (1.0 - (1.0 - CEILING * LOW / capacity) / 3.0)
    }

    fn searched(mut make: impl FnMut(usize, f64) -> Ended) -> Trial {
        match search(CEILING, 3.0, &|_, _| None, &mut |number, rate| Ok(make(number, rate))).unwrap() {
            Ended::Measured { trial, .. } => *trial,
            _ => panic!("no trial"),
        }
    }

    /// The rate of the window that was kept.
    fn found(make: impl FnMut(usize, f64) -> Ended) -> f64 {
        searched(make).seconds
    }

    #[test]
    fn the_knee_is_found_within_five_per_cent_in_nine_windows() {
        for share in [0.15, 0.3, 0.5, 0.7, 0.9, 1.0, 1.3] {
            let capacity = CEILING * share;
            let trial = searched(|_, rate| window(capacity, rate, 1.0));
            let ratio = knee(capacity) / trial.seconds;
            assert!((1.0..RESOLUTION).contains(&ratio), "{share}: {ratio}");
            assert!(trial.probes.len() <= 9, "{share}: {:?}", trial.probes);
            let highest = trial.probes.iter().filter(|probe| probe.kept_up).map(|probe| probe.rate).fold(0.0, f64::max);
            assert_eq!(highest, trial.seconds);
        }
    }

    #[test]
    fn a_stall_in_one_window_does_not_move_the_knee() {
        let undisturbed = found(|_, rate| window(CEILING, rate, 1.0));
        for spoiled in 0..9 {
            let rate = found(|number, rate| window(CEILING, rate, if number == spoiled { 50.0 } else { 1.0 }));
            assert!((rate / undisturbed).ln().abs() < RESOLUTION.ln(), "{spoiled}: {rate} and {undisturbed}");
        }
    }

    #[test]
    fn the_median_of_five_searches_bears_noise() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let mut rates: Vec<f64> = (0..5)
                .map(|_| {
                    found(|_, rate| {
                        let spoiled = random.f64() < 0.05;
                        window(CEILING, rate, if spoiled { 20.0 } else { 0.85 + 0.3 * random.f64() })
                    })
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            assert!((rates[2] / knee(CEILING)).ln().abs() < 0.1, "{rates:?} and {}", knee(CEILING));
        }
    }

    #[test]
    fn without_a_knee_the_window_at_the_low_rate_or_at_the_highest_rate_is_kept() {
        let broken = searched(|_, rate| window(1.0, rate, 1.0));
        assert_eq!((broken.seconds, broken.probes.len(), broken.probes[0].kept_up), (CEILING * LOW, 2, false));
        let fast = searched(|_, rate| window(1e9, rate, 1.0));
        assert!(fast.seconds > CEILING * TOP / RESOLUTION && fast.probes.iter().all(|probe| probe.kept_up));
        let few = searched(|_, rate| {
            let mut ended = window(CEILING, rate, 1.0);
            if let Ended::Measured { trial, .. } = &mut ended {
                trial.figures.latency_us.p99 = None;
            }
            ended
        });
        assert_eq!((few.seconds, few.probes.len(), few.probes[0].p99_us), (CEILING * LOW, 1, None));
    }

    #[test]
    fn a_rate_at_which_requests_fail_is_too_high() {
        let rate = found(|_, rate| {
            let mut ended = window(1e9, rate, 1.0);
            if let Ended::Measured { trial, .. } = &mut ended {
                trial.outcomes[OutcomeClass::ReadTimeout] = u64::from(rate > 5_000.0);
            }
            ended
        });
        assert!((5_000.0 / RESOLUTION..=5_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_window_that_others_spoiled_says_so_and_remarks_are_kept() {
        let objection = |_: &Trial, cpus| (cpus == Some(1)).then_some(Verdict::ClientLimited);
        let mut make = |_, rate| {
            let mut ended = window(CEILING, rate, 1.0);
            if let Ended::Measured { trial, .. } = &mut ended {
                trial.remarks = vec!["the same".into(), format!("{rate}")];
            }
            Ok(ended)
        };
        let Ok(Ended::Measured { trial, .. }) = search(CEILING, 3.0, &objection, &mut make) else { panic!() };
        assert!(trial.probes.iter().all(|probe| probe.kept_up == probe.objection.is_none()), "{:?}", trial.probes);
        // The low rate and the upper end were tried twice.
        assert_eq!((trial.remarks[0].as_str(), trial.remarks.len()), ("the same", trial.probes.len() - 1));
    }

    #[test]
    fn an_interrupt_ends_the_search_with_what_it_has() {
        let cut = searched(|number, rate| if number < 3 { window(CEILING, rate, 1.0) } else { Ended::Stopped });
        assert!(cut.aborted && cut.probes.len() == 3 && cut.seconds > CEILING * LOW, "{cut:?}");
        let in_window = searched(|number, rate| {
            let mut ended = window(CEILING, rate, 1.0);
            if let (3, Ended::Measured { trial, .. }) = (number, &mut ended) {
                trial.aborted = true;
            }
            ended
        });
        assert_eq!((in_window.seconds, in_window.probes.len(), in_window.aborted), (cut.seconds, 3, true));
        let stopped = search(CEILING, 3.0, &|_, _| None, &mut |_, _| Ok(Ended::Stopped)).unwrap();
        assert!(matches!(stopped, Ended::Stopped));
    }

    #[test]
    fn a_target_that_goes_away_ends_the_search() {
        let gone = |number, rate| match window(CEILING, rate, 1.0) {
            Ended::Measured { trial, cpus, .. } => {
                Ended::Measured { trial, cpus, no_answer_at_end: (number == 2).then(|| "refused".into()) }
            }
            other => other,
        };
        let ended = search(CEILING, 3.0, &|_, _| None, &mut |number, rate| Ok(gone(number, rate))).unwrap();
        let Ended::Measured { trial, no_answer_at_end, .. } = ended else { panic!() };
        assert_eq!((trial.probes.len(), no_answer_at_end.as_deref()), (3, Some("refused")));
        let not_ready = |number, rate| match number {
            1 => Ok(Ended::NotReady(NotReady::Unreachable("refused".into()))),
            _ => Ok(window(CEILING, rate, 1.0)),
        };
        assert!(matches!(search(CEILING, 3.0, &|_, _| None, &mut { not_ready }), Ok(Ended::NotReady(_))));
    }
}
