//! Which model is compared with which guest: the places that say it agree.

use std::collections::BTreeSet;
use std::path::Path;

/// A model and a guest.
type Pairs = BTreeSet<(String, String)>;

/// A file of the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
}

/// What stands between the first `begin` in a text and the next `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).unwrap_or_else(|| panic!("no {begin}")).0
}

/// What the answers of a run compare.
fn of_answers() -> Pairs {
    let text = text("crates/results/src/answers/guests.rs").replace("EPOLL", "\"epoll\"");
    let lines = between(&text, "const PAIRS", "\n];").lines().skip(1);
    lines
        .flat_map(|line| {
            let mut names = line.split('"').skip(1).step_by(2);
            let guest = names.next().unwrap();
            names.map(move |model| (model.to_owned(), guest.to_owned()))
        })
        .collect()
}

#[test]
fn the_table_of_guests_has_the_pairs_of_the_answers() {
    let text = text("guests/README.md");
    let table = between(&text, "|---|---|---|---|---|\n", "\n\n");
    let pairs: Pairs = table
        .lines()
        .flat_map(|row| {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let guest = columns[1].trim_matches('`');
            columns[4].split(", ").map(move |model| (model.to_owned(), guest.to_owned()))
        })
        .collect();
    assert_eq!(pairs, of_answers());
}

#[test]
fn the_goals_are_for_pairs_of_the_answers() {
    let text = text("bench/guests");
    let rows = between(&text, "\nrows=\"", "\"\n");
    let pairs: Pairs = rows
        .lines()
        .map(|row| {
            let mut words = row.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    let answers = of_answers();
    assert!(pairs.is_subset(&answers), "{:?} are none of the answers", pairs.difference(&answers));
    let models = |pairs: &Pairs| pairs.iter().map(|(model, _)| model.clone()).collect::<BTreeSet<_>>();
    assert_eq!(models(&pairs), models(&answers), "each model that is compared has a row");
}
