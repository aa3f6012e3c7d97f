//! Samples the cost of the target (CPU, memory, system calls) from its own metrics or from its process tree.

use crate::prometheus_text;
use crate::scrape;
use crate::signals::unless_stopped;
use crate::target::Url;
use nix::unistd::Pid;
use process_tree::Tree;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How long metrics may take once the run shall end.
const GRACE: Duration = Duration::from_millis(500);

/// The source of the cost figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSource {
    /// Prometheus text at this URL, with the `process_tree_*` metrics of the lab's services.
    Metrics(Url),
    /// This process on this machine, with all its descendants.
    ProcessTree(i32),
    /// No source; all figures will be missing.
    None,
}

/// Totals and states of the target at one point in time. `None` means that the figure is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// CPU seconds, user and system.
    pub cpu: Option<f64>,
    /// CPU seconds in user mode.
    pub user: Option<f64>,
    /// CPU seconds in the kernel.
    pub system: Option<f64>,
    /// Memory in bytes: PSS, or the control group's.
    pub memory: Option<f64>,
    /// The highest memory use so far, in bytes.
    pub peak_memory: Option<f64>,
    /// Living processes.
    pub processes: Option<f64>,
    /// Living threads.
    pub threads: Option<f64>,
    /// Open descriptors.
    pub open_fds: Option<f64>,
    /// Voluntary context switches: a thread had to wait.
    pub voluntary_switches: Option<f64>,
    /// Involuntary context switches: a thread's time slice was over.
    pub involuntary_switches: Option<f64>,
    /// Minor page faults, which need no input from a disk.
    pub minor_faults: Option<f64>,
    /// Major page faults, which need input from a disk.
    pub major_faults: Option<f64>,
    /// System calls that the service's own code counted.
    pub syscalls: Option<f64>,
}

impl Snapshot {
    /// Whether the counters have begun anew before `later`: one of them is lower there.
    pub fn is_older_life_than(&self, later: &Snapshot) -> bool {
        let counters = |snapshot: &Snapshot| {
            let Snapshot { cpu, voluntary_switches, involuntary_switches, .. } = *snapshot;
            let Snapshot { user, system, minor_faults, major_faults, syscalls, .. } = *snapshot;
            [cpu, user, system, voluntary_switches, involuntary_switches, minor_faults, major_faults, syscalls]
        };
        let pairs = counters(self).into_iter().zip(counters(later));
        pairs.into_iter().any(|(before, after)| before.zip(after).is_some_and(|(before, after)| after < before))
    }
}

/// The target's cost before the load, at the window's begin and at its end.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// Before the load.
    pub idle: Snapshot,
    /// At the window's begin.
    pub begin: Snapshot,
    /// At its end.
    pub end: Snapshot,
    /// Complete answers between the snapshots of begin and end.
    pub answered: u64,
    /// Seconds between these snapshots.
    pub seconds: f64,
    /// Why a figure is missing from them.
    pub why_missing: String,
}

impl Costs {
    /// No figure is known; why.
    pub fn unknown(why: &str) -> Costs {
        let none = Snapshot::default;
        Costs { idle: none(), begin: none(), end: none(), answered: 0, seconds: 0.0, why_missing: why.into() }
    }
}

/// Takes cost snapshots of one target.
pub(crate) struct CostSampler<'a> {
    /// Once it is true, metrics that do not come soon are given up.
    stop: &'a AtomicBool,
    source: CostSource,
    tree: Option<Tree>,
    /// Why the last snapshot failed.
    problem: Option<String>,
}

impl<'a> CostSampler<'a> {
    /// Prepares to sample from this source.
    pub fn new(source: CostSource, stop: &'a AtomicBool) -> CostSampler<'a> {
        let tree = match source {
            CostSource::ProcessTree(pid) => Some(Tree::new(Pid::from_raw(pid))),
            _ => None,
        };
        CostSampler { stop, source, tree, problem: None }
    }

    /// Takes a snapshot. Figures may be missing; [`CostSampler::missing`] says why.
    pub fn snapshot(&mut self) -> Snapshot {
        let result = match (&self.source, &mut self.tree) {
            (CostSource::Metrics(url), _) => scraped(url, self.stop),
            (_, Some(tree)) => sampled(tree),
            _ => return Snapshot::default(),
        };
        result.unwrap_or_else(|error| {
            self.problem = Some(error.to_string());
            Snapshot::default()
        })
    }

    /// Returns why a figure is missing.
    pub fn missing(&self) -> String {
        match (&self.problem, &self.source) {
            (_, CostSource::None) => "the target has neither --metrics nor --target-pid".into(),
            (Some(problem), CostSource::Metrics(url)) => format!("{url}: {problem}"),
            (Some(problem), _) => format!("process tree: {problem}"),
            (None, CostSource::Metrics(_)) => "not among the target's metrics".into(),
            (None, _) => "not to be had from the process tree".into(),
        }
    }
}

fn scraped(url: &Url, stop: &AtomicBool) -> io::Result<Snapshot> {
    let at = url.clone();
    let answer = unless_stopped(stop, GRACE, move || scrape::get(&at, TIMEOUT))?;
    let (status, body) = answer.ok_or(io::ErrorKind::Interrupted)??;
    if status != 200 {
        return Err(io::Error::other(format!("answers with status {status}")));
    }
    let text = String::from_utf8_lossy(&body);
    let total = |name: &str, label: &str| prometheus_text::total(&text, name, label);
    Ok(Snapshot {
        cpu: total("process_tree_cpu_seconds_total", ""),
        user: total("process_tree_cpu_user_seconds_total", ""),
        system: total("process_tree_cpu_system_seconds_total", ""),
        memory: total("process_tree_memory_bytes", ""),
        peak_memory: total("process_tree_memory_peak_bytes", ""),
        processes: total("process_tree_processes", ""),
        threads: total("process_tree_threads", ""),
        open_fds: total("process_tree_open_fds", ""),
        voluntary_switches: total("process_tree_context_switches_total", "kind=\"voluntary\""),
        involuntary_switches: total("process_tree_context_switches_total", "kind=\"involuntary\""),
        minor_faults: total("process_tree_page_faults_total", "kind=\"minor\""),
        major_faults: total("process_tree_page_faults_total", "kind=\"major\""),
        syscalls: total("server_syscalls_total", ""),
    })
}

fn sampled(tree: &mut Tree) -> io::Result<Snapshot> {
    let sample = tree.sample()?;
    let float = |n: Option<u64>| n.map(|n| n as f64);
    Ok(Snapshot {
        cpu: Some(sample.cpu.as_secs_f64()),
        user: sample.user.map(|time| time.as_secs_f64()),
        system: sample.system.map(|time| time.as_secs_f64()),
        memory: float(sample.memory_bytes),
        peak_memory: float(sample.peak_memory_bytes),
        processes: Some(sample.processes as f64),
        threads: Some(sample.threads as f64),
        open_fds: float(sample.open_fds),
        voluntary_switches: float(sample.voluntary_switches),
        involuntary_switches: float(sample.involuntary_switches),
        minor_faults: float(sample.minor_faults),
        major_faults: float(sample.major_faults),
        syscalls: None,
    })
}
