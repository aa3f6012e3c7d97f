//! The places in which a figure must be named. A figure is a measured value in the results of the load test.
//!
//! The compiler names most places in which a new figure of the server's cost is missing. These checks name the others.

use crate::{Missing, sources};

#[test]
fn every_figure_of_the_server_is_measured_and_sent() {
    let sources = sources("loadtest/src");
    let declared = sources.iter().find_map(|(_, text)| text.split_once("    ServerCost {\n")?.1.split_once('}'));
    let (declared, _) = declared.expect("figures! declares ServerCost");
    let fields = declared.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    let figures: Vec<_> = fields.filter_map(|line| line.strip_suffix(',')).collect();
    assert!(figures.contains(&"cpu_us_per_request"), "{figures:?}");

    let mut missing = Missing::default();
    for (path, text) in &sources {
        let path = path.strip_prefix(crate::path("")).expect("it is ours").to_string_lossy();
        for figure in &figures {
            // Only where a default fills the rest up does the compiler not ask for every field.
            if text.contains("..ServerCost::default()") {
                let is_set = text.contains(&format!("{figure}: ")) || text.contains(&format!(".{figure} = "));
                missing.unless(is_set, &path, &format!("a value for {figure} of the server"));
            }
            if text.contains("\"loadtest_run_{name}\"") {
                let is_sent = text.contains(&format!("server.{figure})"));
                missing.unless(is_sent, &path, &format!("a sample of server.{figure}"));
            }
        }
    }
    missing.report();
}

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
