mod late;

use super::*;
use crate::cache::Cache;
use crate::figures::CPU;
use crate::load::PerConnection;
use crate::outcomes::OutcomeCounts;
use crate::schedule::Schedule;
use crate::schema::Bound;
use crate::schema::tests::{empty_trial, results};

/// A trial of one second in which 64 connections got 6,400 answers, and nothing was wrong.
fn sound() -> Trial {
    let mut trial = empty_trial();
    trial.outcomes[OutcomeClass::Ok] = 6_400;
    trial.fairness = Some(0.95);
    let figures = &mut trial.figures;
    figures.throughput = Some(6_400.0);
    figures.bytes_per_second = Some(1e6);
    let latency = &mut figures.latency_us;
    (latency.mean, latency.p50, latency.p90) = (Some(10_000.0), Some(9_000.0), Some(11_000.0));
    (latency.p99, latency.max) = (Some(12_000.0), Some(13_000.0));
    figures.service_time_us = figures.latency_us;
    figures.server.cpu_us_per_request = Some(20.0);
    figures.server.memory_bytes = Some(1e6);
    (figures.server.cpus_used, figures.server.threads) = (Some(0.5), Some(4.0));
    (figures.client.busiest_thread, figures.client.longest_cpu_wait) = (Some(0.5), Some(0.01));
    trial
}

/// A judged cell with 64 connections and these trials, of a target that could use one CPU.
fn judged(trials: Vec<Trial>) -> Cell {
    let cell = Cell { trials, ..results(&["a"]).cells.remove(0) };
    judged_as_it_is(cell)
}

fn judged_as_it_is(mut cell: Cell) -> Cell {
    cell.summarise();
    judge(&mut cell, 1);
    cell
}

/// A judged cell with one trial that `change` made of a sound one.
fn changed(change: impl FnOnce(&mut Trial)) -> Cell {
    let mut trial = sound();
    change(&mut trial);
    judged(vec![trial])
}

/// The verdict on a figure, and what its value still shows.
fn of(cell: &Cell, path: &str) -> (Verdict, Option<Bound>) {
    let name = crate::figures::names().find(|name| name.path() == path).unwrap();
    cell.flaw(&name).map_or((Verdict::Valid, None), |flaw| (flaw.verdict, flaw.bound))
}

const THROUGHPUT: &str = "throughput";
const P99: &str = "latency_us.p99";
const MEMORY: &str = "server.memory_bytes";

#[test]
fn a_sound_cell_is_valid_in_all_its_figures() {
    let cell = changed(|_| {});
    assert_eq!((cell.verdict, cell.reasons, cell.flaws.len()), (Verdict::Valid, vec![], 0));
}

#[test]
fn a_failed_request_a_silent_target_and_one_that_was_gone_invalidate_every_figure() {
    let content = changed(|trial| trial.outcomes[OutcomeClass::Content] = 1);
    let silent = changed(|trial| trial.outcomes = OutcomeCounts::default());
    let gone = changed(|trial| trial.gone = Some("it was gone".into()));
    for (cell, why) in [
        (content, "1 of 6401 requests ended as content"),
        (silent, "no request was answered within the window"),
        (gone, "it was gone"),
    ] {
        assert_eq!((cell.verdict, cell.reasons), (Verdict::Errors, vec![why.to_owned()]));
        let groups: Vec<&str> = cell.flaws.keys().map(String::as_str).collect();
        assert_eq!(
            groups,
            [
                "bytes_per_second",
                "client",
                "connect_us",
                "latency_us",
                "machine",
                "pace",
                "schedule_lag_us",
                "server",
                "service_time_us",
                "throughput"
            ]
        );
        assert!(cell.flaws.values().all(|flaw| flaw.verdict == Verdict::Errors && flaw.why == why));
    }
}

#[test]
fn what_the_run_told_stays_and_comes_first() {
    let mut cell = results(&["a"]).cells.remove(0);
    cell.trials.push(Trial { unserved: Some(60), ..sound() });
    (cell.verdict, cell.reasons) = (Verdict::Errors, vec!["it did not answer any more".into()]);
    let cell = judged_as_it_is(cell);
    assert_eq!(cell.verdict, Verdict::Errors);
    assert_eq!(cell.reasons, ["it did not answer any more", "60 of 64 connections got no answer"]);
    assert_eq!(of(&cell, CPU).0, Verdict::Errors);
}

#[test]
fn a_starved_cell_keeps_its_cpu_time_and_loses_its_percentiles() {
    let cell = changed(|trial| trial.unserved = Some(1));
    assert_eq!((cell.verdict, &cell.reasons[0][..]), (Verdict::Starved, "1 of 64 connections got no answer"));
    assert_eq!((of(&cell, THROUGHPUT), of(&cell, CPU)), ((Verdict::Starved, None), (Verdict::Valid, None)));
    assert_eq!((cell.figures.latency_us.p99, cell.figures.service_time_us.p50), (None, None));
    assert!(cell.figures.latency_us.max.is_some());
    assert_eq!(cell.missing["latency_us.p99"], "starved: 1 of 64 connections got no answer");
    assert_ne!(cell.missing["latency_us.p999"], cell.missing["latency_us.p99"], "it was missing for another reason");
}

#[test]
fn connections_are_starved_only_beyond_chance() {
    let starved = |connections: usize, answers: u64, unserved: u64| {
        let mut cell = results(&["a"]).cells.remove(0);
        cell.key.load.concurrency = connections;
        let mut trial = Trial { unserved: Some(unserved), ..empty_trial() };
        trial.outcomes[OutcomeClass::Ok] = answers;
        cell.trials.push(trial);
        judged_as_it_is(cell).verdict == Verdict::Starved
    };
    // A pool of 256 threads, and a target that answers each request after a second.
    assert!(starved(1_000, 5_000, 744));
    assert!(!starved(1_000, 50, 955));
    // By chance, 1000 x e^-5 = 6.7 get none.
    assert!(!starved(1_000, 5_000, 12));
    assert!(starved(1_000, 5_000, 30));
    assert!(starved(2, 1_000, 1));
    assert!(!starved(1, 1_000, 0));
}

/// 1000 requests are due a second, and each is answered a second later: in a window of 0.6 s come 600 answers, to requests
/// that were due before it; those to the 600 requests that were due in it come later.
#[test]
fn an_open_loops_answers_after_the_window_starve_nobody() {
    let verdict = |unserved, achieved_share, latency_us| {
        let mut cell = results(&["a"]).cells.remove(0);
        (cell.key.load.concurrency, cell.key.load.schedule) = (1_200, Schedule::Rate(1_000.0));
        let mut trial = Trial { unserved: Some(unserved), seconds: 0.6, ..empty_trial() };
        trial.outcomes[OutcomeClass::Ok] = 600;
        let figures = &mut trial.figures;
        figures.latency_us.mean = Some(latency_us);
        (figures.pace.offered_per_second, figures.pace.achieved_share) = (Some(1_000.0), Some(achieved_share));
        cell.trials.push(trial);
        judged_as_it_is(cell).verdict
    };
    assert_eq!(verdict(600, 1.0, 1e6), Verdict::Valid);
    assert_eq!(verdict(1_200, 0.0, 1e6), Verdict::Unstable, "no answer came in the window");
    assert_eq!(verdict(1_000, 1.0, 1e3), Verdict::Starved, "200 connections got three answers each");
}

#[test]
fn answers_that_fall_at_random_starve_nobody() {
    let mut random = fastrand::Rng::with_seed(1);
    for connections in [2, 3, 8, 64, 1_000] {
        for answers_per_connection in [1, 2, 5, 10, 20] {
            for _ in 0..20 {
                let answers = connections * answers_per_connection;
                let mut served = vec![0; connections];
                (0..answers).for_each(|_| served[random.usize(..connections)] += 1);
                let mut trial = empty_trial();
                trial.outcomes[OutcomeClass::Ok] = answers as u64;
                trial.unserved = Some(served.iter().filter(|&&answers| answers == 0).count() as u64);
                trial.fairness = crate::statistics::fairness(served.into_iter());
                let mut cell = results(&["a"]).cells.remove(0);
                cell.key.load.concurrency = connections;
                cell.trials.push(trial);
                let cell = judged_as_it_is(cell);
                assert_eq!(cell.verdict, Verdict::Valid, "{connections}, {answers}: {:?}", cell.reasons);
            }
        }
    }
}

#[test]
fn uneven_service_and_too_few_requests_in_flight_are_starvation() {
    assert_eq!(changed(|trial| trial.fairness = Some(0.5)).verdict, Verdict::Starved);
    let in_flight = |latency| changed(|trial| trial.figures.latency_us.mean = Some(latency));
    assert_eq!(in_flight(7_000.0).verdict, Verdict::Starved);
    assert_eq!(in_flight(13_000.0).verdict, Verdict::Unstable);
    let few = |trial: &mut Trial| {
        trial.outcomes[OutcomeClass::Ok] = 128;
        trial.fairness = Some(0.5);
    };
    assert_eq!(changed(few).verdict, Verdict::Valid, "there are too few answers to judge");
    let mut open = results(&["a"]).cells.remove(0);
    open.key.load.schedule = Schedule::Rate(6_400.0);
    open.trials.push(Trial { fairness: Some(0.5), ..sound() });
    assert_eq!(judged_as_it_is(open).verdict, Verdict::Valid, "the generator chose the connections");
    let mut cell = results(&["a"]).cells.remove(0);
    cell.key.load.requests_per_connection = PerConnection(std::num::NonZeroU32::new(1));
    cell.trials.push(sound());
    cell.trials[0].figures.latency_us.mean = Some(5_000.0);
    assert_eq!(judged_as_it_is(cell).verdict, Verdict::Valid, "connecting is not in the latency");
}

#[test]
fn a_target_that_did_not_hold_the_background_connections_is_starved() {
    let held = |asked, up| changed(|trial| (trial.background.idle.asked, trial.background.idle.up) = (asked, up));
    let cell = held(10_000, 4_097);
    assert_eq!(
        (cell.verdict, &cell.reasons[0][..]),
        (Verdict::Starved, "the target held 4097 of 10000 idle connections")
    );
    assert_eq!((of(&cell, CPU).0, cell.figures.latency_us.p99), (Verdict::Valid, None));
    assert_eq!(held(10_000, 9_950).verdict, Verdict::Valid, "a few are being opened again");
    let own_fault = changed(|trial| (trial.background.idle.asked, trial.local_failures) = (100, 1));
    assert_eq!(own_fault.verdict, Verdict::ClientLimited);
}

#[test]
fn a_busy_generator_bounds_throughput_and_times_and_leaves_cpu_time_valid() {
    for (busy, used, expected) in [
        (0.5, Some(0.5), Verdict::Valid),
        (0.99, Some(0.5), Verdict::ClientLimited),
        (0.99, Some(0.97), Verdict::Valid),
        (0.99, None, Verdict::ClientLimited),
        (0.5, None, Verdict::Valid),
    ] {
        let cell = changed(|trial| {
            (trial.figures.client.busiest_thread, trial.figures.server.cpus_used) = (Some(busy), used);
        });
        assert_eq!(cell.verdict, expected, "{busy} {used:?}");
        assert_eq!(cell.reasons.is_empty(), expected == Verdict::Valid);
        if expected == Verdict::ClientLimited {
            assert_eq!(of(&cell, THROUGHPUT), (expected, Some(Bound::Lower)));
            assert_eq!(of(&cell, P99), (expected, Some(Bound::Upper)));
            assert_eq!(of(&cell, "connect_us.p50"), (expected, Some(Bound::Upper)));
            assert_eq!(of(&cell, CPU), (Verdict::Valid, None));
        }
    }
}

#[test]
fn a_busy_generator_that_achieved_the_offered_rate_bounds_the_times_alone() {
    let with = |achieved| {
        changed(|trial| {
            trial.figures.pace.achieved_share = Some(achieved);
            trial.figures.client.longest_cpu_wait = Some(0.5);
        })
    };
    assert_eq!((of(&with(1.0), THROUGHPUT).0, of(&with(1.0), P99).1), (Verdict::Valid, Some(Bound::Upper)));
    assert_eq!(of(&with(0.9), THROUGHPUT), (Verdict::ClientLimited, Some(Bound::Lower)));
}

#[test]
fn a_generator_without_its_cpu_for_more_than_2_percent_is_never_valid() {
    let limited = |change: fn(&mut Trial)| changed(change).verdict == Verdict::ClientLimited;
    assert!(limited(|trial| trial.figures.client.longest_cpu_wait = Some(0.021)));
    assert!(limited(|trial| trial.figures.machine.client_throttled = Some(0.03)));
    assert!(limited(|trial| trial.throttled_seconds = Some(0.03)));
    assert!(!limited(|trial| trial.throttled_seconds = Some(0.01)));
    assert!(!limited(|trial| trial.figures.client.longest_cpu_wait = Some(0.02)));
}

#[test]
fn a_throttled_generator_shows_no_starved_connections() {
    let unfair = |throttled| Trial { fairness: Some(0.5), throttled_seconds: Some(throttled), ..sound() };
    assert_eq!(judged(vec![unfair(0.0), unfair(0.0)]).verdict, Verdict::Starved);
    assert_eq!(judged(vec![unfair(0.1), unfair(0.1)]).verdict, Verdict::ClientLimited);
    assert_eq!(judged(vec![unfair(0.1), unfair(0.0)]).verdict, Verdict::Starved);
}

#[test]
fn an_offered_rate_that_was_not_achieved_is_the_generators_limit_or_unstable() {
    for (achieved, busiest, expected) in [
        (1.0, Some(0.6), Verdict::Valid),
        (0.5, Some(0.6), Verdict::Unstable),
        (0.1, Some(0.6), Verdict::ClientLimited),
        (0.1, None, Verdict::Unstable),
        (0.0, Some(0.0), Verdict::Unstable),
    ] {
        let cell = changed(|trial| {
            trial.figures.pace.achieved_share = Some(achieved);
            trial.figures.client.busiest_thread = busiest;
        });
        assert_eq!((cell.verdict, of(&cell, CPU).0), (expected, Verdict::Valid), "{achieved}");
    }
}

#[test]
fn what_this_machine_could_not_have_limits_the_client() {
    let cell = changed(|trial| trial.local_failures = 3);
    assert_eq!((of(&cell, THROUGHPUT), of(&cell, CPU).0), ((Verdict::ClientLimited, None), Verdict::Valid));
    let cell = changed(|trial| trial.dropped_packets = 3);
    assert_eq!(of(&cell, P99), (Verdict::ClientLimited, Some(Bound::Upper)));
}

#[test]
fn others_on_the_cpus_disturb_all_but_levels_and_counts() {
    let cell = judged(vec![sound(), {
        let mut trial = sound();
        (trial.seconds, trial.figures.machine.foreign_on_server_cpus) = (5.0, Some(0.31));
        trial
    }]);
    assert_eq!(cell.reasons, ["other programs used 31 % of the target's CPUs"]);
    for (path, verdict) in [
        (THROUGHPUT, Verdict::Disturbed),
        (P99, Verdict::Disturbed),
        (CPU, Verdict::Disturbed),
        ("client.busiest_thread", Verdict::Disturbed),
        (MEMORY, Verdict::Valid),
        ("server.kernel_memory_bytes_per_connection", Verdict::Valid),
        ("server.threads", Verdict::Valid),
        ("server.syscalls_per_request", Verdict::Valid),
        ("machine.foreign_on_server_cpus", Verdict::Valid),
    ] {
        assert_eq!(of(&cell, path).0, verdict, "{path}");
    }
}

#[test]
fn a_cell_is_judged_by_its_undisturbed_trials_and_by_the_requests_of_all() {
    let disturbed = |class: OutcomeClass| {
        let mut trial = sound();
        (trial.seconds, trial.figures.machine.steal) = (5.0, Some(0.5));
        trial.figures.server.cpu_us_per_request = Some(99.0);
        trial.outcomes[class] += 1;
        trial
    };
    let mut cell = judged(vec![sound(), disturbed(OutcomeClass::Ok), sound(), sound()]);
    assert_eq!((cell.verdict, cell.figures.server.cpu_us_per_request.unwrap().high), (Verdict::Valid, Some(20.0)));
    assert_eq!(cell.outcomes[OutcomeClass::Ok], 4 * 6_400 + 1);
    let remark = "left out 1 trial of 4: the hypervisor gave other machines 50 % of a CPU";
    assert_eq!(crate::remarks::remarks(&cell), [remark]);
    cell = judged(vec![sound(), disturbed(OutcomeClass::Reset), sound(), sound()]);
    assert_eq!(cell.verdict, Verdict::Errors);
}

#[test]
fn a_throttled_target_has_the_speed_of_its_quota_and_its_own_cpu_time() {
    let cell = changed(|trial| trial.figures.machine.server_throttled = Some(0.34));
    assert_eq!(cell.reasons, ["a CPU quota throttled the target for 34 % of the window"]);
    assert_eq!((of(&cell, THROUGHPUT).0, of(&cell, CPU).0), (Verdict::Disturbed, Verdict::Valid));
}

#[test]
fn trials_that_differ_have_a_wide_interval_and_no_flaw() {
    let trial = |&throughput: &f64| {
        let mut trial = sound();
        trial.figures.throughput = Some(throughput);
        trial.figures.latency_us.mean = None;
        trial
    };
    let cell = judged([6_000.0, 9_000.0, 4_000.0].iter().map(trial).collect());
    assert_eq!((cell.verdict, of(&cell, THROUGHPUT).0), (Verdict::Valid, Verdict::Valid));
    assert!(cell.figures.throughput.and_then(|figure| figure.half_width()).is_some_and(|width| width > 0.5));
}

#[test]
fn a_trend_in_half_of_the_trials_is_unstable() {
    let with = |trends: &[Option<f64>]| judged(trends.iter().map(|&trend| Trial { trend, ..sound() }).collect());
    let cell = with(&[Some(0.23), None]);
    assert_eq!(cell.reasons, ["the rate rose by 23 % within the window; a longer --warmup shows whether it settles"]);
    assert_eq!((of(&cell, THROUGHPUT).0, of(&cell, P99).0, of(&cell, CPU).0), {
        (Verdict::Unstable, Verdict::Unstable, Verdict::Valid)
    });
    assert!(with(&[Some(-0.5)]).reasons[0].starts_with("the rate fell by 50 %"));
    assert_eq!(with(&[Some(0.23), None, None, None, None]).verdict, Verdict::Valid);
    let both_ways = [Some(0.3), Some(-0.3), None, None];
    assert_eq!(with(&both_ways).verdict, Verdict::Valid, "it rose in one and fell in another");
    assert!(with(&[Some(0.3), Some(-0.2), Some(-0.3)]).reasons[0].starts_with("the rate fell by 20 %"));
}

#[test]
fn the_gravest_objection_decides_a_figure_and_the_order_of_the_reasons() {
    let cell = changed(|trial| {
        trial.trend = Some(0.5);
        trial.unserved = Some(60);
        trial.figures.client.longest_cpu_wait = Some(0.5);
        trial.seconds = 5.0;
        trial.figures.machine.steal = Some(0.5);
    });
    let begin: Vec<&str> = cell.reasons.iter().map(|reason| reason.split(' ').next().unwrap()).collect();
    assert_eq!(begin, ["60", "a", "the", "the"], "{:?}", cell.reasons);
    assert_eq!((of(&cell, THROUGHPUT).0, of(&cell, CPU).0), (Verdict::Starved, Verdict::Disturbed));
    assert_eq!((cell.verdict, of(&cell, MEMORY).0), (Verdict::Starved, Verdict::Valid));
    let cell = changed(|trial| {
        (trial.figures.client.longest_cpu_wait, trial.figures.machine.steal) = (Some(0.5), Some(0.5));
    });
    assert_eq!(of(&cell, THROUGHPUT), (Verdict::ClientLimited, Some(Bound::Lower)), "a bound holds nevertheless");
    assert_eq!((cell.verdict, of(&cell, CPU).0), (Verdict::ClientLimited, Verdict::Disturbed));
}

#[test]
fn a_cold_trial_needs_what_it_served_from_a_disk() {
    let with = |cache, read: Option<f64>| {
        let mut trial = sound();
        trial.figures.bytes_per_second = Some(600.0);
        trial.background.bytes = 400; // in one second
        trial.figures.machine.disk_bytes_per_second = read;
        let mut cell = Cell { trials: vec![trial], ..results(&["a"]).cells.remove(0) };
        cell.key.load.cache = cache;
        judged_as_it_is(cell)
    };
    for (cache, read, verdict) in [
        (Some(Cache::Cold), Some(950.0), Verdict::Valid),
        (Some(Cache::Cold), Some(2_000.0), Verdict::Valid),
        (Some(Cache::Cold), Some(940.0), Verdict::NotCold),
        (Some(Cache::Cold), None, Verdict::NotCold),
        (Some(Cache::Hot), Some(0.0), Verdict::Valid),
        (None, Some(0.0), Verdict::Valid),
    ] {
        let cell = with(cache, read);
        assert_eq!(
            (cell.verdict, of(&cell, CPU).0, of(&cell, MEMORY).0),
            (verdict, verdict, verdict),
            "{cache:?} {read:?}"
        );
    }
    let why = with(Some(Cache::Cold), Some(500.0)).reasons.concat();
    assert!(why.contains("only 50 % of what was served: some files were in memory"), "{why}");
}

#[test]
fn a_trend_of_cold_files_is_no_objection() {
    let with = |cache| {
        let mut trial = sound();
        (trial.trend, trial.figures.machine.disk_bytes_per_second) = (Some(0.3), Some(2e6));
        let mut cell = Cell { trials: vec![trial; 3], ..results(&["a"]).cells.remove(0) };
        cell.key.load.cache = cache;
        judged_as_it_is(cell).verdict
    };
    assert_eq!(
        [None, Some(Cache::Hot), Some(Cache::Cold)].map(with),
        [Verdict::Unstable, Verdict::Unstable, Verdict::Valid]
    );
}

#[test]
fn cpu_time_that_was_counted_in_part_is_a_lower_bound() {
    let why = "children that ended were not charged to it";
    let cell = changed(|trial| {
        trial.undercounted = Some(why.into());
        trial.figures.server.cpu_us_per_request = Some(98.0);
    });
    assert_eq!((cell.verdict, &*cell.reasons), (Verdict::Undercounted, &[why.to_owned()][..]));
    for counted in [CPU, "server.user_us_per_request", "server.cpus_used", "server.minor_faults_per_request"] {
        assert_eq!(of(&cell, counted), (Verdict::Undercounted, Some(Bound::Lower)), "{counted}");
    }
    for other in [THROUGHPUT, P99, MEMORY, "server.supervisor_cpus_used", "server.syscalls_per_request"] {
        assert_eq!(of(&cell, other), (Verdict::Valid, None), "{other}");
    }
    let (ours, theirs) = (changed(|trial| trial.figures.server.cpu_us_per_request = Some(50.0)), cell);
    let expected = format!("a: undercounted, so its value is only a lower bound: {why}");
    assert_eq!(crate::contrast::contrast(&ours, &theirs, CPU), Err(expected));
}
