//! The order in which the trials of a run take place.

use results::Plan;

/// Returns the order of all trials, as (cell, trial). The first trials of all cells come before the second ones,
/// and so on; within each round the seed decides the order of the cells. So a drift of the machine's speed does not
/// affect only one target. If a schedule needs the closed loop's ceiling, all trials that do not need it come
/// first.
pub fn order(plan: &Plan) -> Vec<(usize, usize)> {
    let cells = plan.cells();
    let (later, first): (Vec<usize>, Vec<usize>) =
        (0..cells.len()).partition(|&cell| cells[cell].schedule.needs_ceiling());
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut order = Vec::with_capacity(cells.len() * plan.trials);
    for part in [first, later] {
        for trial in 0..plan.trials {
            let begin = order.len();
            order.extend(part.iter().map(|&cell| (cell, trial)));
            random.shuffle(&mut order[begin..]);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::Schedule;

    #[test]
    fn every_cell_runs_once_in_each_round_of_trials() {
        let plan = Plan {
            targets: vec!["a".into(), "b".into(), "c".into()],
            concurrencies: vec![1, 64],
            trials: 3,
            ..Plan::default()
        };
        let order = self::order(&plan);
        assert_eq!(order, self::order(&plan));
        for trial in 0..3 {
            let mut cells: Vec<usize> = order[trial * 6..][..6].iter().map(|&(cell, _)| cell).collect();
            assert!(order[trial * 6..][..6].iter().all(|&(_, t)| t == trial));
            cells.sort_unstable();
            assert_eq!(cells, [0, 1, 2, 3, 4, 5]);
        }
        assert_ne!(order, self::order(&Plan { seed: 2, ..plan }));
    }

    #[test]
    fn trials_that_need_a_ceiling_come_after_those_that_measure_it() {
        let targets = vec!["a".into(), "b".into()];
        let plan = Plan { targets, schedules: Schedule::KNEE.to_vec(), trials: 3, ..Plan::default() };
        let cells = plan.cells();
        let needs: Vec<bool> = order(&plan).iter().map(|&(cell, _)| cells[cell].schedule.needs_ceiling()).collect();
        assert_eq!(needs.iter().filter(|&&needs| !needs).count(), 6);
        assert!(needs.is_sorted(), "{needs:?}");
    }
}
