//! Makes the windows of a run's trials: one for most of them, several for a knee search, further ones for a trial that
//! others disturbed.

use crate::again;
use crate::budget;
use crate::conntrack;
use crate::events::{Event, Observer};
use crate::fleet::Fleet;
use crate::knee;
use crate::neighbours::{Presence, named};
use crate::rates::Asked;
use crate::stop::Stop;
use crate::trial::{Attempt, Ended};
use fastrand::Rng;
use results::{Cell, Key, Plan, Schedule, Trial, Verdict, verdict};
use std::io;
use std::time::Duration;

/// A run makes at most this share of its windows again, or two of them if that is more. So a machine on which others
/// always work does not make the run three times as long.
const MOST_AGAIN: f64 = 0.25;

/// Makes windows.
pub struct Windows<'a> {
    plan: &'a Plan,
    stop: Stop<'a>,
    presence: &'a Presence,
    /// How many may still be made again.
    again_left: usize,
    /// Time that was spent in waits for room in the table of tracked connections.
    waited: Duration,
}

/// A trial that is to be made.
pub struct Place<'a> {
    /// Its cell.
    pub key: &'a Key,
    /// Which trial of the cell, from 0.
    pub trial: usize,
    /// Which window of the trial, from 0.
    pub window: usize,
    /// Whether it waits for a target that does not answer: see [`Attempt`].
    pub waits_before: bool,
    /// Whether it waits for a target that does not answer any more at its end: see [`Attempt`].
    pub waits_after: bool,
    /// Estimated length of a window of the trial, with all that belongs to it.
    pub window_takes: Duration,
    /// Estimated time that the run takes after the trial.
    pub rest_of_run: Duration,
    /// The trial is made again only if the budget has so much left.
    pub needs_for_repeat: Duration,
}

impl<'a> Windows<'a> {
    /// For a run of about `windows` windows.
    pub fn new(plan: &'a Plan, windows: usize, presence: &'a Presence, stop: Stop<'a>) -> Windows<'a> {
        let again_left = if plan.repeats { ((windows as f64 * MOST_AGAIN) as usize).max(2) } else { 0 };
        Windows { plan, stop, presence, again_left, waited: Duration::ZERO }
    }

    /// How long windows have waited for room in the table of tracked connections since this was asked last. It says nothing
    /// of how long the next ones take.
    pub fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// Makes a trial.
    ///
    /// # Errors
    /// The kernel's error if this machine could not run the load at all.
    pub fn trial(
        &mut self,
        place: &Place<'_>,
        asked: Result<Asked, String>,
        fleet: &mut dyn Fleet,
        observer: &mut dyn Observer,
    ) -> io::Result<Ended> {
        match asked {
            Err(why) => self.undisturbed(place, &Err(why), fleet, observer),
            Ok(Asked::Window { schedule, remark }) => {
                let mut ended = self.undisturbed(place, &Ok(schedule), fleet, observer)?;
                if let Ended::Measured { trial, .. } = &mut ended {
                    trial.remarks.extend(remark);
                }
                Ok(ended)
            }
            Ok(Asked::Knee { ceiling, multiple }) => {
                let objection = |trial: &Trial, cpus: Option<usize>| objection(place.key, trial, cpus);
                knee::search(ceiling, multiple, &objection, &mut |number, rate| {
                    let Place { key, trial, .. } = *place;
                    observer.on(Event::KneeWindow { cell: key, trial, number, rate });
                    let still = place.key.load.schedule.windows().saturating_sub(number + 1);
                    let place = Place {
                        window: number,
                        waits_before: place.waits_before || number > 0,
                        waits_after: true,
                        rest_of_run: place.rest_of_run.saturating_add(place.window_takes * still as u32),
                        ..*place
                    };
                    self.undisturbed(&place, &Ok(Schedule::Rate(rate)), fleet, observer)
                })
            }
        }
    }

    /// Makes a window, and again if others disturbed it.
    fn undisturbed(
        &mut self,
        place: &Place<'_>,
        schedule: &Result<Schedule, String>,
        fleet: &mut dyn Fleet,
        observer: &mut dyn Observer,
    ) -> io::Result<Ended> {
        let mut left = self.again_left;
        let (stop, needed) = (self.stop, place.needs_for_repeat);
        let has_time = || stop.left().is_none_or(|left| left >= needed);
        let disturbance = |trial: &Trial| has_time().then(|| verdict::disturbance(trial))?;
        let ended = again::undisturbed(&mut left, &disturbance, &mut |why| {
            if let Some(why) = why {
                observer.on(Event::MadeAgain { cell: place.key, trial: place.trial, why });
            }
            self.window(place, schedule, fleet, observer)
        });
        self.again_left = left;
        ended
    }

    fn window(
        &mut self,
        place: &Place<'_>,
        schedule: &Result<Schedule, String>,
        fleet: &mut dyn Fleet,
        observer: &mut dyn Observer,
    ) -> io::Result<Ended> {
        let Windows { plan, stop, presence, .. } = *self;
        let &Place { key, trial, window, waits_before, waits_after, rest_of_run, window_takes, .. } = place;
        let seed = arrivals_seed(plan.seed, trial, window);
        if stop.is_set() {
            return Ok(Ended::Stopped);
        }
        let reserve = budget::reserve(plan);
        let asked = schedule.as_ref().copied().unwrap_or(key.load.schedule);
        let opened = conntrack::entries_needed(&key.load, asked, plan.warmup + plan.duration);
        self.waited += conntrack::wait_for_room(opened, stop, &mut |at_most| {
            let rest = rest_of_run.saturating_add(at_most + window_takes);
            observer.on(Event::WaitsForRoom { at_most, remaining: budget::limited(rest, stop, reserve) });
        });
        let schedule = schedule.clone();
        let attempt = Attempt { plan, key, schedule, seed, rest_of_run, reserve, waits_before, waits_after, stop };
        let mut others = presence.others();
        let ended = attempt.make(fleet, observer);
        fleet.finished(&key.target);
        let mut ended = ended?;
        others.extend(presence.others());
        others.sort_unstable();
        others.dedup();
        if let Ended::Measured { trial, .. } = &mut ended
            && !others.is_empty()
        {
            trial.remarks.push(format!("on this machine, {} ran at the same time", named(&others)));
        }
        Ok(ended)
    }
}

/// Decides the times of Poisson arrivals in a window: each window of each block has times of its own, so that the median
/// over the trials is not one of a single sequence. The targets of a block get the same times.
fn arrivals_seed(seed: u64, block: usize, window: usize) -> u64 {
    let nth = |seed: u64, n: usize| {
        let mut random = Rng::with_seed(seed);
        for _ in 0..n {
            random.u64(..);
        }
        random.u64(..)
    };
    nth(nth(seed, block), window)
}

/// Why the target may not be the cause if it did not keep up in this window.
fn objection(key: &Key, trial: &Trial, cpus: Option<usize>) -> Option<Verdict> {
    if verdict::disturbance(trial).is_some() {
        return Some(Verdict::Disturbed);
    }
    let mut cell = Cell::new(key.clone());
    cell.trials.push(trial.clone());
    cell.summarise();
    verdict::judge(&mut cell, cpus.unwrap_or_else(crate::cpus::online_cpus));
    let mut verdicts = cell.flaws.values().map(|flaw| flaw.verdict).chain([cell.verdict]);
    verdicts.find(|&verdict| verdict == Verdict::ClientLimited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_of_each_block_has_its_own_arrivals_and_a_run_can_be_repeated() {
        let of = |seed| (0..5).flat_map(move |block| (0..15).map(move |window| arrivals_seed(seed, block, window)));
        let mut all: Vec<u64> = of(1).chain(of(2)).collect();
        assert!(of(1).eq(all[..75].iter().copied()));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 150);
    }
}
