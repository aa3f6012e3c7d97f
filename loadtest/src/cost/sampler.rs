//! Asks a target for its cost: [`CostSampler`].

use super::clock::monotonic;
use super::own_count::OwnCount;
use super::snapshot::Snapshot;
use super::source::CostSource;
use super::spent::{Place, Spent};
use crate::scrape;
use crate::signals::unless_stopped_while;
use crate::stop::Stop;
use crate::target::Url;
use nix::unistd::Pid;
use process_tree::{Account, Tree};
use std::io;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How long metrics may take once the run shall end.
const GRACE: Duration = Duration::from_millis(500);
/// The time for everything beside the CPU clocks of a process tree, where only these are wanted.
const CLOCKS_ONLY: Duration = Duration::from_millis(1);

/// Takes cost snapshots and accounts of one target.
pub(crate) struct CostSampler<'a> {
    /// Once it is set, metrics that do not come soon are given up.
    stop: Stop<'a>,
    source: Source,
    /// Why the last snapshot failed.
    problem: Option<String>,
}

enum Source {
    Service {
        metrics: Url,
        /// Whether it has no `/account`.
        is_older: bool,
    },
    Process {
        /// For snapshots.
        tree: Box<Tree>,
        /// For accounts: it has hardly any time for what is expensive.
        clocks: Box<Tree>,
        /// The CPUs that it may use, as they were at the last snapshot; none if that is not known.
        cpus: Vec<usize>,
    },
    None,
}

impl<'a> CostSampler<'a> {
    /// Prepares to sample from this source.
    pub fn new(source: CostSource, stop: Stop<'a>) -> CostSampler<'a> {
        let source = match source {
            CostSource::Metrics(metrics) => Source::Service { metrics, is_older: false },
            CostSource::ProcessTree(pid) => {
                let pid = Pid::from_raw(pid);
                let clocks = Box::new(Tree::new(pid).with_budget(CLOCKS_ONLY));
                Source::Process { tree: Box::new(Tree::new(pid)), clocks, cpus: Vec::new() }
            }
            CostSource::None => Source::None,
        };
        CostSampler { stop, source, problem: None }
    }

    /// Takes a snapshot. Figures may be missing; [`CostSampler::missing`] says why.
    pub fn snapshot(&mut self) -> Snapshot {
        let result = match &mut self.source {
            Source::Service { metrics, .. } => page(metrics, self.stop).map(|text| Snapshot::of_metrics(&text)),
            Source::Process { tree, cpus, .. } => tree.sample().map(|sample| {
                *cpus = tree.cpus().unwrap_or_default();
                Snapshot::of_tree(&sample)
            }),
            Source::None => return Snapshot::default(),
        };
        result.unwrap_or_else(|error| {
            self.problem = Some(error.to_string());
            Snapshot::default()
        })
    }

    /// Reads what the target has used and answered. `answered` counts the answers that the load generator has received.
    ///
    /// # Errors
    /// A line that says why it could not be read.
    pub fn spent(&mut self, answered: &dyn Fn() -> u64) -> Result<Spent, String> {
        match &mut self.source {
            Source::Service { metrics, is_older } => {
                let url = metrics.with_path("/account");
                if !*is_older {
                    let mut own_count = OwnCount::begin(answered);
                    let asked = got(&url, self.stop, || own_count.read());
                    let (status, body) = asked.map_err(|error| format!("{url}: {error}"))?;
                    own_count.read();
                    *is_older = status == 404;
                    if !*is_older {
                        let account = serde_json::from_slice::<Account>(&body);
                        let account =
                            account.map_err(|error| format!("{url}: status {status}, no account: {error}"))?;
                        return Ok(Spent::of_service(account, &own_count));
                    }
                }
                spent_by_metrics(metrics, self.stop, answered).map_err(|error| format!("{metrics}: {error}"))
            }
            Source::Process { clocks, cpus, .. } => spent_by_tree(clocks, answered)
                .map(|spent| Spent { cpus: cpus.clone(), ..spent })
                .map_err(|error| format!("process tree: {error}")),
            Source::None => Err(self.missing()),
        }
    }

    /// Returns why a figure is missing.
    pub fn missing(&self) -> String {
        match (&self.problem, &self.source) {
            (_, Source::None) => "the target has neither --metrics nor --target-pid".into(),
            (Some(problem), Source::Service { metrics, .. }) => format!("{metrics}: {problem}"),
            (Some(problem), _) => format!("process tree: {problem}"),
            (None, Source::Service { .. }) => "not among the target's metrics".into(),
            (None, _) => "not to be had from the process tree".into(),
        }
    }
}

/// A service that has no `/account`: its metrics have CPU time and replies, but it reads the former up to 20 ms after the
/// latter.
fn spent_by_metrics(metrics: &Url, stop: Stop<'_>, answered: &dyn Fn() -> u64) -> io::Result<Spent> {
    let (began, before) = (monotonic(), answered());
    let snapshot = Snapshot::of_metrics(&page(metrics, stop)?);
    let (at, by_generator) = ((began + monotonic()) / 2, (before, answered()));
    let cpu = snapshot.cpu.ok_or_else(|| io::Error::other("not among the target's metrics"))?;
    let by_itself = snapshot.replies.map(|replies| (replies as u64, replies as u64));
    let whose = if by_itself.is_some() { "its own count of replies" } else { "the load generator's count of answers" };
    Ok(Spent {
        at,
        cpu: Duration::try_from_secs_f64(cpu).map_err(io::Error::other)?,
        supervisor_cpu: None,
        replies: by_itself.unwrap_or(by_generator),
        syscalls: snapshot.syscalls.map(|calls| calls as u64),
        throttled: None,
        lacks_ended_children: false,
        source: format!("the target's metrics, and {whose} up to 20 ms earlier"),
        cpus: Vec::new(),
        place: Place::Unknown,
    })
}

fn spent_by_tree(clocks: &mut Tree, answered: &dyn Fn() -> u64) -> io::Result<Spent> {
    let (began, before) = (monotonic(), answered());
    let sample = clocks.sample()?;
    Ok(Spent {
        at: (began + monotonic()) / 2,
        cpu: sample.cpu,
        supervisor_cpu: None,
        replies: (before, answered()),
        syscalls: None,
        throttled: None,
        lacks_ended_children: false,
        source: format!("the process tree ({}), and the load generator's count of answers", sample.cpu_source),
        cpus: Vec::new(),
        place: Place::Here,
    })
}

/// The text at this URL.
fn page(url: &Url, stop: Stop<'_>) -> io::Result<String> {
    match got(url, stop, || Duration::MAX)? {
        (200, body) => Ok(String::from_utf8_lossy(&body).into_owned()),
        (status, _) => Err(io::Error::other(format!("answers with status {status}"))),
    }
}

/// The status and the body at this URL. `meanwhile` is called again and again, and returns how long to wait before the next call.
fn got(url: &Url, stop: Stop<'_>, meanwhile: impl FnMut() -> Duration) -> io::Result<(u16, Vec<u8>)> {
    let at = url.clone();
    let answer = unless_stopped_while(stop, GRACE, meanwhile, move || scrape::get(&at, TIMEOUT))?;
    answer.ok_or(io::ErrorKind::Interrupted)?
}
