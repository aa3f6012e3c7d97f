use super::figure::left_out;
use super::*;
use fastrand::Rng;

#[test]
fn a_figure_has_the_median_and_its_order_statistics_interval() {
    assert_eq!(Figure::of(&[]), None);
    assert_eq!(Figure::of(&[4.0, 2.0]), Some(Figure { median: 3.0, low: None, high: None }));
    let five = Figure::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
    assert_eq!((five.median, five.low, five.high), (3.0, Some(1.0), Some(5.0)));
    // According to the binomial tables, ranks 2 and 8 of 9 contain the median in 96.1 %, ranks 3 and 7 in 82 %.
    assert_eq!((left_out(5), left_out(9), left_out(20)), (0, 1, 5));
}

#[test]
fn three_or_four_values_have_students_interval() {
    let four = Figure::of(&[110.0, 90.0, 100.0, 101.0]).unwrap();
    // Of the logarithms, the mean is 4.6051 and its deviation is 0.0411; t is 3.182.
    assert!((four.low.unwrap() - 87.733).abs() < 0.001 && (four.high.unwrap() - 113.976).abs() < 0.001, "{four:?}");
    assert!((four.half_width().unwrap() - 0.1341).abs() < 0.0001, "{four:?}");
    let same = Figure::of(&[7.0; 3]).unwrap();
    assert_eq!((same.low, same.high, same.half_width()), (Some(7.0), Some(7.0), Some(0.0)));
    let zero = Figure::of(&[0.0, 1.0, 2.0]).unwrap();
    assert_eq!((zero.low, zero.high, zero.half_width()), (None, None, None));
    assert_eq!(Figure::of(&[0.0; 5]).unwrap().half_width(), None, "a share of nothing");
}

/// The ranks of targets whose n-th trials form pairs.
fn ranks_of(targets: &[Vec<f64>], higher_is_better: bool) -> Vec<Option<usize>> {
    ranks(targets.len(), |first, second| paired(&targets[first], &targets[second]), higher_is_better)
}

/// Simulated trials of targets with these speeds. Each trial has 3 % of noise, one trial in 20 is disturbed, and
/// the machine slows down by a tenth over the run.
fn run(speeds: &[f64], trials: usize, random: &mut Rng) -> Vec<Vec<f64>> {
    let mut made = vec![Vec::new(); speeds.len()];
    for trial in 0..trials {
        let drift = 1.0 - 0.1 * trial as f64 / trials as f64;
        for (target, speed) in made.iter_mut().zip(speeds) {
            let disturbed = if random.u8(..20) == 0 { 0.85 } else { 1.0 };
            target.push(speed * drift * disturbed * (0.03 * normal(random)).exp());
        }
    }
    made
}

fn all_first(targets: usize, trials: usize) -> usize {
    let mut random = Rng::with_seed((targets * 10 + trials) as u64);
    let speeds = vec![1e5; targets];
    (0..200).filter(|_| ranks_of(&run(&speeds, trials, &mut random), true).iter().all(|rank| *rank == Some(1))).count()
}

#[test]
fn equal_targets_are_equal_in_95_of_100_runs() {
    for trials in LEAST_PAIRS..=5 {
        for targets in [2, 14] {
            let share = all_first(targets, trials) as f64 / 200.0;
            assert!(share >= 0.95, "{targets} targets, {trials} trials: {share}");
        }
    }
}

/// 14 targets under three loads, of two runs in which nothing changed.
#[test]
fn two_equal_runs_are_equal_in_95_of_100_comparisons() {
    let mut random = Rng::with_seed(8);
    let equal = (0..100).filter(|_| {
        let [before, after] = [(); 2].map(|()| run(&[1e5; 42], MIN_TRIALS, &mut random));
        let p: Vec<f64> = before.iter().zip(&after).map(|(a, b)| unpaired(a, b).unwrap().p).collect();
        !holm(&p).contains(&true)
    });
    let equal = equal.count();
    assert!(equal >= 95, "{equal}");
}

#[test]
fn different_targets_get_different_ranks_despite_drift() {
    let mut random = Rng::with_seed(3);
    let distinguished = (0..100).filter(|_| {
        let ranks = ranks_of(&run(&[1e5, 2e5, 1e5], 10, &mut random), true);
        ranks == [Some(2), Some(1), Some(2)]
    });
    assert!(distinguished.count() >= 95);
    let less = ranks_of(&run(&[1e5, 2e5], 10, &mut random), false);
    assert_eq!(less, [Some(1), Some(2)]);
}

#[test]
fn a_difference_below_3_percent_is_none_and_one_target_alone_has_no_rank() {
    let trials = |speed: f64| vec![speed, speed * 1.001, speed * 0.999, speed * 1.002, speed];
    let (low, near, far) = (trials(100.0), trials(102.9), trials(103.1));
    assert!(paired(&low, &near).unwrap().p < 1e-6);
    assert_eq!(ranks_of(&[low.clone(), near], true), [Some(1), Some(1)]);
    assert_eq!(ranks_of(&[low.clone(), far.clone()], true), [Some(2), Some(1)]);
    assert_eq!(ranks_of(&[low.clone(), far], false), [Some(1), Some(2)]);
    assert_eq!(ranks_of(&[low], true), [None]);
}

#[test]
fn fewer_than_three_pairs_give_no_rank_and_no_ratio() {
    assert_eq!(ranks_of(&run(&[1.0, 9.0], 2, &mut Rng::with_seed(4)), true), [None, None]);
    assert_eq!(paired(&[1.0; 2], &[2.0; 2]), None);
    assert_eq!(unpaired(&[1.0; 5], &[0.0; 5]), None);
    assert_eq!(unpaired(&[1.0; 5], &[2.0; 1]), None);
}

#[test]
fn students_t_agrees_with_the_published_tables() {
    for (df, t, p) in [(1, 12.706, 0.05), (2, 4.303, 0.05), (4, 2.776, 0.05), (4, 4.604, 0.01), (9, 2.262, 0.05)] {
        assert!((two_sided_p(t, df) - p).abs() < 1e-4, "{df}: {}", two_sided_p(t, df));
        assert!((critical_t(p, df) - t).abs() < 1e-2);
    }
}

#[test]
fn holms_method_stops_at_the_first_comparison_that_is_not_significant() {
    assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), [true, false, false, true]);
    assert!(holm(&[]).is_empty());
}

#[test]
fn jains_index_is_one_for_equal_shares_and_1_in_n_for_one_winner() {
    assert_eq!(fairness([5, 5, 5].into_iter()), Some(1.0));
    assert_eq!(fairness([8, 0, 0, 0].into_iter()), Some(0.25));
    assert_eq!(fairness([0, 0].into_iter()), None);
}
