//! From trials to a cell: the figures over the trials, and why some are missing.

use crate::figures::Figures;
use crate::outcomes::OutcomeCounts;
use crate::schedule::Schedule;
use crate::schema::Cell;
use std::collections::BTreeMap;

impl Cell {
    /// Computes the cell's outcomes and figures from its trials.
    pub fn summarise(&mut self) {
        let whole = self.counted_trials();
        let figures = Figures::summarise(whole.iter().map(|trial| &trial.figures));
        let mut missing: BTreeMap<_, _> = whole.iter().flat_map(|trial| trial.missing.clone()).collect();
        if self.key.schedule == Schedule::Closed {
            // A closed loop's service times are its latencies, and older files give the reason only there.
            let latencies: Vec<_> = missing.iter().map(|(name, why)| (name.clone(), why.clone())).collect();
            for (name, why) in latencies {
                if let Some(rest) = name.strip_prefix("latency_us") {
                    missing.insert(format!("service_time_us{rest}"), why);
                }
            }
        }
        for (name, _) in figures.iter().filter(|(_, figure)| figure.is_none()) {
            if !missing.contains_key(name.group) {
                missing
                    .entry(name.path())
                    .or_insert_with(|| "the program that measured it did not have this figure".into());
            }
        }
        let outcomes = self.trials.iter().fold(Default::default(), |mut sum: OutcomeCounts, trial| {
            sum.add(&trial.outcomes);
            sum
        });
        (self.figures, self.missing, self.outcomes) = (figures, missing, outcomes);
    }

    /// Records why a cell without a trial has no figures.
    pub fn mark_missing(&mut self, why: &str) {
        self.missing = Figures::all(Err(why.to_owned())).values_and_missing().1;
    }
}
