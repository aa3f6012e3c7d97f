//! Plays every transcript to the bare connection, in virtual time.

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;

use app::App;
use common::Failures;
use conformance::check::without_dates;
use conformance::{Cut, Transcript, bare, table};

fn setup() -> &'static (PathBuf, App) {
    static SETUP: OnceLock<(PathBuf, App)> = OnceLock::new();
    SETUP.get_or_init(|| {
        let files = common::files("bare");
        let app = common::app(&files);
        (files, app)
    })
}

fn run_all(appetite: usize, mut cuts: impl FnMut(&Transcript) -> Vec<Cut>) {
    let (files, app) = setup();
    let mut failures = Failures::default();
    for transcript in &table() {
        for cut in cuts(transcript) {
            let record = bare::run(transcript, cut, appetite, |now| app.connect(now));
            failures.check(transcript, &format!("{cut:?}"), record, files);
        }
    }
    failures.report();
}

#[test]
fn transcripts_pass_whole() {
    run_all(usize::MAX, |_| vec![Cut::Whole]);
}

#[test]
fn transcripts_pass_byte_by_byte() {
    run_all(usize::MAX, |_| vec![Cut::Everywhere]);
}

#[test]
fn transcripts_pass_split_at_every_byte() {
    run_all(usize::MAX, |transcript| if transcript.is_short() { transcript.cuts().collect() } else { vec![] });
}

#[test]
fn transcripts_pass_with_a_peer_that_accepts_seven_bytes_at_a_time() {
    run_all(7, |transcript| if transcript.is_short() { vec![Cut::Whole] } else { vec![] });
}

#[test]
fn replies_are_the_same_bytes_however_the_request_was_split() {
    let (_, app) = setup();
    let mut failures = Failures::default();
    for transcript in table().iter().filter(|t| t.is_short() && !t.shares_state && !t.continue_is_optional) {
        let run = |cut| bare::run(transcript, cut, usize::MAX, |now| app.connect(now)).map(|r| without_dates(&r));
        let whole = run(Cut::Whole);
        for cut in transcript.cuts().chain([Cut::Everywhere]) {
            if run(cut) != whole {
                failures.add(
                    transcript,
                    &format!("{cut:?}"),
                    "the reply has other bytes than the reply to the whole request",
                );
            }
        }
    }
    failures.report();
}
