//! What a run is to do: targets × workloads × schedules × concurrencies × connection modes, in several trials.

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
    /// Keep-alive without end.
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

/// In results.json: a number, or the word `unlimited`.
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

/// Everything that decides what is measured; kept in results.json as `settings`. Times are in seconds there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the targets.
    pub targets: Vec<String>,
    /// Paths, each optionally with a method before it (`POST /counter`).
    pub workloads: Vec<String>,
    /// When requests are sent.
    pub schedules: Vec<Schedule>,
    /// Numbers of connections.
    pub concurrencies: Vec<usize>,
    /// Connection modes.
    pub requests_per_connection: Vec<PerConnection>,
    /// Length of the measured window of a trial.
    #[serde(with = "seconds")]
    pub duration: Duration,
    /// Load before the window.
    #[serde(with = "seconds")]
    pub warmup: Duration,
    /// Trials of each cell.
    pub trials: usize,
    /// Decides the order of the trials.
    pub seed: u64,
    /// Threads of the generator.
    pub threads: usize,
    /// CPUs for these threads, one each; empty: all that the process may use. Not used if there are fewer than threads.
    pub cpus: Vec<usize>,
    /// The longest that a request may take from its first byte sent to its answer's last byte received.
    #[serde(with = "seconds")]
    pub timeout: Duration,
    /// The longest that a connection may take to be established.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// Connections beside the measured ones.
    #[serde(default)]
    pub beside: Crowd,
    /// What the busy ones of them ask for.
    #[serde(default = "default_busy_workload")]
    pub busy_workload: String,
}

/// What busy clients ask for unless they are told otherwise: some ten milliseconds of CPU.
pub const DEFAULT_BUSY_WORKLOAD: &str = "/work/10000000";

fn default_busy_workload() -> String {
    DEFAULT_BUSY_WORKLOAD.into()
}

/// Connections beside the measured ones, which the server has to bear meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowd {
    /// Connections that made one request and then say nothing.
    pub idle: usize,
    /// Connections whose request head comes a byte at a time and never ends.
    pub slow_senders: usize,
    /// Connections that ask for `/files/1m` and read it in small pieces.
    pub slow_readers: usize,
    /// Clients that connect, ask, and reset the connection before the answer is read, again and again.
    pub resetters: usize,
    /// Clients that ask for [`Plan::busy_workload`] and read the answer, on a connection a request, again and again.
    #[serde(default)]
    pub busy: usize,
}

impl Crowd {
    /// All of them.
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
            beside: Crowd::default(),
            busy_workload: default_busy_workload(),
        }
    }
}

/// Which cell of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Name of the target.
    pub target: String,
    /// Path, optionally with a method before it.
    pub workload: String,
    /// When requests are sent.
    pub schedule: Schedule,
    /// Connections.
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
    /// All cells, in the order in which they are reported.
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

    /// The order of all trials, as (cell, trial): trial after trial, and within each all cells in an order that the seed
    /// decides, so that what drifts on the machine does not fall on one target. Where a schedule needs the closed loop's
    /// ceiling, all trials that do not need it come first.
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

    /// The most connections that are open at a time.
    pub fn connections(&self) -> usize {
        self.concurrencies.iter().copied().max().unwrap_or(0) + self.beside.total()
    }

    /// How long the run takes, without starting targets.
    pub fn estimate(&self) -> Duration {
        (self.duration + self.warmup) * self.order().len() as u32
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and any seed will do.
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
    fn every_cell_comes_once_in_every_trial() {
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
    fn ceilings_are_measured_before_they_are_needed() {
        let targets = vec!["a".into(), "b".into()];
        let plan = Plan { targets, schedules: Schedule::KNEE.to_vec(), trials: 3, ..Plan::default() };
        let cells = plan.cells();
        let needs: Vec<bool> = plan.order().iter().map(|&(cell, _)| cells[cell].schedule.needs_ceiling()).collect();
        assert_eq!(needs.iter().filter(|&&needs| !needs).count(), 6);
        assert!(needs.is_sorted(), "{needs:?}");
    }

    #[test]
    fn connection_modes_read_and_write() {
        for (text, json) in [("unlimited", "\"unlimited\""), ("1", "1"), ("100", "100")] {
            let mode: PerConnection = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&mode).unwrap(), json);
            assert_eq!(serde_json::from_str::<PerConnection>(json).unwrap(), mode);
        }
        assert!("0".parse::<PerConnection>().is_err());
        assert!("many".parse::<PerConnection>().is_err());
    }
}
