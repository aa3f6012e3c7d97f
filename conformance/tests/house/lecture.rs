//! The claims of the lecture, a file each in lab/src/lecture/claims/, are named by the models that they are about.

use std::collections::BTreeSet;
use std::fs;

use crate::{Missing, folders, path, text};

/// The heading in the README of a model, and what comes before the name of a claim in its list.
const HEADING: &str = "\n## The lecture says\n";
const ITEM: &str = "- `";

#[test]
fn every_claim_is_named_by_a_model_and_on_the_board_of_the_readme() {
    let files = fs::read_dir(path("lab/src/lecture/claims")).expect("the folder of the claims");
    let files = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"));
    let claims: BTreeSet<String> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.replace('_', "-"))).collect();
    assert!(claims.contains("process-start"), "{claims:?}");
    let mut missing = Missing::default();
    let mut named = BTreeSet::new();
    for model in folders("services") {
        let readme = text(&format!("services/{model}/README.md"));
        let section = readme.split_once(HEADING).map_or("", |(_, after)| after);
        let section = section.split("\n## ").next().unwrap_or_default();
        let names = section.lines().filter_map(|line| line.strip_prefix(ITEM)?.split_once('`'));
        for (claim, _) in names {
            let is_there = claims.contains(claim);
            missing.unless(is_there, "lab/src/lecture/claims/", &format!("{claim}, which {model}'s README names"));
            named.insert(claim.to_owned());
        }
    }
    let readme = text("README.md");
    let board = readme
        .split_once("\nWhat holds here\n")
        .and_then(|(_, after)| after.split_once("\n```"))
        .map_or("", |(b, _)| b);
    let board = format!("\n{board}");
    for claim in &claims {
        missing.unless(named.contains(claim), "services/*/README.md", &format!("{claim}, in one below{HEADING}"));
        missing.unless(board.contains(&format!("\n{claim} ")), "README.md", &format!("{claim}, on the board"));
    }
    missing.report();
}
