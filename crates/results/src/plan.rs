//! The plan of a run: each target under each load, in several trials.

mod written;

use crate::content::{Content, NOTHING};
use crate::disk::Disk;
use crate::lists::add_new;
use crate::load::{Key, Load};
use crate::schedule::Arrivals;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most trials of a run, over all its cells: a year of trials of half a minute.
const MOST_TRIALS: usize = 1_000_000;
/// Connections from which on the kernel's memory is told.
pub const ENOUGH_FOR_KERNEL_MEMORY: usize = 1_000;
/// Before the load, the kernel's memory has to stand still for so long where it is told.
pub const MEMORY_STANDS_STILL: Duration = Duration::from_millis(300);
/// The most threads of the generator.
const MOST_THREADS: usize = 1024;

/// Everything that decides what is measured; results.json has it as `settings`, with times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the targets.
    pub targets: Vec<String>,
    /// The loads, each of which every target gets.
    #[serde(flatten, with = "written::loads")]
    pub loads: Vec<Load>,
    /// How the requests of open loops are spaced.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Length of the measured window of a trial.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Shortest length of the warm-up, the load before the window. It goes on until each connection has been answered and
    /// the rate has settled, but not longer than four times this length or a second; zero for no warm-up at all.
    #[serde(with = "seconds")]
    pub warmup: Duration,
    /// Trials of each cell: as many blocks of each load. A budget that is too short leaves some out, and `precision` adds some.
    pub trials: usize,
    /// How long the run may take, from the start of the program to its end.
    #[serde(default, with = "optional_seconds", skip_serializing_if = "Option::is_none")]
    pub budget: Option<Duration>,
    /// Blocks are added until the interval of the CPU time a request is at most this share of it to either side, in each
    /// cell that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Whether trials that other programs disturb are made again.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub repeats: bool,
    /// What is measured twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub twice: Vec<Twice>,
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
    /// What the requests of a workload carry, for the workloads whose requests carry something.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub content: BTreeMap<String, Content>,
    /// Flags with their values that targets are started with, by target (`lab --set`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, BTreeMap<String, String>>,
    /// The disk, and the files on it (`lab disk`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// A target that is measured twice under a load: how much both differ is the machine's noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twice {
    /// The target.
    pub target: String,
    /// The load: its place in the plan's list.
    pub load: usize,
}

/// The name of a target's second copy, where the target is measured twice.
pub fn aa_name(target: &str) -> String {
    format!("{target} again")
}

impl Default for Plan {
    /// No targets; `/`, closed loop, 64 connections, keep-alive, one trial of 5 s after 0.5 s of warm-up, one thread.
    fn default() -> Plan {
        Plan {
            targets: Vec::new(),
            loads: vec![Load::default()],
            arrivals: Arrivals::Even,
            duration: Duration::from_secs(5),
            warmup: Duration::from_millis(500),
            trials: 1,
            budget: None,
            precision: None,
            repeats: true,
            twice: Vec::new(),
            seed: 1,
            threads: 1,
            cpus: Vec::new(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            content: BTreeMap::new(),
            set: BTreeMap::new(),
            disk: None,
        }
    }
}

impl Plan {
    /// Returns all cells, in the order in which they are reported.
    pub fn cells(&self) -> Vec<Key> {
        let mut cells = Vec::new();
        for (number, load) in self.loads.iter().enumerate() {
            for target in &self.targets {
                cells.push(Key { target: target.clone(), load: load.clone() });
                if self.twice.iter().any(|twice| twice.load == number && twice.target == *target) {
                    cells.push(Key { target: aa_name(target), load: load.clone() });
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
        let cells = self.targets.len().checked_mul(self.loads.len()).and_then(|all| all.checked_add(self.twice.len()));
        let all = cells.and_then(|cells| cells.checked_mul(self.trials));
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
        self.loads.iter().map(Load::connections).max().unwrap_or(0)
    }

    /// The measured workloads, each once.
    pub fn workloads(&self) -> Vec<&String> {
        let mut workloads = Vec::new();
        add_new(&mut workloads, self.loads.iter().map(|load| &load.workload));
        workloads
    }

    /// All that is requested, each once: the measured workloads, and those of the background clients.
    pub fn requested(&self) -> Vec<&String> {
        let mut requested = Vec::new();
        add_new(&mut requested, self.loads.iter().flat_map(Load::requested));
        requested
    }

    /// What the requests of this workload carry.
    pub fn content_of(&self, workload: &str) -> &Content {
        self.content.get(workload).unwrap_or(&NOTHING)
    }

    /// Estimated length of the run: the windows with their warm-ups, and the time for which the kernel's memory has to stand
    /// still before each. It is without what depends on the targets: their start, a longer warm-up, memory that does not
    /// stand still (up to 2 s), and idle connections that are never answered (2 s).
    pub fn estimate(&self) -> Duration {
        self.cells().iter().map(|key| self.estimate_of(&key.load) * self.trials as u32).sum()
    }

    /// The part of the estimate that a trial under this load has.
    pub fn estimate_of(&self, load: &Load) -> Duration {
        let waits = load.connections() >= ENOUGH_FOR_KERNEL_MEMORY && !load.reconnects();
        let before = if waits { MEMORY_STANDS_STILL } else { Duration::ZERO };
        (before + self.warmup + self.duration) * load.schedule.windows() as u32
    }
}

fn yes() -> bool {
    true
}

mod optional_seconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds.map(|time| Duration::try_from_secs_f64(time).map_err(D::Error::custom)).transpose()
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
    use crate::background::BackgroundLoad;
    use crate::schedule::Schedule;

    fn load(concurrency: usize) -> Load {
        Load { concurrency, ..Load::default() }
    }

    #[test]
    fn a_plan_that_no_machine_could_run_is_refused() {
        let plan = Plan { targets: vec!["a".into(), "b".into()], ..Plan::default() };
        assert_eq!(Plan { trials: MOST_TRIALS / 2, threads: MOST_THREADS, ..plan.clone() }.check(), Ok(()));
        for trials in [MOST_TRIALS / 2 + 1, usize::MAX, usize::MAX / 2 + 1] {
            assert!(Plan { trials, ..plan.clone() }.check().unwrap_err().contains("at most 1000000 trials"));
        }
        assert!(Plan { threads: usize::MAX, ..plan.clone() }.check().unwrap_err().contains("one a CPU"));
        let background = BackgroundLoad { idle: usize::MAX, busy: usize::MAX, ..BackgroundLoad::default() };
        assert_eq!(Plan { loads: vec![Load { background, ..load(1) }], ..plan }.connections(), usize::MAX);
    }

    #[test]
    fn a_target_that_is_measured_twice_is_followed_by_its_copy() {
        let twice = vec![Twice { target: "b".into(), load: 1 }];
        let plan =
            Plan { targets: vec!["a".into(), "b".into()], loads: vec![load(1), load(64)], twice, ..Plan::default() };
        let cells: Vec<_> = plan.cells().into_iter().map(|key| (key.target, key.load.concurrency)).collect();
        let expected = [("a", 1), ("b", 1), ("a", 64), ("b", 64), ("b again", 64)];
        assert_eq!(cells, expected.map(|(target, concurrency)| (target.to_owned(), concurrency)));
    }

    #[test]
    fn the_estimate_counts_the_windows_of_a_knee_search() {
        let targets = vec!["a".into(), "b".into()];
        let loads = Schedule::KNEE.map(|schedule| Load { schedule, ..Load::default() }).to_vec();
        let plan = Plan { targets, loads, trials: 3, ..Plan::default() };
        assert_eq!(plan.estimate(), Duration::from_millis(5500) * 2 * 3 * (1 + 9 + 1));
    }

    #[test]
    fn the_estimate_counts_the_wait_for_the_kernels_memory() {
        let plan = Plan { targets: vec!["a".into()], loads: vec![load(64), load(1_000)], ..Plan::default() };
        assert_eq!(plan.estimate(), Duration::from_millis(5500 + 5800));
        let beside = |busy| {
            let background = BackgroundLoad { idle: 1_000, busy, ..BackgroundLoad::default() };
            Plan { loads: vec![Load { background, ..load(64) }], ..plan.clone() }
        };
        assert_eq!(beside(0).estimate(), Duration::from_millis(5800));
        assert_eq!(beside(1).estimate(), Duration::from_millis(5500));
    }
}
