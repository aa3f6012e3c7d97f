//! What the load test reads from a service is there, and so is what a dashboard shows of a run. Where else a figure must be
//! named, the compiler says.

use crate::{Missing, sources};

#[test]
fn every_metric_that_the_load_test_reads_is_one_of_the_supervisor() {
    let families: String = sources("crates/supervisor/src").into_iter().map(|(_, text)| text).collect();
    let mut missing = Missing::default();
    for (_, text) in sources("loadtest/src") {
        for name in text.split("total(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if name.starts_with("process_tree_") || name.starts_with("server_") {
                let is_there = families.contains(&format!("\"{name}\""));
                missing.unless(is_there, "crates/supervisor/src/metrics/", &format!("the family {name}"));
            }
        }
    }
    missing.report();
}

/// The series of a run that are no figures: loadtest/src/remote_write/samples.rs.
const OTHERS: [&str; 12] = [
    "verdict",
    "trials",
    "requests",
    "ok_requests",
    "aborted_requests",
    "errors",
    "rank",
    "flaw",
    "missing",
    "disturbance",
    "disturbed_trials",
    "request_duration_seconds",
];

#[test]
fn every_series_of_a_run_on_the_dashboards_is_a_figure() {
    let figures: Vec<String> = results::figures::names().map(|name| name.series().0).collect();
    let mut missing = Missing::default();
    let mut seen = 0;
    for entry in std::fs::read_dir(crate::path("grafana/dashboards")).expect("the dashboards") {
        let file = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        for rest in text.split("loadtest_run_").skip(1) {
            let name: String = rest.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
            if name.is_empty() {
                continue; // a pattern of names
            }
            let figure = name.strip_suffix("_low").or_else(|| name.strip_suffix("_high")).unwrap_or(&name);
            let is_there = figures.iter().any(|known| known == figure) || OTHERS.contains(&name.as_str());
            missing.unless(is_there, &file.to_string_lossy(), &format!("the series loadtest_run_{name}"));
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} series");
    missing.report();
}
