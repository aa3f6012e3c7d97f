//! How long the trials of a run take: first by the plan, then by what was measured.

use results::Plan;
use std::time::Duration;

/// What a trial takes beside its load, before that is known: the start and the end of the target, and the readings.
const AROUND: Duration = Duration::from_millis(400);

/// The costs of the trials under each load.
#[derive(Debug)]
pub struct Costs(Vec<Cost>);

#[derive(Debug)]
struct Cost {
    /// The length of a trial by the plan.
    prior: Duration,
    /// The time that its trials have taken, with all that belongs to them.
    spent: Duration,
    trials: u32,
}

impl Costs {
    /// Costs by the plan.
    pub fn new(plan: &Plan) -> Costs {
        let cost = |prior| Cost { prior, spent: Duration::ZERO, trials: 0 };
        Costs(plan.loads.iter().map(|load| cost(plan.estimate_of(load) + AROUND)).collect())
    }

    /// Takes note that a trial under this load took so long, with all that belongs to it: the start of the target, waits, repeats,
    /// warm-up, window, and the end of the target.
    pub fn learn(&mut self, load: usize, took: Duration) {
        self.0[load].spent += took;
        self.0[load].trials += 1;
    }

    /// The time that a trial under this load takes: the mean of what was measured. The plan's length counts as one trial; it is
    /// scaled by how the measured trials of all loads compare with theirs.
    pub fn of(&self, load: usize) -> Duration {
        let Cost { prior, spent, trials } = self.0[load];
        (prior.mul_f64(self.scale()) + spent) / (trials + 1)
    }

    fn scale(&self) -> f64 {
        let sum = |of: fn(&Cost) -> Duration| self.0.iter().map(of).sum::<Duration>().as_secs_f64();
        let expected = sum(|cost| cost.prior * cost.trials);
        if expected == 0.0 { 1.0 } else { sum(|cost| cost.spent) / expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::Load;

    #[test]
    fn a_load_that_was_not_measured_is_as_much_dearer_than_planned_as_the_others() {
        let plan = Plan { loads: vec![Load::default(); 2], ..Plan::default() };
        let planned = plan.estimate_of(&plan.loads[0]) + AROUND;
        let mut costs = Costs::new(&plan);
        assert_eq!((costs.of(0), costs.of(1)), (planned, planned));
        costs.learn(0, planned * 3);
        assert_eq!((costs.of(0), costs.of(1)), (planned * 3, planned * 3));
    }
}
