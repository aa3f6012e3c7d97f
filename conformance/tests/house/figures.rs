//! What the load test reads from a service is there. Where a figure itself must be named, the compiler says.

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
