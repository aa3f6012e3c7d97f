use super::*;
use crate::background::BackgroundResults;
use crate::figures::Figures;
use crate::outcomes::OutcomeClass;
use crate::outcomes::OutcomeCounts;
use crate::read::{LARGEST, VERSION_1};

/// A run of these targets before any measurement.
pub(crate) fn results(targets: &[&str]) -> Results {
    let settings = Plan { targets: targets.iter().map(|name| (*name).to_owned()).collect(), ..Plan::default() };
    Results {
        schema: SCHEMA.into(),
        run_id: "r".into(),
        started_at: String::new(),
        interrupted: false,
        command: None,
        remarks: Vec::new(),
        machine: Machine {
            host: None,
            boot_id: None,
            kernel: None,
            cpu: None,
            cpus: 2,
            cpus_allowed: vec![0, 1],
            memory_bytes: None,
            provenance: BTreeMap::new(),
        },
        cells: settings.cells().into_iter().map(Cell::new).collect(),
        claims: Vec::new(),
        settings,
        targets: BTreeMap::new(),
    }
}

/// A trial of one second without any request.
pub(crate) fn empty_trial() -> Trial {
    Trial {
        run_id: None,
        began_at: None,
        block: None,
        aborted: false,
        seconds: 1.0,
        warmup_seconds: None,
        trend: None,
        outcomes: OutcomeCounts::default(),
        figures: Figures::default(),
        sources: BTreeMap::new(),
        answer: None,
        contents_checked: None,
        probes: Vec::new(),
        background: BackgroundResults::default(),
        close_ignored: 0,
        local_failures: 0,
        dropped_packets: 0,
        redirections: BTreeMap::new(),
        throttled_seconds: None,
        undercounted: None,
        gone: None,
        remarks: Vec::new(),
        unserved: Some(0),
        fairness: None,
        missing: BTreeMap::new(),
        histogram_unit: "ns".into(),
        latency_histogram: String::new(),
        connect_histogram: String::new(),
        service_time_histogram: String::new(),
        schedule_lag_histogram: String::new(),
        slices: Vec::new(),
    }
}

/// A run of these targets with these speeds, with trials that differ by one or two per cent.
pub(crate) fn run(id: &str, targets: &[(&str, f64)], trials: usize) -> Results {
    let mut made = results(&targets.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    made.run_id = id.into();
    for (cell, (_, speed)) in made.cells.iter_mut().zip(targets) {
        for trial in 0..trials {
            let mut one = empty_trial();
            one.figures.throughput = Some(speed * (1.0 + 0.01 * (trial % 3) as f64));
            one.outcomes[OutcomeClass::Ok] = 1_000;
            cell.trials.push(one);
        }
        cell.summarise();
    }
    made
}

#[test]
fn what_is_no_results_file_is_refused_in_one_line() {
    let path = std::env::temp_dir().join(format!("results-wrong-{}.json", std::process::id()));
    let refused = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        let why = Results::load(&path).unwrap_err();
        assert_eq!(why.lines().count(), 1, "{why}");
        why
    };
    let mut whole = Vec::new();
    run("r", &[("a", 100.0)], 1).write(&mut whole).unwrap();
    assert!(refused(b"").contains("it is empty"));
    assert!(refused(&whole[..whole.len() / 2]).contains("no whole results.json"));
    assert!(refused(b"\xff\xfe").contains("it is no results.json"));
    assert!(refused(b"17").contains("it is no results.json"));
    assert!(refused(b"[1]").contains("its schema is not said"));
    std::fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap(); // a file of holes, without blocks
    assert!(Results::load(&path).unwrap_err().contains("more than 512 MiB"));
    std::fs::remove_file(path).unwrap();
    assert!(Results::load(&std::env::temp_dir()).unwrap_err().contains("it is a folder"));
}

#[test]
fn a_file_of_another_schema_is_refused() {
    let path = std::env::temp_dir().join(format!("results-schema-{}.json", std::process::id()));
    let save = |results: &Results| results.write(&mut std::fs::File::create(&path).unwrap()).unwrap();
    let mut results = results(&["a"]);
    save(&results);
    assert_eq!(Results::load(&path).as_ref(), Ok(&results));
    results.schema = "other/9".into();
    save(&results);
    assert!(Results::load(&path).unwrap_err().contains("its schema is other/9"));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_of_version_1_has_its_verdicts_on_figures_and_no_memory_a_connection() {
    let path = std::env::temp_dir().join(format!("results-version-1-{}.json", std::process::id()));
    let load = |results: &Results| {
        results.write(&mut std::fs::File::create(&path).unwrap()).unwrap();
        Results::load(&path).unwrap()
    };
    let mut old = run("r", &[("a", 100.0), ("b", 100.0)], 1);
    old.schema = VERSION_1.into();
    for cell in &mut old.cells {
        cell.trials[0].figures.server.memory_bytes_per_connection = Some(512.0);
        cell.trials[0].figures.server.user_memory_bytes_per_connection = None;
        cell.summarise();
    }
    (old.cells[0].verdict, old.cells[0].reasons) = (Verdict::Starved, vec!["one got no answer".into()]);
    let read = load(&old);
    assert_eq!((read.schema.as_str(), read.cells[0].verdict), (VERSION_1, Verdict::Starved));
    let name = |path: &str| crate::figures::names().find(|name| name.path() == path).unwrap();
    let (throughput, cpu) = (name("throughput"), name("server.cpu_us_per_request"));
    let flaw = Flaw { verdict: Verdict::Starved, why: "one got no answer".into(), bound: None };
    assert_eq!((read.cells[0].flaw(&throughput), read.cells[1].flaw(&throughput)), (Some(&flaw), None));
    assert_eq!(read.cells[0].flaw(&cpu), None);
    for missing in [&read.cells[1].missing, &read.cells[1].trials[0].missing] {
        assert!(missing["server.memory_bytes_per_connection"].starts_with("version 1 of results.json"));
    }
    assert_eq!(read.cells[1].figures.server.memory_bytes_per_connection, None);
    assert!(read.cells[1].missing["machine.steal"].contains("did not have this figure"));
    assert_eq!(load(&read), read, "it is the same when it is read again");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn disturbed_trials_are_left_out_if_enough_others_are_left() {
    /// A trial: `q` is quiet, `d` disturbed, `f` disturbed with a failed request, `g` disturbed with the target gone, `a` cut
    /// short, `x` disturbed and cut short.
    fn trial(kind: char) -> Trial {
        let mut trial = Trial { seconds: 5.0, aborted: "ax".contains(kind), ..empty_trial() };
        trial.figures.machine.foreign_on_server_cpus = "dfgx".contains(kind).then_some(0.06);
        trial.outcomes[OutcomeClass::Reset] = u64::from(kind == 'f');
        trial.gone = (kind == 'g').then(|| "it was gone".into());
        trial.figures.throughput = Some(f64::from(u32::from(kind)));
        trial
    }
    for (trials, counted, left_out) in [
        ("qqqd", "qqq", 1),
        ("dqqqd", "qqq", 2),
        ("dqdqdq", "qqq", 3),
        ("qqd", "qqd", 0),
        ("dqdqdqd", "dqdqdqd", 0),
        ("dddd", "dddd", 0),
        ("qqqf", "qqqf", 0),
        ("qqqg", "qqqg", 0),
        ("qqqfd", "qqqf", 1),
        ("qqqda", "qqq", 1),
        ("qa", "q", 0),
        ("ax", "ax", 0),
    ] {
        let mut cell = results(&["a"]).cells.remove(0);
        cell.trials = trials.chars().map(trial).collect();
        let expected: Vec<Option<f64>> = counted.chars().map(|kind| trial(kind).figures.throughput).collect();
        let found: Vec<Option<f64>> = cell.counted_trials().iter().map(|trial| trial.figures.throughput).collect();
        assert_eq!(found, expected, "{trials}");
        assert_eq!(cell.left_out(), vec!["other programs used 6 % of the target's CPUs"; left_out], "{trials}");
    }
}
