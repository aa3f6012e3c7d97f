//! The order in which the trials of a run take place.

use results::{Key, Plan};

/// Returns the order of all trials, as (cell, trial). The first trials of all cells come before the second ones, and so
/// on. Within each such round, the trials of all targets under one load are a *block*: they follow each other, so that
/// they see the machine at the same time. The seed decides the order of the loads within a round, and of the targets
/// within a block. So a drift of the machine's speed does not affect only one target. If a schedule needs the closed
/// loop's ceiling, all trials that do not need it come first.
pub fn order(plan: &Plan) -> Vec<(usize, usize)> {
    let cells = plan.cells();
    let (later, first): (Vec<usize>, Vec<usize>) =
        (0..cells.len()).partition(|&cell| cells[cell].load.schedule.needs_ceiling());
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut order = Vec::with_capacity(cells.len() * plan.trials);
    for part in [first, later] {
        let mut loads = by_load(&cells, &part);
        for trial in 0..plan.trials {
            random.shuffle(&mut loads);
            for targets in &mut loads {
                random.shuffle(targets);
                order.extend(targets.iter().map(|&cell| (cell, trial)));
            }
        }
    }
    order
}

/// These cells, by their load.
fn by_load(cells: &[Key], part: &[usize]) -> Vec<Vec<usize>> {
    let mut loads: Vec<Vec<usize>> = Vec::new();
    for &cell in part {
        match loads.iter_mut().find(|load| cells[load[0]].load == cells[cell].load) {
            Some(load) => load.push(cell),
            None => loads.push(vec![cell]),
        }
    }
    loads
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::{Load, Schedule};

    #[test]
    fn every_cell_runs_once_in_each_round_and_the_targets_of_a_load_follow_each_other() {
        let plan = Plan {
            targets: vec!["a".into(), "b".into(), "c".into()],
            loads: [1, 64].map(|concurrency| Load { concurrency, ..Load::default() }).to_vec(),
            trials: 3,
            ..Plan::default()
        };
        let (order, keys) = (self::order(&plan), plan.cells());
        assert_eq!(order, self::order(&plan));
        for (round, trials) in order.chunks(6).enumerate() {
            let mut cells: Vec<usize> = trials.iter().map(|&(cell, _)| cell).collect();
            assert!(trials.iter().all(|&(_, trial)| trial == round));
            for block in cells.chunks(3) {
                assert!(block.iter().all(|&cell| keys[cell].load == keys[block[0]].load), "{order:?}");
            }
            cells.sort_unstable();
            assert_eq!(cells, [0, 1, 2, 3, 4, 5]);
        }
        assert_ne!(order, self::order(&Plan { seed: 2, ..plan.clone() }));
        // Neither the order of the loads nor that of the targets is the same in all rounds.
        let many = self::order(&Plan { trials: 20, ..plan });
        let differ = |of: fn(usize) -> usize, at: usize| many.chunks(6).any(|round| of(round[at].0) != of(many[at].0));
        assert!(differ(|cell| cell / 3, 0) && differ(|cell| cell % 3, 0) && differ(|cell| cell % 3, 5));
    }

    #[test]
    fn trials_that_need_a_ceiling_come_after_those_that_measure_it() {
        let targets = vec!["a".into(), "b".into()];
        let plan = Plan {
            targets,
            loads: Schedule::KNEE.map(|schedule| Load { schedule, ..Load::default() }).to_vec(),
            trials: 3,
            ..Plan::default()
        };
        let cells = plan.cells();
        let needs: Vec<bool> =
            order(&plan).iter().map(|&(cell, _)| cells[cell].load.schedule.needs_ceiling()).collect();
        assert_eq!(needs.iter().filter(|&&needs| !needs).count(), 6);
        assert!(needs.is_sorted(), "{needs:?}");
    }
}
