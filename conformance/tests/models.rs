//! Plays every transcript over sockets to every model, which is started as a service.

#[macro_use]
#[path = "common/models.rs"]
mod list;

mod common;
#[path = "common/service.rs"]
mod service;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::Failures;
use conformance::check::{Record, without_dates};
use conformance::socket::{play, run_over_socket};
use conformance::{Cut, Step, Transcript, bare, hyper, table};

/// The tests of every model.
macro_rules! transcripts_of_models {
    ($($module:ident: $model:literal, $kind:ident { $($faults:tt)* })*) => {
        $(mod $module {
            use super::*;

            fn server() -> Option<SocketAddr> {
                static SERVER: OnceLock<Option<SocketAddr>> = OnceLock::new();
                *SERVER.get_or_init(|| service::start($model, files(), &[]))
            }

            #[test]
            fn transcripts_pass_whole() {
                server().map_or_else(|| skip($model), |server| run_whole(server, table_of($model)));
            }

            #[test]
            fn transcripts_pass_split_at_every_byte() {
                server().map_or_else(|| skip($model), |server| run_split(server, table_of($model)));
            }

            #[test]
            fn answers_as_the_bare_connection_does() {
                server().map_or_else(|| skip($model), |server| run_compared(server, table_of($model)));
            }

            #[test]
            fn connections_time_out() {
                let server = service::start($model, files(), &SHORT_TIMEOUTS);
                server.map_or_else(|| skip($model), |server| run_to_timeouts(server, table_of($model)));
            }
        })*
    };
}

for_each_model!(transcripts_of_models);

/// The listing of the lecture: nothing says that a read is complete, so the loop asks.
#[test]
fn posix_aio_without_signals_passes_the_transcripts_whole() {
    let server = service::start("posix-aio", files(), &["--no-signals"])
        .expect("posix-aio needs nothing that a machine may lack");
    run_whole(server, table_of("posix-aio"));
}

const SHORT_TIMEOUTS: [&str; 6] = ["--head-timeout", "1500ms", "--body-timeout", "2s", "--idle-timeout", "4s"];

fn files() -> &'static Path {
    static FILES: OnceLock<PathBuf> = OnceLock::new();
    FILES.get_or_init(|| common::files("models"))
}

/// The transcripts that a model must pass.
fn table_of(model: &str) -> Vec<Transcript> {
    if model == "framework" { hyper::table() } else { table() }
}

fn skip(model: &str) {
    eprintln!("skipped: this machine does not permit {model}");
}

#[track_caller]
fn run(server: SocketAddr, transcripts: &[(&Transcript, Cut)]) {
    let failures = run_over_socket(server, transcripts, files());
    let shown = failures.iter().take(20).map(String::as_str).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{} of {} failed:\n{}\n", failures.len(), transcripts.len(), shown.join("\n"));
}

fn run_whole(server: SocketAddr, table: Vec<Transcript>) {
    run(server, &table.iter().filter(|t| !t.takes_time()).map(|t| (t, Cut::Whole)).collect::<Vec<_>>());
}

fn run_split(server: SocketAddr, table: Vec<Transcript>) {
    let short = table.iter().filter(|t| !t.takes_time() && t.is_short());
    run(server, &short.flat_map(|t| t.cuts().map(move |cut| (t, cut))).collect::<Vec<_>>());
}

/// Compares replies with those of the bare connection: byte for byte except Date, or by their meaning where hyper wrote
/// them.
fn run_compared(server: SocketAddr, table: Vec<Transcript>) {
    let app = common::app(files());
    let mut failures = Failures::default();
    for transcript in table.iter().filter(|t| !t.takes_time() && !t.shares_state && !t.continue_is_optional) {
        if hyper::differs(transcript) {
            continue;
        }
        let plain = |record: &Record| if transcript.for_hyper { record.bytes.clone() } else { without_dates(record) };
        let bare = bare::run(transcript, Cut::Whole, usize::MAX, |now| app.connect(now)).map(|r| plain(&r));
        let here = play(server, transcript, Cut::Whole).map(|r| plain(&r));
        let same = match (&bare, &here) {
            (Ok(bare), Ok(here)) if transcript.for_hyper => hyper::says_the_same(transcript, bare, here),
            _ => bare == here,
        };
        if !same {
            let show = |bytes: &Result<Vec<u8>, String>| match bytes {
                Ok(bytes) => bytes[..bytes.len().min(500)].escape_ascii().to_string(),
                Err(why) => why.clone(),
            };
            failures.add(transcript, "over a socket", &format!("{}\n    {}", show(&bare), show(&here)));
        }
    }
    failures.report();
}

/// Plays the transcripts that end with a time-out, in real time.
fn run_to_timeouts(server: SocketAddr, mut table: Vec<Transcript>) {
    table.retain(|t| t.steps.iter().position(|step| matches!(step, Step::Wait(_))) == Some(t.steps.len() - 1));
    assert!(table.len() >= 5);
    table.iter_mut().for_each(|t| t.steps.truncate(t.steps.len() - 1));
    run(server, &table.iter().map(|t| (t, Cut::Whole)).collect::<Vec<_>>());
}
