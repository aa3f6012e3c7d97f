//! Tests of the series that a trial and a cell produce, in virtual time.

use super::*;
use crate::measure::tests::empty_trial;
use results::{Bound, Figure, Flaw, Load};
use std::collections::BTreeSet;
use std::time::Duration;

const KEY: fn() -> Key =
    || Key { target: "epoll".into(), load: Load { workload: "POST /counter".into(), ..Load::default() } };

fn run() -> Labels {
    run_labels("r")
}

/// The series of that name: labels, time and value of each sample.
fn only<'b>(batch: &'b Batch, name: &str) -> Vec<(&'b Labels, i64, f64)> {
    let named = format!("(\"__name__\", \"{name}\")");
    let mine = batch.iter().filter(|(labels, _)| format!("{labels:?}").contains(&named));
    mine.map(|(labels, sample)| (labels, sample.at, sample.value)).collect()
}

fn values(batch: &Batch, name: &str) -> Vec<(i64, f64)> {
    only(batch, name).into_iter().map(|(_, at, value)| (at, value)).collect()
}

fn live(millis: u64, ok: u64) -> LiveSnapshot {
    let mut live =
        LiveSnapshot { since: Some(Duration::from_millis(millis)), established: 64, ..LiveSnapshot::default() };
    live.outcomes[OutcomeClass::Ok] = ok;
    (0..ok).for_each(|_| live.latencies.record(2_000_000));
    live
}

#[test]
fn a_trials_counters_begin_at_zero_and_end_with_the_results() {
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 0);
    let mut all = trial.progress(&LiveSnapshot::default(), 9_900);
    assert!(all.is_empty(), "warm-up is not measured");
    all.extend(trial.progress(&live(20, 3), 10_020));
    all.extend(trial.progress(&live(900, 900), 10_900));
    all.extend(trial.progress(&live(1_010, 1_000), 11_010));
    all.extend(trial.progress(&live(1_110, 1_100), 11_110));
    all.extend(trial.progress(&live(2_000, 1_900), 12_000));
    let mut measured = empty_trial();
    measured.seconds = 2.5;
    measured.outcomes[OutcomeClass::Ok] = 2_493;
    measured.outcomes[OutcomeClass::Reset] = 7;
    all.extend(trial.finish(Some(&measured), 12_600));

    let requests = values(&all, "loadtest_requests_total");
    assert_eq!(requests[..4], [(10_000, 0.0), (11_010, 1_000.0), (12_000, 1_900.0), (12_500, 2_500.0)]);
    assert_eq!((requests[4].0, requests[4].1.to_bits()), (12_501, STALE.to_bits()));
    assert_eq!(requests.len(), 5);
    let latencies = values(&all, "loadtest_latency_seconds");
    assert!(latencies.iter().take(4).all(|&(at, seconds)| at == 11_010 && (0.0019..0.0021).contains(&seconds)));
    let resets: Vec<_> = only(&all, "loadtest_errors_total")
        .into_iter()
        .filter(|(labels, ..)| labels.selector("").contains("class=\"reset\""))
        .map(|(_, at, value)| (at, value))
        .collect();
    assert_eq!(resets[..4], [(10_000, 0.0), (11_010, 0.0), (12_000, 0.0), (12_500, 7.0)]);
    assert_eq!(values(&all, "loadtest_connections")[..2], [(10_000, 64.0), (11_010, 64.0)]);

    let mut ended = BTreeSet::new();
    let mut last = BTreeMap::new();
    for (labels, sample) in &all {
        assert!(last.insert(labels, sample.at).is_none_or(|last| last < sample.at), "{labels:?}");
        assert!(!ended.contains(labels), "{labels:?} goes on after its end");
        if sample.value.to_bits() == STALE.to_bits() {
            ended.insert(labels);
        }
    }
    assert_eq!(ended.len(), last.len());
}

#[test]
fn a_trial_shorter_than_a_second_has_a_first_and_a_last_sample() {
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 2);
    let mut measured = empty_trial();
    measured.seconds = 0.2;
    measured.outcomes[OutcomeClass::Ok] = 5;
    let batch = trial.finish(Some(&measured), 1_000);
    assert_eq!(values(&batch, "loadtest_requests_total")[..2], [(800, 0.0), (1_000, 5.0)]);
    let (labels, ..) = only(&batch, "loadtest_requests_total")[0];
    let expected = r#"{__name__="loadtest_requests_total",beside="nothing",concurrency="64",requests_per_connection="unlimited",run_id="r",schedule="closed",target="epoll",trial="3",workload="POST /counter"}"#;
    assert_eq!(labels.selector(""), expected);
}

#[test]
fn cells_of_loads_that_differ_in_their_background_alone_have_series_of_their_own() {
    let mut cell = Cell::new(KEY());
    let mut beside = |idle, expected: &str| {
        cell.key.load.background.idle = idle;
        let (labels, _) = &cell_samples(&run(), &cell, 5)[0];
        assert!(labels.selector("").contains(&format!("beside=\"{expected}\"")), "{labels:?}");
    };
    beside(0, "nothing");
    beside(1_000, "1000 idle connections");
}

#[test]
fn a_trial_that_was_not_measured_has_no_counts_of_its_own() {
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 0);
    assert!(trial.finish(None, 1_000).is_empty());
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 0);
    let begun = trial.progress(&live(1_000, 5), 2_000);
    let ended = trial.finish(None, 2_500);
    assert!(ended.iter().all(|(_, sample)| sample.value.to_bits() == STALE.to_bits() && sample.at == 2_001));
    let series = |batch: &Batch| batch.iter().map(|(labels, _)| labels.clone()).collect::<BTreeSet<_>>();
    assert_eq!(series(&begun), series(&ended));
}

#[test]
fn a_cell_has_the_figures_of_the_results_in_seconds() {
    let mut cell = Cell::new(KEY());
    cell.trials = vec![empty_trial()];
    for (class, count) in [(OutcomeClass::Ok, 7), (OutcomeClass::Reset, 2), (OutcomeClass::AbortedAtEnd, 1)] {
        cell.outcomes[class] = count;
    }
    cell.verdict = Verdict::Errors;
    cell.reasons = vec!["2 resets".into(), "few".into()];
    cell.figures.throughput = Figure::of(&[1234.5]);
    cell.figures.latency_us.p99 = Figure::of(&[1_500.0]);
    cell.figures.latency_us.max = Figure::of(&[2_500.0]);
    cell.figures.server.cpu_us_per_request = Figure::of(&[4.2]);
    let batch = cell_samples(&run(), &cell, 5);
    let one = |name: &str| match values(&batch, name)[..] {
        [(5, value)] => value,
        ref other => panic!("{name}: {other:?}"),
    };
    assert_eq!(one("loadtest_run_requests"), 10.0);
    assert_eq!(one("loadtest_run_ok_requests"), 7.0);
    assert_eq!(one("loadtest_run_aborted_requests"), 1.0);
    assert_eq!(values(&batch, "loadtest_run_errors").iter().map(|(_, n)| n).sum::<f64>(), 2.0);
    assert_eq!(one("loadtest_run_throughput"), 1234.5);
    assert_eq!(one("loadtest_run_cpu_seconds_per_request"), 4.2e-6);
    assert_eq!(values(&batch, "loadtest_run_latency_seconds"), [(5, 0.0015), (5, 0.0025)]);
    assert_eq!(values(&batch, "loadtest_run_processes"), [], "what could not be had is not 0");
    assert!(batch.iter().all(|(labels, _)| labels.selector("").contains("verdict=\"errors\"")));
    assert_eq!(one("loadtest_run_disturbed_trials"), 0.0);
    let (verdict, _, number) = only(&batch, "loadtest_run_verdict")[0];
    assert!(verdict.selector("").contains("reason=\"2 resets; few\""));
    assert_eq!(number, 2.0);
}

#[test]
fn ranks_and_interval_ends_are_sent() {
    let mut cell = Cell::new(KEY());
    cell.trials = vec![empty_trial()];
    assert!(rank_samples(&run(), &cell, 5).is_empty(), "no rank is not the first");
    cell.ranks.cpu = Some(2);
    assert_eq!(values(&rank_samples(&run(), &cell, 5), "loadtest_run_rank"), [(5, 2.0)]);
    cell.figures.throughput = Figure::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let batch = cell_samples(&run(), &cell, 5);
    assert_eq!(values(&batch, "loadtest_run_throughput_low"), [(5, 1.0)]);
    assert_eq!(values(&batch, "loadtest_run_throughput_high"), [(5, 5.0)]);
    cell.figures.server.cpu_us_per_request = Figure::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let batch = cell_samples(&run(), &cell, 5);
    assert_eq!(values(&batch, "loadtest_run_cpu_seconds_per_request_high"), [(5, 5e-6)]);
}

#[test]
fn a_figure_has_the_verdict_on_it() {
    let mut cell = Cell::new(KEY());
    cell.trials = vec![empty_trial()];
    cell.verdict = Verdict::ClientLimited;
    let flaw = Flaw { verdict: Verdict::ClientLimited, why: "busy".into(), bound: Some(Bound::Lower) };
    cell.flaws.insert("throughput".into(), flaw);
    cell.figures.throughput = Figure::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    cell.figures.server.cpu_us_per_request = Figure::of(&[4.2]);
    cell.ranks.cpu = Some(1);
    let batch = [cell_samples(&run(), &cell, 5), rank_samples(&run(), &cell, 5)].concat();
    for (name, verdict) in [
        ("verdict", "client-limited"),
        ("requests", "client-limited"),
        ("throughput", "client-limited"),
        ("throughput_low", "client-limited"),
        ("cpu_seconds_per_request", "valid"),
        ("rank", "valid"),
    ] {
        let (labels, ..) = only(&batch, &format!("loadtest_run_{name}"))[0];
        assert!(labels.selector("").contains(&format!("verdict=\"{verdict}\"")), "{name}: {labels:?}");
        let is_bound = labels.selector("").contains("bound=\"lower\"");
        assert_eq!(is_bound, name.starts_with("throughput"), "{name}: {labels:?}");
    }
    let (labels, ..) = only(&batch, "loadtest_run_flaw")[0];
    let said = labels.selector("");
    assert!(said.contains(r#"bound="lower""#) && said.contains(r#"figure="throughput""#), "{said}");
    assert!(said.contains(r#"verdict="client-limited",why="busy""#), "{said}");
}

#[test]
fn a_figure_that_is_missing_and_a_trial_that_was_disturbed_say_why() {
    let mut cell = Cell::new(KEY());
    cell.missing.insert("schedule_lag_us".into(), "open loop only".into());
    let disturbed = |share| {
        let mut trial = empty_trial();
        trial.seconds = 1.0;
        trial.figures.machine.foreign_on_server_cpus = Some(share);
        trial
    };
    cell.trials = [0.0, 0.5, 0.01, 0.0].map(disturbed).into();
    let batch = cell_samples(&run(), &cell, 5);
    let said = |name: &str| only(&batch, name).into_iter().map(|(labels, ..)| labels.selector("")).collect::<Vec<_>>();
    let missing = said("loadtest_run_missing");
    assert!(missing.len() == 1 && missing[0].contains(r#"figure="schedule_lag_us""#), "{missing:?}");
    assert!(missing[0].contains(r#"why="open loop only""#), "{missing:?}");
    let disturbances = said("loadtest_run_disturbance");
    assert!(disturbances.len() == 1 && disturbances[0].contains(r#"counted="no""#), "{disturbances:?}");
    assert!(disturbances[0].contains(r#"trial="2""#) && disturbances[0].contains("used 50 %"), "{disturbances:?}");
    assert_eq!(values(&batch, "loadtest_run_disturbed_trials"), [(5, 1.0)]);
}

#[test]
fn a_trials_histograms_begin_empty_grow_and_end() {
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 0);
    trial.progress(&live(20, 3), 10_020);
    trial.progress(&live(1_010, 1_000), 11_010);
    let grown: Vec<_> = trial.take_histograms().into_iter().map(|(_, histogram)| histogram).collect();
    assert_eq!(grown.iter().map(|histogram| histogram.at).collect::<Vec<_>>(), [10_000, 11_010]);
    let of = |latencies: u64, at| {
        let latencies = live(0, latencies).latencies;
        Histogram::of(latencies.buckets(), at)
    };
    assert_eq!(grown[0], of(0, 10_000));
    assert_eq!(grown[1], of(1_000, 11_010));
    trial.finish(None, 12_000);
    let (labels, last) = trial.take_histograms().pop().unwrap();
    assert_eq!((last.at, last == last), (11_011, false), "a stale marker is no number");
    assert!(labels.selector("").contains("loadtest_request_duration_seconds"));
}

#[test]
fn a_cell_has_the_histogram_of_the_trials_that_count() {
    let mut cell = Cell::new(KEY());
    assert!(cell_histograms(&run(), &cell, 5).is_empty());
    let mut latencies = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    latencies.record_n(1_000_000, 30).unwrap();
    let mut trial = empty_trial();
    trial.latency_histogram = results::histogram::encode(&latencies);
    cell.trials = vec![trial.clone(), trial];
    assert!(cell_histograms(&run(), &cell, 5).is_empty(), "the results withhold the percentiles");
    cell.figures.latency_us.p50 = Figure::of(&[1_000.0]);
    let flaw = Flaw { verdict: Verdict::Unstable, why: "late".into(), bound: Some(Bound::Upper) };
    cell.flaws.insert("latency_us".into(), flaw);
    let [(labels, histogram)] = &cell_histograms(&run(), &cell, 5)[..] else { panic!("one histogram") };
    assert_eq!(*histogram, Histogram::of([(latencies.median_equivalent(1_000_000) as f64, 60)].into_iter(), 5));
    let said = labels.selector("");
    assert!(said.contains(r#"bound="upper""#) && said.contains(r#"verdict="unstable""#), "{said}");
}

#[test]
fn an_unsupported_cell_has_only_its_verdict() {
    let mut cell = Cell::new(KEY());
    cell.verdict = Verdict::Unsupported;
    let batch = cell_samples(&run(), &cell, 5);
    assert_eq!(values(&batch, "loadtest_run_verdict"), [(5, 3.0)]);
    assert_eq!(batch.len(), 1);
}

#[test]
fn every_error_class_counts_from_zero() {
    let mut trial = TrialSeries::new(&cell_labels(&run(), &KEY()), 0);
    let batch = trial.progress(&live(0, 0), 1_000);
    let classes = OutcomeClass::ALL.into_iter().filter(|class| class.is_error()).count();
    assert_eq!(values(&batch, "loadtest_errors_total"), vec![(1_000, 0.0); classes]);
}

#[test]
fn a_claim_has_its_ruling_and_each_part_its_figure_and_its_margin() {
    use results::claims::{Claim, Margin, Part, Ruling};
    let part = |what: &str, margin, figure: Option<f64>, ruling| Part {
        what: what.into(),
        margin,
        is_ratio: true,
        figure,
        low: figure.map(|figure| figure / 2.0),
        high: figure.map(|figure| figure * 2.0),
        bound: None,
        blocks: 7,
        ruling,
        why: figure.is_none().then(|| "disturbed".into()),
    };
    let claim = Claim {
        id: "races".into(),
        says: "They race.".into(),
        does: String::new(),
        ruling: Ruling::CannotBeShown,
        why: None,
        parts: vec![
            part("a", Margin::Within(0.87, 1.15), Some(1.0), Ruling::Holds),
            part("b", Margin::AtMost(3.0), None, Ruling::CannotBeShown),
        ],
        notes: Vec::new(),
        command: String::new(),
        seconds: None,
        experiment: None,
    };
    let batch = claim_samples(&run(), &claim, 5);
    let (labels, at, value) = only(&batch, "lab_claim")[0];
    assert_eq!((at, value), (5, 1.0));
    let expected = r#"lab_claim{__name__="lab_claim",claim="races",ruling="cannot-be-shown",run_id="r",says="They race.",why="disturbed"}"#;
    assert_eq!(labels.selector("lab_claim"), expected);
    for (name, expected) in [
        ("lab_claim_figure", &[1.0][..]),
        ("lab_claim_low", &[0.5]),
        ("lab_claim_high", &[2.0]),
        ("lab_claim_margin_least", &[0.87]),
        ("lab_claim_margin_most", &[1.15, 3.0]),
    ] {
        let found: Vec<f64> = values(&batch, name).into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, expected, "{name}");
    }
}
