use super::*;
use crate::claims::together;
use crate::statistics::normal;
use fastrand::Rng;

/// Claims of a board.
const CLAIMS: usize = 18;
/// Simulated experiments of each kind.
const EXPERIMENTS: usize = 10_000;
/// The deviation of a ratio's logarithm from block to block.
const DEVIATION: f64 = 0.1;

fn measure(is_ratio: bool, values: Result<Values, String>) -> Measure {
    Measure { what: "a / b".into(), is_ratio, values, bound: None, claims: CLAIMS }
}

fn ratios(values: &[f64]) -> Measure {
    measure(true, Ok(Values::Blocks(values.to_vec())))
}

/// The blocks of an experiment whose true ratio has this logarithm.
fn simulated(random: &mut Rng, blocks: usize, logarithm: f64) -> Measure {
    let values: Vec<f64> = (0..blocks).map(|_| (logarithm + DEVIATION * normal(random)).exp()).collect();
    ratios(&values)
}

/// The standard error of so many blocks, and how many of them an interval reaches to either side.
fn error_and_reach(blocks: usize) -> (f64, f64) {
    let (_, half) = mean_interval(&(0..blocks).map(|at| at as f64).collect::<Vec<_>>(), ALPHA / CLAIMS as f64);
    let n = blocks as f64;
    let variance = n * (n + 1.0) / 12.0; // of 0, 1, .. n - 1
    (DEVIATION / n.sqrt(), half / (variance / n).sqrt())
}

/// In how many of the simulated experiments the claim is ruled so.
fn how_often(ruling: Ruling, mut experiment: impl FnMut(&mut Rng) -> Ruling) -> usize {
    let mut random = Rng::with_seed(18);
    (0..EXPERIMENTS).filter(|_| experiment(&mut random) == ruling).count()
}

#[test]
fn a_clear_effect_holds_and_one_at_the_margin_does_not() {
    for blocks in [5, 7, 9, 15] {
        let (error, reach) = error_and_reach(blocks);
        let clear = (reach + 4.0) * error;
        let at_least =
            |random: &mut Rng, beyond: f64| simulated(random, blocks, 2.0_f64.ln() + beyond).at_least(2.0).ruling;
        let at_most =
            |random: &mut Rng, beyond: f64| simulated(random, blocks, 0.5_f64.ln() - beyond).at_most(0.5).ruling;
        for (kind, holds) in [
            ("at least", how_often(Ruling::Holds, |random| at_least(random, clear))),
            ("at most", how_often(Ruling::Holds, |random| at_most(random, clear))),
            ("at least, fails", how_often(Ruling::Fails, |random| at_least(random, -clear))),
        ] {
            assert!(holds >= EXPERIMENTS * 95 / 100, "{blocks} blocks, {kind}: {holds}");
        }
        for (kind, wrong) in [
            ("at least", how_often(Ruling::Holds, |random| at_least(random, 0.0))),
            ("at most", how_often(Ruling::Holds, |random| at_most(random, 0.0))),
            ("at least, fails", how_often(Ruling::Fails, |random| at_least(random, 0.0))),
        ] {
            assert!(wrong <= EXPERIMENTS * 25 / 1000, "{blocks} blocks, {kind}: {wrong}");
        }
    }
}

#[test]
fn equivalence_holds_in_the_middle_and_not_at_its_bounds() {
    for blocks in [7, 9, 15] {
        let (error, reach) = error_and_reach(blocks);
        let clear = (reach + 4.0) * error;
        let within = |random: &mut Rng, logarithm: f64| {
            simulated(random, blocks, logarithm).within((-clear).exp(), clear.exp()).ruling
        };
        let holds = how_often(Ruling::Holds, |random| within(random, 0.0));
        assert!(holds >= EXPERIMENTS * 95 / 100, "{blocks} blocks: {holds}");
        for bound in [-clear, clear] {
            let wrong = how_often(Ruling::Holds, |random| within(random, bound));
            assert!(wrong <= EXPERIMENTS * 25 / 1000, "{blocks} blocks: {wrong}");
        }
    }
}

#[test]
fn of_parts_that_are_joined_all_have_to_hold_and_one_that_fails_decides() {
    let (error, reach) = error_and_reach(9);
    let clear = (reach + 4.0) * error;
    let claim = |random: &mut Rng, second: f64| {
        let first = simulated(random, 9, 2.0_f64.ln() + clear).at_least(2.0);
        together(&[first, simulated(random, 9, 2.0_f64.ln() + second).at_least(2.0)])
    };
    let holds = how_often(Ruling::Holds, |random| claim(random, clear));
    assert!(holds >= EXPERIMENTS * 95 / 100, "{holds}");
    let wrong = how_often(Ruling::Holds, |random| claim(random, 0.0));
    assert!(wrong <= EXPERIMENTS * 25 / 1000, "{wrong}");
    let fails = how_often(Ruling::Fails, |random| claim(random, -clear));
    assert!(fails >= EXPERIMENTS * 95 / 100, "{fails}");
    assert_eq!(together(&[]), Ruling::CannotBeShown);
}

#[test]
fn the_whole_interval_decides() {
    let values = [3.0, 3.1, 2.9, 3.0, 3.05];
    let part = ratios(&values).at_least(2.0);
    assert_eq!((part.ruling, part.blocks, part.why), (Ruling::Holds, 5, None));
    let (low, high) = part.low.zip(part.high).unwrap();
    assert!(low < 3.0 && 3.0 < high && (low * high / part.figure.unwrap().powi(2) - 1.0).abs() < 1e-9);
    assert_eq!(ratios(&values).at_least(4.0).ruling, Ruling::Fails);
    assert_eq!(ratios(&values).at_most(2.0).ruling, Ruling::Fails);
    assert_eq!(ratios(&values).within(2.0, 4.0).ruling, Ruling::Holds);
    assert_eq!(ratios(&values).within(1.0, 2.0).ruling, Ruling::Fails);
    assert_eq!(ratios(&[1.0; 5]).within(1.0, 1.0).ruling, Ruling::Holds, "values without any noise");
    let open = ratios(&values).at_least(3.0);
    assert_eq!(open.ruling, Ruling::CannotBeShown);
    assert!(open.why.unwrap().contains("the margin is within the interval"));
    let needs = ratios(&[3.0, 2.0, 4.0, 2.5, 3.5]).at_least(2.0).why.unwrap();
    assert!(needs.ends_with("would show it, and there were 5"), "{needs}");
}

#[test]
fn a_difference_is_no_ratio() {
    let part = |values: [f64; 4], margin| judge(measure(false, Ok(Values::Blocks(values.into()))), margin);
    assert_eq!(part([0.1, 0.11, 0.09, 0.1], Margin::MoreThan(0.0)).ruling, Ruling::Holds);
    assert_eq!(part([-0.1, -0.11, -0.09, -0.1], Margin::MoreThan(0.0)).ruling, Ruling::Fails);
    assert_eq!(part([0.0; 4], Margin::MoreThan(0.0)).ruling, Ruling::Fails, "exactly none");
    assert_eq!(part([0.1, -0.1, 0.1, -0.1], Margin::MoreThan(0.0)).ruling, Ruling::CannotBeShown);
}

#[test]
fn a_count_decides_by_itself() {
    let count = |value| measure(false, Ok(Values::Count { value, low: value, high: value + 3.0 }));
    let none = count(0.0).at_most(0.0);
    assert_eq!((none.ruling, none.figure, none.high, none.blocks), (Ruling::Holds, Some(0.0), Some(3.0), 0));
    assert_eq!(count(1.0).at_most(0.0).ruling, Ruling::Fails);
}

#[test]
fn what_cannot_be_judged_has_a_reason() {
    for (measure, words) in [
        (measure(true, Err("epoll: disturbed: others".into())), "epoll: disturbed: others"),
        (ratios(&[2.0, 3.0]), "2 blocks, and an interval needs 3"),
        (ratios(&[]), "0 blocks"),
        (ratios(&[2.0, 0.0, 3.0]), "a value is 0"),
        (ratios(&[2.0, f64::NAN, 3.0]), "a value is no number"),
        (ratios(&[2.0, f64::INFINITY, 3.0]), "a value is no number"),
    ] {
        let part = measure.at_least(1.0);
        assert_eq!((part.ruling, part.figure, part.low), (Ruling::CannotBeShown, None, None));
        assert!(part.why.as_ref().unwrap().contains(words), "{part:?}");
    }
}

#[test]
fn a_margin_is_written_as_on_the_board() {
    let margins = [Margin::AtLeast(2.0), Margin::AtMost(0.5), Margin::MoreThan(0.0), Margin::Within(0.87, 1.15)];
    assert_eq!(margins.map(|margin| margin.to_string()), [">= 2", "<= 0.5", "> 0", "0.87 .. 1.15"]);
}

#[test]
fn a_bound_shows_only_what_the_true_figure_shows_as_well() {
    let part =
        |bound, margin| judge(Measure { bound: Some(bound), ..ratios(&[2.0, 2.1, 1.9, 2.0, 2.0]) }, margin).ruling;
    for (bound, margin, expected) in [
        (Bound::Upper, Margin::AtMost(3.0), Ruling::Holds),
        (Bound::Upper, Margin::AtMost(1.0), Ruling::CannotBeShown),
        (Bound::Upper, Margin::AtLeast(1.0), Ruling::CannotBeShown),
        (Bound::Upper, Margin::AtLeast(3.0), Ruling::CannotBeShown),
        (Bound::Upper, Margin::Within(1.0, 3.0), Ruling::CannotBeShown),
        (Bound::Lower, Margin::AtLeast(1.0), Ruling::Holds),
        (Bound::Lower, Margin::MoreThan(1.0), Ruling::Holds),
        (Bound::Lower, Margin::AtLeast(3.0), Ruling::CannotBeShown),
        (Bound::Lower, Margin::AtMost(3.0), Ruling::CannotBeShown),
    ] {
        assert_eq!(part(bound, margin), expected, "{bound:?} {margin}");
    }
}

#[test]
fn a_bound_on_the_right_side_that_is_too_wide_asks_for_more_blocks() {
    let why = |bound| {
        let measure = Measure { bound: Some(bound), ..ratios(&[2.0, 3.0, 1.5, 2.5, 2.0]) };
        judge(measure, Margin::AtLeast(1.6)).why.unwrap()
    };
    assert!(why(Bound::Lower).starts_with("the margin is within the interval"), "{}", why(Bound::Lower));
    assert!(why(Bound::Upper).starts_with("the figure is only a bound"), "{}", why(Bound::Upper));
}
