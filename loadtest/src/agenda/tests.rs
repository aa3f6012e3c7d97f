use super::*;
use crate::budget;
use results::{Load, Schedule, Twice};

const SECOND: Duration = Duration::from_secs(1);

/// Five loads of three targets, windows of a second.
fn plan(trials: usize, budget: Option<Duration>) -> Plan {
    let load = |concurrency| Load { concurrency, ..Load::default() };
    Plan {
        targets: vec!["a".into(), "b".into(), "c".into()],
        loads: (1..=5).map(load).collect(),
        duration: SECOND,
        warmup: Duration::ZERO,
        trials,
        budget,
        ..Plan::default()
    }
}

/// Widths that shrink with the number of trials.
struct Shrinking<'a> {
    /// The trials of each cell.
    trials: &'a [usize],
    cell: f64,
    pair: f64,
}

impl Shrinking<'_> {
    fn of(&self, width: f64, cell: usize) -> Option<f64> {
        let trials = self.trials[cell];
        (width > 0.0).then(|| if trials < 3 { f64::INFINITY } else { width / (trials as f64).sqrt() })
    }
}

impl Widths for Shrinking<'_> {
    fn of_pair(&self, original: usize, _: usize) -> Option<f64> {
        self.of(self.pair, original)
    }

    fn of_cell(&self, cell: usize) -> Option<f64> {
        self.of(self.cell, cell)
    }
}

/// A run in virtual time.
struct Ran {
    agenda: Agenda,
    blocks: Vec<Block>,
    took: Duration,
    /// At the beginning of each trial: the time, and the estimated rest after that trial.
    told: Vec<(Duration, Duration)>,
}

/// Runs the plan; `cost` is that of a trial of this load, the n-th of the run. As in a run, the end of the budget cuts a trial
/// short.
fn ran(plan: &Plan, widths: (f64, f64), cost: impl Fn(usize, usize) -> Duration) -> Ran {
    let (mut agenda, mut blocks, mut told) = (Agenda::new(plan), Vec::new(), Vec::new());
    let mut trials = vec![0; plan.cells().len()];
    let (mut now, mut nth) = (Duration::ZERO, 0);
    let left = |now: Duration| plan.budget.map(|budget| budget.saturating_sub(now));
    while let Some(block) = agenda.next(left(now), &Shrinking { trials: &trials, cell: widths.0, pair: widths.1 }) {
        assert!(left(now).is_none_or(|left| left >= agenda.trial_cost() * block.cells.len() as u32));
        for &cell in &block.cells {
            agenda.begin_trial();
            told.push((now, agenda.rest()));
            let cost = cost(block.load, nth);
            nth += 1;
            if left(now).is_some_and(|left| left < cost) {
                now += left(now).unwrap_or_default();
                break;
            }
            now += cost;
            agenda.learn(cost);
            trials[cell] += 1;
        }
        blocks.push(block);
    }
    Ran { agenda, blocks, took: now, told }
}

fn steady(_: usize, _: usize) -> Duration {
    SECOND
}

fn blocks_of_loads(ran: &Ran) -> Vec<usize> {
    (0..5).map(|load| ran.blocks.iter().filter(|block| block.load == load).count()).collect()
}

#[test]
fn each_load_has_a_block_in_each_round_and_the_seed_decides_the_order() {
    let plan = plan(20, None);
    let (one, again) = (ran(&plan, (0.0, 0.0), steady), ran(&plan, (0.0, 0.0), steady));
    assert_eq!(one.blocks, again.blocks);
    assert_ne!(one.blocks, ran(&Plan { seed: 2, ..plan }, (0.0, 0.0), steady).blocks);
    for (round, blocks) in one.blocks.chunks(5).enumerate() {
        let mut loads: Vec<usize> = blocks.iter().map(|block| block.load).collect();
        loads.sort_unstable();
        assert_eq!(loads, [0, 1, 2, 3, 4]);
        for block in blocks {
            let mut cells = block.cells.clone();
            cells.sort_unstable();
            assert_eq!((cells, block.number), ((block.load * 3..block.load * 3 + 3).collect(), round));
        }
    }
    let differ = |of: fn(&Block) -> usize| one.blocks.chunks(5).any(|round| of(&round[0]) != of(&one.blocks[0]));
    assert!(differ(|block| block.load) && differ(|block| block.cells[0] % 3));
}

#[test]
fn blocks_that_need_a_ceiling_come_after_those_that_measure_it_also_within_a_budget() {
    let loads = Schedule::KNEE.map(|schedule| Load { schedule, ..Load::default() }).to_vec();
    let needs: Vec<bool> = loads.iter().map(|load| load.schedule.needs_ceiling()).collect();
    let plan = Plan { loads, trials: 3, targets: vec!["a".into()], ..Plan::default() };
    let longest = Agenda::new(&plan).rest();
    for budget in [None, Some(longest / 2)] {
        let plan = Plan { budget, ..plan.clone() };
        let agenda = Agenda::new(&plan);
        let ran = ran(&plan, (0.0, 0.0), |load, _| agenda.costs.of(load));
        let order: Vec<bool> = ran.blocks.iter().map(|block| needs[block.load]).collect();
        assert!(order.is_sorted() && order.contains(&true), "{order:?}");
    }
}

#[test]
fn no_costs_exceed_the_budget_and_blocks_are_left_out_before_loads() {
    for seed in 0..200 {
        let mut random = Rng::with_seed(seed);
        let budget = SECOND * random.u32(5..90);
        let factors: Vec<f64> = (0..5).map(|_| random.f64() * 4.0).collect();
        let ran = ran(&plan(4, Some(budget)), (0.0, 0.0), |load, nth| {
            SECOND.mul_f64(factors[load] * (1.0 + (nth % 3) as f64 / 10.0))
        });
        assert!(ran.took <= budget);
        let first = |load: usize| ran.blocks.iter().position(|block| block.load == load);
        let second = ran.blocks.iter().position(|block| block.number == 1).unwrap_or(usize::MAX);
        assert!((0..5).all(|load| first(load).is_none_or(|first| first < second)), "{:?}", ran.blocks);
        // A load without a block did not fit when its turn came, so no second block began before that.
        if let Some(without) = (0..5).find(|&load| first(load).is_none()) {
            assert_eq!(ran.agenda.left_out[without], 4);
        }
    }
}

#[test]
fn a_slow_machine_gets_fewer_blocks_and_a_remark() {
    // Planned are 5 loads of 4 blocks of 3 trials: 60 s and what is around them.
    let plan = plan(4, Some(SECOND * 70));
    let remarks = |cost: Duration| {
        let ran = ran(&plan, (0.0, 0.0), |_, _| cost);
        (blocks_of_loads(&ran), budget::remarks(&plan, &ran.agenda, None))
    };
    assert_eq!(remarks(SECOND), (vec![4; 5], vec![]));
    let said = "the budget of 1m 10s left room for 7 of 20 blocks: each load has 1 or more".to_owned();
    assert_eq!(remarks(SECOND * 3), (vec![1, 1, 2, 2, 1], vec![said]));
    let said = "the budget of 1m 10s left room for 1 of 4 blocks: each load has 1".to_owned();
    assert_eq!(remarks(SECOND * 9 / 2), (vec![1; 5], vec![said]));
    let (blocks, said) = remarks(SECOND * 10);
    assert_eq!(blocks.iter().filter(|&&blocks| blocks == 1).count(), 2, "{blocks:?}");
    assert!(said[1].starts_with("the budget of 1m 10s left out the loads / with "), "{said:?}");
}

#[test]
fn precision_adds_blocks_until_intervals_are_narrow_or_the_budget_is_over() {
    // 0.2 / √16 is 5 %.
    let with = |budget| Plan { precision: Some(0.05), ..plan(3, budget) };
    let narrow = ran(&with(Some(SECOND * 1000)), (0.2, 0.0), steady);
    assert_eq!((blocks_of_loads(&narrow), narrow.agenda.lacks_precision()), (vec![16; 5], false));
    let short = ran(&with(Some(SECOND * 100)), (0.2, 0.0), steady);
    assert!(short.took <= SECOND * 100 && short.took > SECOND * 90 && short.agenda.lacks_precision());
    assert!(blocks_of_loads(&short).iter().all(|blocks| (6..=7).contains(blocks)), "{:?}", blocks_of_loads(&short));
    // Without a budget there are the planned ones, and figures that are missing add none.
    for (budget, width) in [(None, 0.2), (Some(SECOND * 100), 0.0)] {
        let planned = ran(&with(budget), (width, 0.0), steady);
        assert_eq!((blocks_of_loads(&planned), planned.agenda.lacks_precision()), (vec![3; 5], false));
    }
}

#[test]
fn a_target_and_its_copy_get_pairs_until_their_noise_is_known() {
    let plan = Plan { twice: vec![Twice { target: "b".into(), load: 0 }], ..plan(4, Some(SECOND * 300)) };
    for (width, blocks) in [(0.1, 4), (0.15, 9), (0.5, 12), (0.0, 4)] {
        let ran = ran(&plan, (0.0, width), steady);
        assert_eq!(blocks_of_loads(&ran), [blocks, 4, 4, 4, 4]);
        for pair in &ran.blocks[20..] {
            let mut cells = pair.cells.clone();
            cells.sort_unstable();
            assert_eq!((cells, pair.is_planned), (vec![1, 2], false));
        }
    }
}

#[test]
fn a_trial_is_made_again_only_if_three_blocks_of_each_load_still_fit() {
    let mut agenda = Agenda::new(&plan(4, None));
    let cost = agenda.trial_cost();
    let widths = Shrinking { trials: &[], cell: 0.0, pair: 0.0 };
    let _ = agenda.next(None, &widths);
    agenda.begin_trial();
    // The trial itself, two of its block, two blocks of its load, and three of the other four.
    assert_eq!(agenda.needs_for_repeat(), cost * (1 + 2 + 2 * 3 + 4 * 3 * 3));
}

#[test]
fn a_target_that_is_given_up_costs_no_time() {
    let mut agenda = Agenda::new(&plan(1, None));
    let all = agenda.rest();
    assert!(!agenda.is_over(0));
    agenda.give_up(0);
    assert!(agenda.is_over(0) && agenda.rest() == all / 15 * 14);
}

#[test]
fn the_time_left_is_within_15_percent_from_the_first_quarter_on() {
    let twice = vec![Twice { target: "a".into(), load: 0 }];
    for seed in 1..20 {
        let plan = Plan { seed, twice: twice.clone(), ..plan(4, Some(SECOND * 300)) };
        // Loads that differ 1:3, and trials by up to 40 %.
        let loads = [1.0, 1.2, 2.0, 1.7, 3.0];
        let noise = |nth: usize| 1.0 + (nth * 7 % 5) as f64 / 10.0;
        let Ran { told, took, .. } = ran(&plan, (0.0, 0.15), |load, nth| SECOND.mul_f64(loads[load] * noise(nth)));
        let is_checked = |now: Duration| now >= took / 4 && took - now > SECOND * 20;
        for window in told.windows(2).filter(|window| is_checked(window[0].0)) {
            let (rest, truly) = (window[0].1.as_secs_f64(), (took - window[1].0).as_secs_f64());
            assert!((rest / truly - 1.0).abs() < 0.15, "seed {seed}: {rest} s told, {truly} s true");
        }
    }
}
