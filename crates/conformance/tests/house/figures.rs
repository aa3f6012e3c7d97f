//! Where a figure has to be named. A figure is a measured value in the results of the load test.
//!
//! For most places the compiler names what was forgotten: CONTRIBUTING.md says which.

use crate::{Missing, sources};

#[test]
fn every_figure_of_the_server_is_sent_to_prometheus() {
    let sources = sources("loadtest/src");
    let declared = sources.iter().find_map(|(_, text)| text.split_once("    ServerCost {\n")?.1.split_once('}'));
    let (declared, _) = declared.expect("loadtest/src declares the figures of ServerCost");
    let figures: Vec<_> = declared
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| !line.starts_with("///"))
        .collect();
    assert!(figures.contains(&"cpu_us_per_request"), "{figures:?}");
    // The file that makes the series of a run's results.
    let (path, samples) =
        sources.iter().find(|(_, text)| text.contains("\"loadtest_run_{name}\"")).expect("such a file");
    let mut missing = Missing::default();
    for figure in figures.into_iter().filter(|figure| !figure.is_empty()) {
        missing.unless(
            samples.contains(&format!("server.{figure})")),
            &path.canonicalize().expect("it is there").to_string_lossy(),
            &format!("a sample of server.{figure}"),
        );
    }
    missing.report();
}
