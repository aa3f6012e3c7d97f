//! The plan of a run: targets × workloads × schedules × concurrencies × connection modes, each combination in several
//! trials.

use crate::background::BackgroundLoad;
use crate::content::{Content, NOTHING};
use crate::schedule::{Arrivals, Schedule};
use crate::units::plural;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The most trials of a run, over all its cells: a year of trials of half a minute.
const MOST_TRIALS: usize = 1_000_000;
/// Connections from which on the kernel's memory is told.
pub const ENOUGH_FOR_KERNEL_MEMORY: usize = 1_000;
/// Before the load, the kernel's memory has to stand still for so long where it is told.
pub const MEMORY_STANDS_STILL: Duration = Duration::from_millis(300);
/// The most threads of the generator.
const MOST_THREADS: usize = 1024;

/// How many requests a connection carries before it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "PerConnectionJson", try_from = "PerConnectionJson")]
pub struct PerConnection(pub Option<NonZeroU32>);

impl PerConnection {
    /// Keep-alive: the client never closes the connection.
    pub const UNLIMITED: PerConnection = PerConnection(None);
}

impl FromStr for PerConnection {
    type Err = String;

    fn from_str(text: &str) -> Result<PerConnection, String> {
        match text {
            "unlimited" => Ok(PerConnection::UNLIMITED),
            number => match number.parse() {
                Ok(limit) => Ok(PerConnection(Some(limit))),
                Err(_) => Err("write a number from 1 on, or 'unlimited'".into()),
            },
        }
    }
}

impl fmt::Display for PerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("keep-alive"),
            Some(limit) if limit.get() == 1 => f.write_str("1 request a connection"),
            Some(limit) => write!(f, "{limit} requests a connection"),
        }
    }
}

/// The JSON form in results.json: a number, or the word `unlimited`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PerConnectionJson {
    Limit(NonZeroU32),
    Word(String),
}

impl From<PerConnection> for PerConnectionJson {
    fn from(mode: PerConnection) -> Self {
        mode.0.map_or_else(|| PerConnectionJson::Word("unlimited".into()), PerConnectionJson::Limit)
    }
}

impl TryFrom<PerConnectionJson> for PerConnection {
    type Error = String;

    fn try_from(json: PerConnectionJson) -> Result<Self, String> {
        match json {
            PerConnectionJson::Limit(limit) => Ok(PerConnection(Some(limit))),
            PerConnectionJson::Word(word) => word.parse(),
        }
    }
}

/// Everything that decides what is measured; results.json has it as `settings`, with times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the targets.
    pub targets: Vec<String>,
    /// Paths, each optionally with a method before it (`POST /counter`).
    pub workloads: Vec<String>,
    /// The schedules: when requests are sent.
    pub schedules: Vec<Schedule>,
    /// How the requests of open loops are spaced.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Numbers of concurrent connections.
    pub concurrencies: Vec<usize>,
    /// Connection modes: how many requests a connection carries.
    pub requests_per_connection: Vec<PerConnection>,
    /// Length of the measured window of a trial.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Shortest length of the warm-up, the load before the window. It goes on until each connection has been answered and
    /// the rate has settled, but not longer than four times this length or a second; zero for no warm-up at all.
    #[serde(with = "seconds")]
    pub warmup: Duration,
    /// Trials of each cell.
    pub trials: usize,
    /// Seed that decides the order of the trials, and with the numbers of block and window the times of Poisson arrivals.
    pub seed: u64,
    /// Threads of the generator.
    pub threads: usize,
    /// CPUs for these threads, one each. If empty, all CPUs that the process may use. Ignored if there are fewer CPUs
    /// than threads.
    pub cpus: Vec<usize>,
    /// Time-out of a request, from its first byte sent to its answer's last byte received.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// Time-out for establishing a connection.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// Background load: connections that are not measured.
    #[serde(rename = "beside", default)]
    pub background: BackgroundLoad,
    /// What the busy background clients request, if there are any.
    #[serde(default = "first_busy_workload")]
    pub busy_workload: String,
    /// What the slow readers request, if there are any.
    #[serde(default = "first_slow_reader_workload")]
    pub slow_reader_workload: String,
    /// What the requests of a workload carry, for the workloads whose requests carry something.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub content: BTreeMap<String, Content>,
    /// Flags with their values that targets are started with, by target (`lab --set`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, BTreeMap<String, String>>,
}

/// What busy clients requested before results.json said it.
fn first_busy_workload() -> String {
    "/work/10000000".into()
}

/// What slow readers requested before results.json said it.
fn first_slow_reader_workload() -> String {
    "/files/1m".into()
}

impl Default for Plan {
    /// No targets; `/`, closed loop, 64 connections, keep-alive, one trial of 5 s after 0.5 s of warm-up, one thread.
    fn default() -> Plan {
        Plan {
            targets: Vec::new(),
            workloads: vec!["/".into()],
            schedules: vec![Schedule::Closed],
            arrivals: Arrivals::Even,
            concurrencies: vec![64],
            requests_per_connection: vec![PerConnection::UNLIMITED],
            duration: Duration::from_secs(5),
            warmup: Duration::from_millis(500),
            trials: 1,
            seed: 1,
            threads: 1,
            cpus: Vec::new(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            background: BackgroundLoad::default(),
            busy_workload: "/".into(),
            slow_reader_workload: "/".into(),
            content: BTreeMap::new(),
            set: BTreeMap::new(),
        }
    }
}

/// Identifies a cell within a run: a target, and the load on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Name of the target.
    pub target: String,
    /// Path, optionally with a method before it.
    pub workload: String,
    /// The schedule: when requests are sent.
    pub schedule: Schedule,
    /// Number of concurrent connections.
    pub concurrency: usize,
    /// Connection mode.
    pub requests_per_connection: PerConnection,
}

impl Key {
    /// Whether the other cell has the same load: it may differ in its target only.
    pub fn same_load(&self, other: &Key) -> bool {
        (&self.workload, self.schedule, self.concurrency, self.requests_per_connection)
            == (&other.workload, other.schedule, other.concurrency, other.requests_per_connection)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} with {}, {}",
            self.target,
            self.workload,
            plural(self.concurrency, "connection"),
            self.requests_per_connection
        )?;
        match self.schedule {
            Schedule::Closed => Ok(()),
            open => write!(f, ", {open}"),
        }
    }
}

impl Plan {
    /// Returns all cells, in the order in which they are reported.
    pub fn cells(&self) -> Vec<Key> {
        let mut cells = Vec::new();
        for workload in &self.workloads {
            for &schedule in &self.schedules {
                for &requests_per_connection in &self.requests_per_connection {
                    for &concurrency in &self.concurrencies {
                        for target in &self.targets {
                            cells.push(Key {
                                target: target.clone(),
                                workload: workload.clone(),
                                schedule,
                                concurrency,
                                requests_per_connection,
                            });
                        }
                    }
                }
            }
        }
        cells
    }

    /// Checks that the plan is not larger than any machine could run.
    ///
    /// # Errors
    /// One line that says what to ask for instead.
    pub fn check(&self) -> Result<(), String> {
        let Plan { targets, workloads, schedules, concurrencies, requests_per_connection, .. } = self;
        let lists =
            [targets.len(), workloads.len(), schedules.len(), concurrencies.len(), requests_per_connection.len()];
        let all = lists.into_iter().try_fold(self.trials, usize::checked_mul);
        if all.is_none_or(|all| all > MOST_TRIALS) {
            return Err(format!("--trials {}: a run has at most {MOST_TRIALS} trials over all its cells", self.trials));
        }
        if self.threads > MOST_THREADS {
            return Err(format!("--threads {}: there are at most {MOST_THREADS}; one a CPU is enough", self.threads));
        }
        Ok(())
    }

    /// The largest number of connections that are open at the same time.
    pub fn connections(&self) -> usize {
        self.concurrencies.iter().copied().max().unwrap_or(0).saturating_add(self.background.total())
    }

    /// What busy clients and slow readers request; `None` where there are none.
    pub fn background_workloads(&self) -> [Option<&String>; 2] {
        let busy = (self.background.busy > 0).then_some(&self.busy_workload);
        let slow_reader = (self.background.slow_readers > 0).then_some(&self.slow_reader_workload);
        [busy, slow_reader]
    }

    /// All that is requested: the measured workloads, and those of the background clients that there are.
    pub fn requested(&self) -> impl Iterator<Item = &String> {
        self.workloads.iter().chain(self.background_workloads().into_iter().flatten())
    }

    /// What the requests of this workload carry.
    pub fn content_of(&self, workload: &str) -> &Content {
        self.content.get(workload).unwrap_or(&NOTHING)
    }

    /// Estimated length of the run: the windows with their warm-ups, and the time for which the kernel's memory has to stand
    /// still before each. It is without what depends on the targets: their start, a longer warm-up, memory that does not
    /// stand still (up to 2 s), and idle connections that are never answered (2 s).
    pub fn estimate(&self) -> Duration {
        let of_cell = |key: &Key| {
            let connections = key.concurrency.saturating_add(self.background.total());
            let waits = connections >= ENOUGH_FOR_KERNEL_MEMORY && !self.reconnects(key);
            let before = if waits { MEMORY_STANDS_STILL } else { Duration::ZERO };
            (before + self.warmup + self.duration) * (key.schedule.windows() * self.trials) as u32
        };
        self.cells().iter().map(of_cell).sum()
    }

    /// Whether connections of this cell are closed and opened anew all the time, those of busy clients included. Connections
    /// that are reset leave nothing behind.
    pub fn reconnects(&self, key: &Key) -> bool {
        key.requests_per_connection.0.is_some() || self.background.busy > 0
    }
}

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_no_machine_could_run_is_refused() {
        let plan = Plan { targets: vec!["a".into(), "b".into()], ..Plan::default() };
        assert_eq!(Plan { trials: MOST_TRIALS / 2, threads: MOST_THREADS, ..plan.clone() }.check(), Ok(()));
        for trials in [MOST_TRIALS / 2 + 1, usize::MAX, usize::MAX / 2 + 1] {
            assert!(Plan { trials, ..plan.clone() }.check().unwrap_err().contains("at most 1000000 trials"));
        }
        assert!(Plan { threads: usize::MAX, ..plan.clone() }.check().unwrap_err().contains("one a CPU"));
        let background = BackgroundLoad { idle: usize::MAX, busy: usize::MAX, ..BackgroundLoad::default() };
        assert_eq!(Plan { background, ..plan }.connections(), usize::MAX);
    }

    #[test]
    fn the_estimate_counts_the_windows_of_a_knee_search() {
        let targets = vec!["a".into(), "b".into()];
        let plan = Plan { targets, schedules: Schedule::KNEE.to_vec(), trials: 3, ..Plan::default() };
        assert_eq!(plan.estimate(), Duration::from_millis(5500) * 2 * 3 * (1 + 9 + 1));
    }

    #[test]
    fn the_estimate_counts_the_wait_for_the_kernels_memory() {
        let plan = Plan { targets: vec!["a".into()], concurrencies: vec![64, 1_000], ..Plan::default() };
        assert_eq!(plan.estimate(), Duration::from_millis(5500 + 5800));
        let idle = |busy| BackgroundLoad { idle: 1_000, busy, ..BackgroundLoad::default() };
        assert_eq!(Plan { background: idle(0), ..plan.clone() }.estimate(), Duration::from_millis(2 * 5800));
        assert_eq!(Plan { background: idle(1), ..plan }.estimate(), Duration::from_millis(2 * 5500));
    }

    #[test]
    fn a_connection_mode_survives_parsing_and_json() {
        for (text, json) in [("unlimited", "\"unlimited\""), ("1", "1"), ("100", "100")] {
            let mode: PerConnection = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&mode).unwrap(), json);
            assert_eq!(serde_json::from_str::<PerConnection>(json).unwrap(), mode);
        }
        assert!("0".parse::<PerConnection>().is_err());
        assert!("many".parse::<PerConnection>().is_err());
    }
}
