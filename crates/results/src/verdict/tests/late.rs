//! Verdicts on a generator that sent late.

use super::*;

#[test]
fn a_late_generator_bounds_the_times_alone() {
    let late = |lag: f64| changed(|trial| trial.figures.schedule_lag_us.p99 = Some(lag));
    let cell = late(3_100.0);
    assert_eq!((cell.verdict, of(&cell, P99)), (Verdict::ClientLimited, (Verdict::ClientLimited, Some(Bound::Upper))));
    assert_eq!((of(&cell, THROUGHPUT).0, of(&cell, CPU).0), (Verdict::Valid, Verdict::Valid));
    assert_eq!(late(2_900.0).verdict, Verdict::Valid, "below a quarter of the p99");
    assert_eq!(cell.figures.latency_us.p99, None, "nobody has measured it");
    assert!(cell.figures.latency_us.p90.is_some() && cell.figures.service_time_us.p99.is_some());
    assert_eq!(cell.missing["latency_us.p99"], cell.reasons[0]);
    assert!(cell.reasons[0].starts_with("one request of a hundred was sent 3.10ms late or more"));
    let small = |lag: f64| {
        changed(|trial| {
            (trial.figures.schedule_lag_us.p99, trial.figures.latency_us.p99) = (Some(lag), Some(120.0));
        })
    };
    assert_eq!((small(99.0).verdict, small(101.0).verdict), (Verdict::Valid, Verdict::ClientLimited));
}

#[test]
fn a_late_generator_is_seen_where_its_percentiles_were_taken_already_and_in_all_samples_together() {
    let histogram = |samples: u64, us: u64| {
        let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        histogram.record_n(us * 1_000, samples).unwrap();
        crate::histogram::encode(&histogram)
    };
    let taken = changed(|trial| {
        (trial.figures.latency_us.p99, trial.figures.schedule_lag_us.p99) = (None, Some(5_000.0));
        trial.figures.schedule_lag_us.p90 = Some(10.0);
        trial.latency_histogram = histogram(6_400, 12_000);
    });
    assert_eq!((taken.verdict, of(&taken, P99).1), (Verdict::ClientLimited, Some(Bound::Upper)));
    // The generator has taken the p90 alone: one request of ten was late, and a target's stall of 12 ms hides it at p99.
    let at_p90 = |taken: bool| {
        changed(|trial| {
            let (latency, lag) = (&mut trial.figures.latency_us, &mut trial.figures.schedule_lag_us);
            (lag.p90, lag.p99) = (Some(900.0), Some(900.0));
            latency.p90 = Some(1_000.0).filter(|_| !taken);
            let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
            histogram.record_n(1_000_000, 6_000).unwrap();
            histogram.record_n(12_000_000, 400).unwrap();
            trial.latency_histogram = crate::histogram::encode(&histogram);
        })
    };
    for cell in [at_p90(true), at_p90(false)] {
        assert!(cell.reasons[0].starts_with("one request of ten was sent 900µs late"), "{:?}", cell.reasons);
        assert_eq!((cell.figures.latency_us.p90, of(&cell, P99).1), (None, Some(Bound::Upper)));
        assert!(cell.figures.latency_us.p99.is_some());
    }
    let few = |lag: u64| {
        let mut trial = sound();
        trial.figures.latency_us.p99 = None;
        (trial.latency_histogram, trial.schedule_lag_histogram) = (histogram(600, 12_000), histogram(600, lag));
        let mut cell = Cell { trials: vec![trial.clone(), trial], ..results(&["a"]).cells.remove(0) };
        cell.key.load.schedule = Schedule::Rate(600.0);
        judged_as_it_is(cell)
    };
    assert!(few(10).figures.latency_us.p99.is_some());
    assert_eq!((few(5_000).verdict, few(5_000).figures.latency_us.p99), (Verdict::ClientLimited, None));
}
