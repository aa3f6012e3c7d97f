//! What is put on a target: a load.

use crate::background::BackgroundLoad;
use crate::cache::Cache;
use crate::schedule::Schedule;
use crate::units::plural;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// What is requested, when, over how many connections, and beside which background connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Path, optionally with a method before it (`POST /counter`).
    pub workload: String,
    /// The schedule: when requests are sent.
    pub schedule: Schedule,
    /// Number of concurrent connections.
    pub concurrency: usize,
    /// Connection mode: how many requests a connection carries.
    pub requests_per_connection: PerConnection,
    /// Background connections, which are not measured.
    #[serde(rename = "beside", default, skip_serializing_if = "BackgroundLoad::is_none")]
    pub background: BackgroundLoad,
    /// Where the files are before each trial; null where nothing was done about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

impl Default for Load {
    /// `/`, closed loop, 64 connections, keep-alive, without background connections.
    fn default() -> Load {
        Load {
            workload: "/".into(),
            schedule: Schedule::Closed,
            concurrency: 64,
            requests_per_connection: PerConnection::UNLIMITED,
            background: BackgroundLoad::default(),
            cache: None,
        }
    }
}

impl Load {
    /// All combinations of these values, each beside the same background.
    pub fn combinations(
        workloads: &[String],
        schedules: &[Schedule],
        modes: &[PerConnection],
        concurrencies: &[usize],
        background: &BackgroundLoad,
    ) -> Vec<Load> {
        let mut loads = Vec::new();
        for workload in workloads {
            for &schedule in schedules {
                for &requests_per_connection in modes {
                    for &concurrency in concurrencies {
                        let (workload, background) = (workload.clone(), background.clone());
                        loads.push(Load {
                            workload,
                            schedule,
                            concurrency,
                            requests_per_connection,
                            background,
                            cache: None,
                        });
                    }
                }
            }
        }
        loads
    }

    /// The largest number of connections that are open at the same time.
    pub fn connections(&self) -> usize {
        self.concurrency.saturating_add(self.background.total())
    }

    /// Whether connections are closed and opened anew all the time, those of busy clients included. Connections that are
    /// reset leave nothing behind.
    pub fn reconnects(&self) -> bool {
        self.requests_per_connection.0.is_some() || self.background.busy > 0
    }

    /// All that is requested: the measured workload, and those of the background clients.
    pub fn requested(&self) -> impl Iterator<Item = &String> {
        [Some(&self.workload)].into_iter().chain(self.background.workloads()).flatten()
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = plural(self.concurrency, "connection");
        write!(f, "{} with {connections}, {}", self.workload, self.requests_per_connection)?;
        if self.schedule != Schedule::Closed {
            write!(f, ", {}", self.schedule)?;
        }
        if !self.background.is_none() {
            write!(f, ", beside {}", self.background)?;
        }
        self.cache.map_or(Ok(()), |cache| write!(f, ", {cache}"))
    }
}

/// Identifies a cell within a run: a target, and the load on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Name of the target.
    pub target: String,
    /// The load.
    #[serde(flatten)]
    pub load: Load,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.load)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_load_is_said_in_a_line() {
        let mut load = Load::default();
        assert_eq!(load.to_string(), "/ with 64 connections, keep-alive");
        load.schedule = Schedule::Rate(500.0);
        load.background = BackgroundLoad { idle: 1_000, busy: 2, ..BackgroundLoad::default() };
        load.background.busy_workload = Some("/work/9".into());
        let expected =
            "/ with 64 connections, keep-alive, 500 requests/s, beside 1000 idle connections, 2 clients of /work/9";
        assert_eq!(load.to_string(), expected);
        load.cache = Some(Cache::Cold);
        assert_eq!(load.to_string(), format!("{expected}, cold"));
    }
}
