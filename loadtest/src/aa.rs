//! A/A runs: each target is measured twice, as itself and as a copy, which shows the noise of the machine.

use crate::fleet::{Endpoint, Fleet, NotReady};
use results::noise::aa_name;
use results::{Plan, Twice, statistics};

/// Turns a plan into that of an A/A run: each target is measured twice under each load, and there are enough trials for an
/// interval. The run needs an [`AaFleet`].
///
/// # Errors
/// A line: a target has the name that the copy of another one gets.
pub fn plan(mut plan: Plan) -> Result<Plan, String> {
    if let Some(taken) = plan.targets.iter().map(|name| aa_name(name)).find(|copy| plan.targets.contains(copy)) {
        return Err(format!("a target has the name '{taken}', which the copy of another one gets: give it another"));
    }
    plan.trials = plan.trials.max(statistics::MIN_TRIALS);
    let loads = 0..plan.loads.len();
    let twice = loads.flat_map(|load| plan.targets.iter().map(move |target| Twice { target: target.clone(), load }));
    plan.twice = twice.collect();
    Ok(plan)
}

/// The fleet of an A/A run: the copy of a target is the target itself.
pub struct AaFleet<'a> {
    fleet: &'a mut dyn Fleet,
    /// Each copy's name, and that of its target.
    copies: Vec<(String, String)>,
}

impl<'a> AaFleet<'a> {
    /// `targets` are those of the fleet, without copies.
    pub fn new(fleet: &'a mut dyn Fleet, targets: &[String]) -> AaFleet<'a> {
        AaFleet { fleet, copies: targets.iter().map(|name| (aa_name(name), name.clone())).collect() }
    }

    fn original<'t>(copies: &'t [(String, String)], target: &'t str) -> &'t str {
        copies.iter().find(|(copy, _)| copy == target).map_or(target, |(_, original)| original)
    }
}

impl Fleet for AaFleet<'_> {
    fn ready(&mut self, target: &str, load: &results::Load) -> Result<Endpoint, NotReady> {
        self.fleet.ready(AaFleet::original(&self.copies, target), load)
    }

    fn is_guest(&self, target: &str) -> bool {
        self.fleet.is_guest(AaFleet::original(&self.copies, target))
    }

    fn finished(&mut self, target: &str) {
        self.fleet.finished(AaFleet::original(&self.copies, target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what was asked of it.
    struct Asked(Vec<String>);

    impl Fleet for Asked {
        fn ready(&mut self, target: &str, _load: &results::Load) -> Result<Endpoint, NotReady> {
            self.0.push(target.to_owned());
            Err(NotReady::Unsupported("no".into()))
        }

        fn finished(&mut self, target: &str) {
            self.0.push(format!("{target} finished"));
        }
    }

    #[test]
    fn a_copy_is_the_target_itself() {
        let one = Plan { targets: vec!["a".into(), "b".into()], ..Plan::default() };
        let twice = plan(one.clone()).unwrap();
        let targets: Vec<String> = twice.cells().into_iter().map(|key| key.target).collect();
        assert_eq!(targets, ["a", "a again", "b", "b again"]);
        assert_eq!(twice.trials, statistics::MIN_TRIALS);
        assert_eq!(plan(Plan { trials: 9, ..one.clone() }).unwrap().trials, 9);
        let mut asked = Asked(Vec::new());
        let mut fleet = AaFleet::new(&mut asked, &one.targets);
        for target in &targets[..2] {
            assert!(fleet.ready(target, &results::Load::default()).is_err());
            fleet.finished(target);
        }
        assert_eq!(asked.0, ["a", "a finished", "a", "a finished"]);
    }

    #[test]
    fn a_name_that_a_copy_gets_is_refused() {
        let targets = vec!["a".into(), "a again".into()];
        assert!(plan(Plan { targets, ..Plan::default() }).unwrap_err().contains("'a again'"));
    }
}
