//! The plan of a run: targets × workloads × schedules × concurrencies × connection modes, each combination in several
//! trials.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

pub use crate::schedule::{Schedule, parse_ramp, parse_rate};

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
    /// Numbers of concurrent connections.
    pub concurrencies: Vec<usize>,
    /// Connection modes: how many requests a connection carries.
    pub requests_per_connection: Vec<PerConnection>,
    /// Length of the measured window of a trial.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Length of the warm-up: load before the window.
    #[serde(with = "seconds")]
    pub warmup: Duration,
    /// Trials of each cell.
    pub trials: usize,
    /// Seed that decides the order of the trials.
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
    /// What the busy background clients request.
    #[serde(default = "default_busy_workload")]
    pub busy_workload: String,
}

/// The default request of the busy background clients: some ten milliseconds of CPU.
pub const DEFAULT_BUSY_WORKLOAD: &str = "/work/10000000";

fn default_busy_workload() -> String {
    DEFAULT_BUSY_WORKLOAD.into()
}

/// Connections that are not measured, but which the server has to handle at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundLoad {
    /// Connections that made one request and then stay idle.
    pub idle: usize,
    /// Connections that send a request head one byte at a time and never complete it.
    pub slow_senders: usize,
    /// Connections that request `/files/1m` and read the answer in small pieces.
    pub slow_readers: usize,
    /// Clients that connect, send a request, and reset the connection before they read the answer, again and again.
    pub resetters: usize,
    /// Clients that request [`Plan::busy_workload`] and read the answer, one request a connection, again and again.
    #[serde(default)]
    pub busy: usize,
}

impl BackgroundLoad {
    /// The number of background connections of all kinds.
    pub fn total(&self) -> usize {
        self.idle + self.slow_senders + self.slow_readers + self.resetters + self.busy
    }
}

impl Default for Plan {
    /// No targets; `/`, closed loop, 64 connections, keep-alive, one trial of 5 s after 0.5 s of warm-up, one thread.
    fn default() -> Plan {
        Plan {
            targets: Vec::new(),
            workloads: vec!["/".into()],
            schedules: vec![Schedule::Closed],
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
            busy_workload: default_busy_workload(),
        }
    }
}

/// Identifies a cell within a run.
#[derive(Clone, Debug, PartialEq)]
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

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} with {} connections, {}",
            self.target, self.workload, self.concurrency, self.requests_per_connection
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

    /// Returns the order of all trials, as (cell, trial). The first trials of all cells come before the second ones,
    /// and so on; within each round the seed decides the order of the cells. So a drift of the machine's speed does not
    /// affect only one target. If a schedule needs the closed loop's ceiling, all trials that do not need it come
    /// first.
    pub fn order(&self) -> Vec<(usize, usize)> {
        let cells = self.cells();
        let (later, first): (Vec<usize>, Vec<usize>) =
            (0..cells.len()).partition(|&cell| cells[cell].schedule.needs_ceiling());
        let mut random = self.seed;
        let mut order = Vec::with_capacity(cells.len() * self.trials);
        for part in [first, later] {
            for trial in 0..self.trials {
                let begin = order.len();
                order.extend(part.iter().map(|&cell| (cell, trial)));
                for last in (1..part.len()).rev() {
                    let other = splitmix(&mut random) % (last as u64 + 1);
                    order.swap(begin + last, begin + other as usize);
                }
            }
        }
        order
    }

    /// The largest number of connections that are open at the same time.
    pub fn connections(&self) -> usize {
        self.concurrencies.iter().copied().max().unwrap_or(0) + self.background.total()
    }

    /// Estimated length of the run, without the time to start targets.
    pub fn estimate(&self) -> Duration {
        (self.duration + self.warmup) * self.order().len() as u32
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), a small generator of random numbers that accepts any seed.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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
    fn every_cell_runs_once_in_each_round_of_trials() {
        let plan = Plan {
            targets: vec!["a".into(), "b".into(), "c".into()],
            concurrencies: vec![1, 64],
            trials: 3,
            ..Plan::default()
        };
        let order = plan.order();
        assert_eq!(order, plan.order());
        for trial in 0..3 {
            let mut cells: Vec<usize> = order[trial * 6..][..6].iter().map(|&(cell, _)| cell).collect();
            assert!(order[trial * 6..][..6].iter().all(|&(_, t)| t == trial));
            cells.sort_unstable();
            assert_eq!(cells, [0, 1, 2, 3, 4, 5]);
        }
        assert_ne!(order, Plan { seed: 2, ..plan }.order());
    }

    #[test]
    fn trials_that_need_a_ceiling_come_after_those_that_measure_it() {
        let targets = vec!["a".into(), "b".into()];
        let plan = Plan { targets, schedules: Schedule::KNEE.to_vec(), trials: 3, ..Plan::default() };
        let cells = plan.cells();
        let needs: Vec<bool> = plan.order().iter().map(|&(cell, _)| cells[cell].schedule.needs_ceiling()).collect();
        assert_eq!(needs.iter().filter(|&&needs| !needs).count(), 6);
        assert!(needs.is_sorted(), "{needs:?}");
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
