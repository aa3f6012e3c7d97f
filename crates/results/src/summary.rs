//! From trials to a cell: the figures over the trials, and why some are missing.

use crate::figures::{Figures, Times};
use crate::histogram;
use crate::outcomes::OutcomeCounts;
use crate::schedule::Schedule;
use crate::schema::{Cell, Trial};
use crate::statistics::Figure;
use crate::units::nine_digits;
use std::collections::BTreeMap;

impl Cell {
    /// Computes the cell's outcomes and figures from its trials. A percentile for which single trials have too few
    /// samples is that of all their samples together, and has no interval.
    pub fn summarise(&mut self) {
        let trials = self.counted_trials();
        let mut figures = Figures::summarise(trials.iter().map(|trial| &trial.figures));
        let mut missing: BTreeMap<_, _> = trials.iter().flat_map(|trial| trial.missing.clone()).collect();
        let is_closed = self.key.load.schedule == Schedule::Closed;
        if is_closed {
            // A closed loop's service times are its latencies, and older files give the reason only there.
            let latencies: Vec<_> = missing.iter().map(|(name, why)| (name.clone(), why.clone())).collect();
            for (name, why) in latencies {
                if let Some(rest) = name.strip_prefix("latency_us") {
                    missing.insert(format!("service_time_us{rest}"), why);
                }
            }
        }
        if trials.len() > 1 {
            pool(&mut figures, &trials, is_closed);
        }
        (self.figures, self.missing) = (figures, missing);
        self.explain_missing();
        self.outcomes = self.trials.iter().fold(Default::default(), |mut sum: OutcomeCounts, trial| {
            sum.add(&trial.outcomes);
            sum
        });
    }

    /// Each figure has either a value or a reason.
    pub(crate) fn explain_missing(&mut self) {
        let Cell { figures, missing, .. } = self;
        for (name, figure) in figures.iter() {
            if figure.is_some() {
                missing.remove(&name.path());
            } else if !missing.contains_key(name.group) {
                let unknown = || "the program that measured it did not have this figure".into();
                missing.entry(name.path()).or_insert_with(unknown);
            }
        }
    }

    /// Records why a cell without a trial has no figures.
    pub fn mark_missing(&mut self, why: &str) {
        self.missing = Figures::all(Err(why.to_owned())).values_and_missing().1;
    }
}

/// A group of times in a trial, with its histogram.
type Distribution<'t> = (&'t Times<Option<f64>>, &'t str);

/// Fills in the percentiles for which single trials have too few samples.
fn pool(figures: &mut Figures<Option<Figure>>, trials: &[&Trial], is_closed: bool) {
    let of = |group: fn(&Trial) -> Distribution<'_>| trials.iter().map(|trial| group(trial)).collect::<Vec<_>>();
    let latencies = of(|trial| (&trial.figures.latency_us, &trial.latency_histogram));
    let service_times = match is_closed {
        true => latencies.clone(),
        false => of(|trial| (&trial.figures.service_time_us, &trial.service_time_histogram)),
    };
    fill_in(&mut figures.latency_us, &latencies);
    fill_in(&mut figures.service_time_us, &service_times);
    fill_in(&mut figures.connect_us, &of(|trial| (&trial.figures.connect_us, &trial.connect_histogram)));
    fill_in(&mut figures.schedule_lag_us, &of(|trial| (&trial.figures.schedule_lag_us, &trial.schedule_lag_histogram)));
}

fn fill_in(figures: &mut Times<Option<Figure>>, trials: &[Distribution<'_>]) {
    if figures.p999.is_some() {
        return; // and so are the others
    }
    let Some(pooled) = histogram::pooled(trials.iter().map(|(_, text)| *text)) else { return };
    let pooled = histogram::times(&pooled);
    let alone: Vec<_> =
        trials.iter().filter_map(|(_, text)| Some(histogram::times(&histogram::decode(text)?))).collect();
    let Times { p50, p90, p99, p999, .. } = figures;
    for (at, figure) in [p50, p90, p99, p999].into_iter().enumerate().filter(|(_, figure)| figure.is_none()) {
        // A trial that had enough samples lacks the percentile for another reason, which the others do not mend.
        let was_taken = trials
            .iter()
            .zip(&alone)
            .any(|((trial, _), alone)| percentiles(trial)[at].is_none() && percentiles(alone)[at].is_ok());
        let value = percentiles(&pooled)[at].as_ref().ok().filter(|_| !was_taken);
        *figure = value.map(|&value| Figure { median: nine_digits(value), low: None, high: None });
    }
}

fn percentiles<T>(times: &Times<T>) -> [&T; 4] {
    [&times.p50, &times.p90, &times.p99, &times.p999]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remarks::remarks;
    use crate::schema::tests::{empty_trial, results};
    use hdrhistogram::Histogram;

    /// A trial of an open loop with this many samples of 1 ms and more, which has the percentiles that they suffice
    /// for.
    fn trial(samples: u64) -> Trial {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        (0..samples).for_each(|n| histogram.record(1_000_000 + n * 1_000).unwrap());
        let mut trial = empty_trial();
        trial.latency_histogram = histogram::encode(&histogram);
        let times = histogram::times(&histogram);
        for (name, value) in [("p99", &times.p99), ("p999", &times.p999)] {
            let why = value.as_ref().err().map(|why| (format!("latency_us.{name}"), why.clone()));
            trial.missing.extend(why);
        }
        trial.figures.latency_us = Times {
            mean: times.mean.ok(),
            p50: times.p50.ok(),
            p90: times.p90.ok(),
            p99: times.p99.ok(),
            p999: times.p999.ok(),
            max: times.max.ok(),
        };
        trial
    }

    fn summarised(schedule: Schedule, trials: Vec<Trial>) -> Cell {
        let mut cell = Cell { trials, ..results(&["a"]).cells.remove(0) };
        cell.key.load.schedule = schedule;
        cell.summarise();
        cell
    }

    #[test]
    fn a_percentile_comes_from_all_samples_where_single_trials_have_too_few() {
        let cell = summarised(Schedule::Rate(400.0), vec![trial(400), trial(400), trial(1_200)]);
        let Times { p90, p99, p999, .. } = cell.figures.latency_us;
        let p99 = p99.unwrap();
        assert!((p99.low, p99.high) == (None, None) && (2_100.0..2_200.0).contains(&p99.median), "{p99:?}");
        assert_eq!(p90.unwrap().median, trial(400).figures.latency_us.p90.unwrap(), "it is the median of the trials");
        assert_eq!((p999, cell.missing.get("latency_us.p99")), (None, None));
        assert!(cell.missing["latency_us.p999"].starts_with("needs 10000 samples"));
        assert_eq!(remarks(&cell), ["single trials have too few requests for p99: it is that of all trials together"]);
        let alone = summarised(Schedule::Rate(400.0), vec![trial(400)]);
        assert!(alone.figures.latency_us.p99.is_none() && remarks(&alone).is_empty());
    }

    #[test]
    fn a_closed_loops_service_times_are_pooled_as_its_latencies() {
        let cell = summarised(Schedule::Closed, vec![trial(600), trial(600)]);
        assert_eq!(cell.figures.service_time_us.p99, cell.figures.latency_us.p99);
        assert!(cell.figures.service_time_us.p99.is_some());
    }

    #[test]
    fn a_percentile_that_was_taken_from_a_trial_is_not_pooled() {
        let mut late = trial(1_200);
        (late.figures.latency_us.p99, late.figures.latency_us.p999) = (None, None);
        late.missing.insert("latency_us.p99".into(), "the generator was late".into());
        let cell = summarised(Schedule::Rate(400.0), vec![trial(400), late]);
        assert_eq!(cell.figures.latency_us.p99, None);
        assert_eq!(cell.missing["latency_us.p99"], "the generator was late");
    }
}
