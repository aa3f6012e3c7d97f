//! Follows a run that goes on: what it has written since the last look becomes events for a viewer.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use pages::live::parts;
use pages::report;
use results::live::{self, State};
use results::{Results, ndjson};
use serde_json::json;

use super::folder::{RESULTS, Runs, SLICES};

/// The time between two looks.
const PACE: Duration = Duration::from_secs(1);
/// The most bytes that are read at a look; the rest comes at the next ones.
const MOST: u64 = 1 << 20;

/// A viewer of a run that goes on.
pub struct Follower {
    runs: Arc<Runs>,
    run: String,
    state: State,
    /// Bytes of the file that were read, all of them whole lines.
    read: u64,
    /// The parts as the viewer has them.
    shown: BTreeMap<&'static str, String>,
    events: VecDeque<Event>,
    has_looked: bool,
    has_ended: bool,
    _counted: Counted,
}

/// Counts a viewer while it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// How a run stands; `None` if it does not go on.
pub fn state(runs: &Runs, run: &str) -> Option<State> {
    runs.goes_on(run)?;
    let (mut state, mut read) = (State::default(), 0);
    while read_on(runs, run, &mut state, &mut read)? {}
    Some(state)
}

/// Reads the lines that came since. Whether there were any; `None` if the file is gone.
fn read_on(runs: &Runs, run: &str, state: &mut State, read: &mut u64) -> Option<bool> {
    let mut file = runs.file(&[run], live::FILE).ok()?;
    file.seek(SeekFrom::Start(*read)).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    // The last line may be half written.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    bytes[..whole].split(|&byte| byte == b'\n').for_each(|line| state.read(&String::from_utf8_lossy(line)));
    *read += whole as u64;
    Some(whole > 0)
}

/// The results of a run with their slices, if these can be read.
///
/// # Errors
/// One line: there are none, or they cannot be read.
pub fn results(runs: &Runs, run: &[&str]) -> Result<Results, String> {
    let file = runs.file(run, RESULTS).map_err(|error| format!("{RESULTS}: {error}"))?;
    let mut results = Results::read(RESULTS, file)?;
    if let Ok(slices) = runs.file(run, SLICES) {
        let _ = ndjson::read_into(&mut results, BufReader::new(slices)); // the page has no charts over time then
    }
    Ok(results)
}

impl Follower {
    /// A viewer of this run. `viewers` counts it while it looks.
    pub fn new(runs: Arc<Runs>, run: String, viewers: Arc<AtomicUsize>) -> Follower {
        viewers.fetch_add(1, Relaxed);
        Follower {
            runs,
            run,
            state: State::default(),
            read: 0,
            shown: BTreeMap::new(),
            events: VecDeque::new(),
            has_looked: false,
            has_ended: false,
            _counted: Counted(viewers),
        }
    }

    /// The events, as they come; the last one has the report.
    pub fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, |mut follower| async move {
            loop {
                if let Some(event) = follower.events.pop_front() {
                    return Some((Ok(event), follower));
                }
                if follower.has_ended {
                    return None;
                }
                if std::mem::replace(&mut follower.has_looked, true) {
                    tokio::time::sleep(PACE).await;
                }
                follower.look();
            }
        })
    }

    fn look(&mut self) {
        match read_on(&self.runs, &self.run, &mut self.state, &mut self.read) {
            None => {
                self.has_ended = true;
                self.events.push_back(self.end());
            }
            Some(false) if self.runs.goes_on(&self.run).is_some() => {}
            Some(false) => {
                self.has_ended = true;
                self.events.push_back(
                    Event::default().event("gone").data("The run has written nothing for two minutes: it was killed."),
                );
            }
            Some(true) => {
                for (id, html) in parts(&self.state) {
                    if self.shown.get(id) != Some(&html) {
                        self.events.push_back(
                            Event::default().event("part").data(json!({ "id": id, "html": html }).to_string()),
                        );
                        self.shown.insert(id, html);
                    }
                }
            }
        }
    }

    fn end(&self) -> Event {
        match results(&self.runs, &[&self.run]) {
            Ok(results) => {
                let report::Part { style, main } = report::part(&results);
                Event::default().event("report").data(json!({ "style": style, "html": main.into_string() }).to_string())
            }
            Err(_) => Event::default().event("gone").data("The run has ended and left no results."),
        }
    }
}
