//! Every kind of results has a page, and the page needs nothing but itself.

use results::{Bound, Cell, Figure, Flaw, Plan, Results, Verdict};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of older and newer programs that results keeps.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/tests/golden")
}

fn run(name: &str) -> Results {
    Results::load(&golden().join(format!("{name}.json"))).unwrap()
}

/// The page without the figures in it, in which any letters occur.
fn without_link(page: &str) -> String {
    let Some((before, after)) = page.split_once("base64,") else { return page.to_owned() };
    before.to_owned() + &after[after.find('"').unwrap()..]
}

/// Asserts what holds of every page.
fn assert_is_page(page: &str, what: &str) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{what}");
    assert!(page.contains("default-src 'none'"), "{what}");
    let page = &without_link(page);
    for wrong in ["<script", "http://", "https://", "NaN", "inf%", " style=\"", "url(", "@import", "onload", "onerror="]
    {
        let is_text = |at: usize| page[..at].rfind('>').is_some_and(|end| !page[end..at].contains('<'));
        let found = page.match_indices(wrong).find(|(at, _)| !is_text(*at));
        assert!(found.is_none(), "{what}: {wrong}: {:?}", found.map(|(at, _)| &page[at.saturating_sub(80)..at + 40]));
    }
    for element in ["table", "svg", "details", "section", "figure", "tr", "td", "text", "span", "div"] {
        let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
        let is_whole = |at: usize| page[at + opened.len()..].starts_with([' ', '>']);
        let opened = page.match_indices(&opened).filter(|(at, _)| is_whole(*at)).count();
        assert_eq!(opened, page.matches(&closed).count(), "{what}: {element}");
    }
    let ids = page.match_indices(" id=\"").map(|(at, _)| page[at + 5..].split('"').next().unwrap());
    let mut seen = BTreeSet::new();
    ids.for_each(|id| assert!(seen.insert(id), "{what}: two elements are called {id}"));
}

#[test]
fn every_results_file_has_a_page() {
    let mut pages = 0;
    for file in fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()) {
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let Some(results) = is_json.then(|| Results::load(&file).ok()).flatten() else { continue };
        let page = pages::report(&results);
        assert_is_page(&page, &file.display().to_string());
        assert!(page.contains(&results.run_id), "{}", file.display());
        assert!(page.len() < 1_000_000, "{}: {} bytes", file.display(), page.len());
        pages += 1;
    }
    assert!(pages > 15, "{pages} pages");
}

#[test]
fn the_page_says_what_the_terminal_says() {
    for name in ["closed", "many", "open", "problems", "knee"] {
        let (results, page) = (run(name), pages::report(&run(name)));
        let text =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for table in results::table::tables(&results, None) {
            assert!(page.contains(&text(&table.heading)), "{name}: {}", table.heading);
            let texts = table.rows.iter().flat_map(|row| &row.texts).chain(&table.lines);
            texts.for_each(|told| assert!(page.contains(&text(told)), "{name}: {told}"));
        }
        for answer in results::answers::answers(&results) {
            assert!(page.contains(&text(&answer.question)), "{name}: {}", answer.question);
        }
    }
}

#[test]
fn names_are_text_wherever_they_stand() {
    let name = "<script>alert('&\"')</script>";
    let mut results = run("problems");
    let first = results.cells[0].key.target.clone();
    for target in results.settings.targets.iter_mut().chain(results.cells.iter_mut().map(|cell| &mut cell.key.target)) {
        if *target == first {
            *target = name.into();
        }
    }
    results.remarks.push(name.into());
    results.machine.cpu = Some(name.into());
    results.command = Some(name.into());
    results.cells[1].reasons.push(name.into());
    let page = pages::report(&results);
    assert_is_page(&page, name);
    assert!(page.contains("&lt;script&gt;alert('&amp;&quot;')&lt;/script&gt;"));
}

#[test]
fn a_run_without_figures_says_what_is() {
    let mut results = run("closed");
    results.interrupted = true;
    results.cells.iter_mut().for_each(|cell| *cell = Cell::new(cell.key.clone()));
    let page = pages::report(&results);
    assert_is_page(&page, "no trials");
    assert!(page.contains("interrupted before anything was measured"));
    results.cells.clear();
    results.settings = Plan::default();
    assert_is_page(&pages::report(&results), "no cells");
}

#[test]
fn an_invalid_figure_is_hollow_and_has_its_reason() {
    let mut results = run("closed");
    let why = "a client thread was busy";
    for cell in &mut results.cells {
        cell.verdict = Verdict::ClientLimited;
        let flaw = Flaw { verdict: Verdict::ClientLimited, why: why.into(), bound: Some(Bound::Lower) };
        cell.flaws.insert("throughput".into(), flaw);
    }
    let page = pages::report(&results);
    assert_is_page(&page, "invalid");
    assert!(page.contains("flawed") && page.contains(&format!("client-limited: {why}")) && page.contains("&gt;="));
}

#[test]
fn huge_values_and_zeros_stay_on_the_page() {
    for value in [0.0, 1e-300, 1e300, f64::MAX] {
        let mut results = run("problems");
        for cell in &mut results.cells {
            let figure = Some(Figure { median: value, low: Some(value), high: Some(value) });
            (cell.figures.throughput, cell.figures.latency_us.mean) = (figure, figure);
            (cell.figures.server.cpu_us_per_request, cell.figures.server.memory_bytes) = (figure, figure);
            cell.figures.server.memory_bytes_per_connection = figure;
        }
        let page = pages::report(&results);
        assert_is_page(&page, &value.to_string());
        let percentages = page.split('"').filter_map(|part| part.strip_suffix('%')?.parse::<f64>().ok());
        percentages.for_each(|it| assert!((0.0..=100.0).contains(&it), "{value}: {it}%"));
    }
}

#[test]
fn the_figures_are_in_the_page() {
    let mut results = run("closed");
    let page = pages::report(&results);
    let link = page.split("data:application/gzip;base64,").nth(1).unwrap().split('"').next().unwrap();
    assert!(link.len() < 300_000);
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, link).unwrap();
    let embedded: Results = serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap();
    for trial in results.cells.iter_mut().flat_map(|cell| &mut cell.trials) {
        trial.latency_histogram.clear();
        trial.connect_histogram.clear();
        trial.service_time_histogram.clear();
        trial.schedule_lag_histogram.clear();
    }
    assert_eq!(embedded, results);
}
