//! The contents of results.json: the one schema that the lab, the load test, the page and the dashboards share.

use crate::class::OutcomeClass;
use crate::figures::{ClientCost, Figure, Pace, ServerCost, Times};
use crate::machine::Machine;
use crate::pace::BackgroundResults;
use crate::plan::{Key, PerConnection, Plan, Schedule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// The name and version of the schema.
pub const SCHEMA: &str = "io-models-lab/results/1";

/// The results of a whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the run: UTC date and time, and four random digits.
    pub run_id: String,
    /// RFC 3339, in UTC.
    pub started_at: String,
    /// Whether the run was interrupted: cells may lack trials.
    pub interrupted: bool,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The plan of the run.
    pub settings: Plan,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// Whether the numbers of a cell may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// They may be compared.
    Valid,
    /// The load generator was the bottleneck: the throughput is the generator's limit, not the target's.
    ClientLimited,
    /// Requests failed, or nothing could be measured.
    Errors,
    /// The target cannot work on this machine.
    Unsupported,
    /// The trials differ too much.
    Unstable,
    /// Some connections got no answer, or far fewer than others.
    Starved,
}

impl Verdict {
    /// The name of the verdict in tables and in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::ClientLimited => "client-limited",
            Verdict::Errors => "errors",
            Verdict::Unsupported => "unsupported",
            Verdict::Unstable => "unstable",
            Verdict::Starved => "starved",
        }
    }
}

/// The ranks of a valid cell among the cells under the same load: one more than the number of targets that are
/// significantly better, so several targets may share a rank. Null with fewer than five trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ranks {
    /// By throughput.
    pub throughput: Option<usize>,
    /// By the 99th percentile of the latency.
    pub p99: Option<usize>,
    /// By CPU time per request.
    pub cpu: Option<usize>,
}

/// One cell: a target under one load. A missing figure is null, and `missing` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Name of the target.
    pub target: String,
    /// Path, optionally with a method before it.
    pub workload: String,
    /// The schedule: when requests are sent.
    pub schedule: Schedule,
    /// Number of concurrent connections.
    pub concurrency: usize,
    /// Connection mode: a number, or `unlimited`.
    pub requests_per_connection: PerConnection,
    /// Whether the numbers may be compared.
    pub verdict: Verdict,
    /// The reasons for the verdict, and remarks.
    pub reasons: Vec<String>,
    /// Its ranks among the cells under the same load.
    #[serde(default)]
    pub ranks: Ranks,
    /// CPUs that the target could run on.
    #[serde(default)]
    pub server_cpus: Option<usize>,
    /// Requests over all trials, whatever their outcome.
    pub requests: u64,
    /// Of these, the requests that were answered with a status of 2xx or 3xx.
    pub ok: u64,
    /// The outcomes of the other requests, by class; with `ok` they add up to `requests`.
    pub errors: BTreeMap<String, u64>,
    /// Successful requests a second.
    pub throughput: Option<Figure>,
    /// Bytes received a second, heads included.
    pub bytes_per_second: Option<Figure>,
    /// Latency of successful requests, to the last byte received: in a closed loop from the first byte sent, in an open
    /// loop from when the request was due.
    pub latency_us: Times<Option<Figure>>,
    /// Service time, from the first byte sent to the last byte received, whatever the schedule; in a closed loop the
    /// same as latency.
    pub service_time_us: Times<Option<Figure>>,
    /// Time to establish a connection, over the connections established within the window; not part of a closed loop's
    /// latency.
    pub connect_us: Times<Option<Figure>>,
    /// Schedule lag: how late requests were sent although a connection was free. Open loop only.
    #[serde(default)]
    pub schedule_lag_us: Times<Option<Figure>>,
    /// How well the schedule was kept. Open loop only.
    #[serde(default)]
    pub pace: Pace<Option<Figure>>,
    /// The target's cost.
    pub server: ServerCost<Option<Figure>>,
    /// The load generator's own cost.
    pub client: ClientCost<Option<Figure>>,
    /// Why figures are missing: the key is a figure, as `server.user_us_per_request`, or a whole group, as `server`.
    pub missing: BTreeMap<String, String>,
    /// The trials that were begun.
    pub trials: Vec<Trial>,
}

impl Cell {
    /// A cell before its first trial.
    pub fn new(key: &Key) -> Cell {
        Cell {
            target: key.target.clone(),
            workload: key.workload.clone(),
            schedule: key.schedule,
            concurrency: key.concurrency,
            requests_per_connection: key.requests_per_connection,
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            ranks: Ranks::default(),
            server_cpus: None,
            requests: 0,
            ok: 0,
            errors: BTreeMap::new(),
            throughput: None,
            bytes_per_second: None,
            latency_us: Times::default(),
            service_time_us: Times::default(),
            connect_us: Times::default(),
            schedule_lag_us: Times::default(),
            pace: Pace::default(),
            server: ServerCost::default(),
            client: ClientCost::default(),
            missing: BTreeMap::new(),
            trials: Vec::new(),
        }
    }

    /// Returns what identifies this cell.
    pub fn key(&self) -> Key {
        Key {
            target: self.target.clone(),
            workload: self.workload.clone(),
            schedule: self.schedule,
            concurrency: self.concurrency,
            requests_per_connection: self.requests_per_connection,
        }
    }

    /// Whether the other cell has the same load: it may differ in its target only.
    pub fn same_load(&self, other: &Cell) -> bool {
        Key { target: String::new(), ..self.key() } == Key { target: String::new(), ..other.key() }
    }

    /// Requests that failed, over all trials.
    pub fn failed(&self) -> u64 {
        self.errors.iter().filter(|(class, _)| *class != OutcomeClass::AbortedAtEnd.name()).map(|(_, n)| n).sum()
    }

    /// The main figures with their names; the CSV file has them as columns.
    pub fn named_figures(&self) -> Vec<(&'static str, Option<Figure>)> {
        let (latency, server) = (&self.latency_us, &self.server);
        vec![
            ("throughput", self.throughput),
            ("latency_mean_us", latency.mean),
            ("latency_p50_us", latency.p50),
            ("latency_p90_us", latency.p90),
            ("latency_p99_us", latency.p99),
            ("latency_p999_us", latency.p999),
            ("latency_max_us", latency.max),
            ("connect_p50_us", self.connect_us.p50),
            ("connect_p99_us", self.connect_us.p99),
            ("cpu_us_per_request", server.cpu_us_per_request),
            ("peak_memory_bytes", server.peak_memory_bytes),
            ("memory_bytes_per_connection", server.memory_bytes_per_connection),
            ("processes", server.processes),
            ("threads", server.threads),
            ("voluntary_switches_per_request", server.voluntary_switches_per_request),
            ("involuntary_switches_per_request", server.involuntary_switches_per_request),
            ("syscalls_per_request", server.syscalls_per_request),
            ("client_busiest_thread", self.client.busiest_thread),
        ]
    }
}

/// One trial of a cell. Its figures are single values; a missing one is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Whether an interrupt cut the window short.
    pub aborted: bool,
    /// Length of the window in seconds.
    pub seconds: f64,
    /// Requests, whatever their outcome.
    pub requests: u64,
    /// Of these, the requests that were answered with a status of 2xx or 3xx.
    pub ok: u64,
    /// The outcomes of the other requests, by class.
    pub errors: BTreeMap<String, u64>,
    /// Successful requests a second.
    pub throughput: f64,
    /// Bytes received a second.
    pub bytes_per_second: f64,
    /// See [`Cell::latency_us`].
    pub latency_us: Times<Option<f64>>,
    /// See [`Cell::service_time_us`].
    #[serde(default)]
    pub service_time_us: Times<Option<f64>>,
    /// See [`Cell::connect_us`].
    pub connect_us: Times<Option<f64>>,
    /// See [`Cell::schedule_lag_us`].
    #[serde(default)]
    pub schedule_lag_us: Times<Option<f64>>,
    /// See [`Cell::pace`].
    #[serde(default)]
    pub pace: Pace<Option<f64>>,
    /// The background connections.
    #[serde(rename = "beside", default)]
    pub background: BackgroundResults,
    /// See [`Cell::server`].
    pub server: ServerCost<Option<f64>>,
    /// See [`Cell::client`].
    pub client: ClientCost<Option<f64>>,
    /// Connections that the server left open although the client had asked it to close them.
    pub close_ignored: u64,
    /// Connections that the generator's machine could not attempt, for want of a port or a descriptor.
    pub local_failures: u64,
    /// Packets that the kernel dropped during the trial because its table of tracked connections was full. The count
    /// covers all programs on this machine.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Connections that got no answer within the window; null in results of an older generator.
    #[serde(default)]
    pub unserved: Option<u64>,
    /// Jain's fairness index over the numbers of answers that the connections got, 1/n to 1; null without answers.
    #[serde(default)]
    pub fairness: Option<f64>,
    /// Why figures are missing.
    pub missing: BTreeMap<String, String>,
    /// Unit of the histograms' values: `ns`.
    pub histogram_unit: String,
    /// Latencies as an HDR histogram: V2, deflated, base64. Not present in what the lab shows live.
    pub latency_histogram: String,
    /// Connect times, in the same form.
    pub connect_histogram: String,
    /// Service times, in the same form; empty in a closed loop, where they are the latencies.
    #[serde(default)]
    pub service_time_histogram: String,
    /// Schedule lag, in the same form; empty in a closed loop.
    #[serde(default)]
    pub schedule_lag_histogram: String,
}

impl Results {
    /// Reads a results.json file.
    ///
    /// # Errors
    /// One line: the file does not exist, is not JSON, or has another schema.
    pub fn load(path: &Path) -> Result<Results, String> {
        let say = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| say(error.to_string()))?;
        let json = |error| say(format!("it is no results.json: {error}"));
        let value: serde_json::Value = serde_json::from_str(&text).map_err(json)?;
        match value["schema"].as_str() {
            Some(SCHEMA) => serde_json::from_value(value).map_err(json),
            other => {
                Err(say(format!("its schema is {}, and this program reads {SCHEMA}", other.unwrap_or("not said"))))
            }
        }
    }

    /// Writes the results as JSON to `path`.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(std::fs::File::create(path)?);
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()
    }

    /// Whether a request of any cell failed, or a target could not be measured. Unsupported cells do not count.
    pub fn has_failures(&self) -> bool {
        self.cells.iter().any(|cell| cell.verdict == Verdict::Errors)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run of these targets before any measurement.
    pub(crate) fn results(targets: &[&str]) -> Results {
        let settings = Plan { targets: targets.iter().map(|name| (*name).to_owned()).collect(), ..Plan::default() };
        Results {
            schema: SCHEMA.into(),
            run_id: "r".into(),
            started_at: String::new(),
            interrupted: false,
            machine: Machine::here(),
            cells: settings.cells().iter().map(Cell::new).collect(),
            settings,
        }
    }

    #[test]
    fn a_file_of_another_schema_is_refused() {
        let path = std::env::temp_dir().join(format!("loadtest-schema-{}.json", std::process::id()));
        let mut results = results(&["a"]);
        results.save(&path).unwrap();
        assert_eq!(Results::load(&path).as_ref(), Ok(&results));
        results.schema = "other/9".into();
        results.save(&path).unwrap();
        assert!(Results::load(&path).unwrap_err().contains("its schema is other/9"));
        std::fs::remove_file(path).unwrap();
    }
}
