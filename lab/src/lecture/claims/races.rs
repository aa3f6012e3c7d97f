//! Two threads read a counter, and both write the same sum.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use loadtest::target::Url;
use loadtest::{probe, scrape};
use results::content::NOTHING;

use crate::lecture::experiment::{Experiment, Target};
use crate::lecture::sentence::{Judged, Seen, Sentence};
use crate::lecture::watched::Read;

pub const SENTENCE: Sentence = Sentence {
    id: "races",
    says: "Threads bring races on shared data.",
    does: "16 clients at a time increment a counter of thread-per-connection by POST /counter, 3200 times after each trial: \
           increments that the counter lacks then, with --racy and without.",
    seconds: 10,
    experiment: || {
        let threads = Target::of(THREADS);
        Ok(Experiment {
            targets: vec![threads.clone().named(RACY).with("racy", true), threads],
            reading: Some(lost_increments),
            window: Duration::from_millis(100),
            ..Experiment::of([], ["/counter -c 16"])
        })
    },
    judge: |seen| Judged {
        parts: vec![
            seen.run.values("share of increments that are lost, with --racy", lost_shares(seen)).more_than(0.0),
            seen.run.count("increments that are lost without it, of all", lost_of_all(seen)).at_most(0.0),
        ],
        notes: vec![
            "The race is helped along: with --racy, a thread gives up its CPU between reading and writing.".into(),
        ],
    },
};

const THREADS: &str = "thread-per-connection";
const RACY: &str = "thread-per-connection --racy";
const CLIENTS: u64 = 16;
const INCREMENTS_OF_EACH: u64 = 200;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Increments the counter, and looks by how much it has grown. Nothing else increments it.
fn lost_increments(service: SocketAddr) -> Result<Read, String> {
    let url: Url = format!("http://{}/counter", service).parse()?;
    let before = counter(&url)?;
    let client = || {
        (0..INCREMENTS_OF_EACH).try_for_each(|_| match probe::check(&url, "POST /counter", &NOTHING, TIMEOUT) {
            Ok(200) => Ok(()),
            Ok(status) => Err(format!("POST /counter: it answered {status}")),
            Err(error) => Err(format!("POST /counter: {error}")),
        })
    };
    let ended: Vec<Result<(), String>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let panicked = || Err("a client panicked".into());
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| panicked())).collect()
    });
    ended.into_iter().collect::<Result<(), String>>()?;
    let all = CLIENTS * INCREMENTS_OF_EACH;
    let counted = counter(&url)? - before;
    let lost = all.checked_sub(counted).ok_or_else(|| format!("the counter counted {counted} of {all} increments"))?;
    Ok(Read { count: lost, of: all })
}

fn counter(url: &Url) -> Result<u64, String> {
    let (_, body) = scrape::get(url, TIMEOUT).map_err(|error| format!("GET /counter: {error}"))?;
    let text = String::from_utf8_lossy(&body);
    text.trim().parse().map_err(|_| format!("GET /counter: '{}' is no number", text.trim()))
}

/// The share of the increments that was lost after each trial.
fn lost_shares(seen: &Seen<'_>) -> Result<Vec<f64>, String> {
    Ok(seen.readings.of(RACY)?.into_iter().map(|read| read.count as f64 / read.of as f64).collect())
}

/// The increments that were lost after all trials together, and between what their number could be among so many others: none of n
/// says, with 95 %, that fewer than 3 of n are lost (Hanley and Lippman-Hand, JAMA 249, 1983).
fn lost_of_all(seen: &Seen<'_>) -> Result<(f64, f64, f64), String> {
    let lost: u64 = seen.readings.of(THREADS)?.into_iter().map(|read| read.count).sum();
    Ok((lost as f64, lost as f64, if lost == 0 { 3.0 } else { lost as f64 }))
}
