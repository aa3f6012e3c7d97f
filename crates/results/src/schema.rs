//! The contents of results.json: the one schema that the lab, the load test and the dashboards share.

use crate::background::BackgroundResults;
use crate::figures::{Figures, Name, Reason};
use crate::machine::Machine;
use crate::outcomes::OutcomeCounts;
use crate::plan::{Key, Plan};
use crate::slices::Slice;
use crate::statistics::Figure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// The name and version of the schema.
pub const SCHEMA: &str = "io-models-lab/results/2";
/// Earlier versions, whose files are still read. Version 1 had verdicts on cells alone, and read memory after the load.
const EARLIER: [&str; 1] = ["io-models-lab/results/1"];

/// The largest file that is read, in bytes; a trial takes some kilobytes.
const LARGEST: u64 = 512 << 20;

/// What is read first, since the rest may have another form under another schema.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
}

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
    /// What the targets said of themselves; those that say nothing are missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, Target>,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// What a target said of itself before its first trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The flags that it was given, on its command line or by its environment, with their values.
    pub given: BTreeMap<String, String>,
    /// What else it states: the facts of its model, and the sources of its figures.
    pub facts: BTreeMap<String, String>,
}

/// Whether a number may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Other programs, or other machines of the same host, used the CPUs at the same time.
    Disturbed,
}

/// Why a figure of a cell may not be compared, although it has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaw {
    /// The verdict on the figure; never `valid`.
    pub verdict: Verdict,
    /// The reason, as in the cell's `reasons`.
    pub why: String,
    /// On which side of the value the true one lies, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// What a value with a flaw still shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The true value is at least this: a throughput that the load generator limited.
    Lower,
    /// The true value is at most this: a latency that contains a delay of the load generator.
    Upper,
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
            Verdict::Disturbed => "disturbed",
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

impl Ranks {
    /// Each rank with the name of what it is by.
    pub fn iter(&self) -> [(&'static str, Option<usize>); 3] {
        [("throughput", self.throughput), ("p99", self.p99), ("cpu", self.cpu)]
    }
}

/// One cell: a target under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What identifies the cell.
    #[serde(flatten)]
    pub key: Key,
    /// Whether its numbers may be compared; if not all may, the gravest verdict on one of them.
    pub verdict: Verdict,
    /// The reasons for the verdict, and remarks.
    pub reasons: Vec<String>,
    /// Its ranks among the cells under the same load.
    #[serde(default)]
    pub ranks: Ranks,
    /// CPUs that the target could run on.
    #[serde(default)]
    pub server_cpus: Option<usize>,
    /// The outcomes of the requests of all trials.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
    /// The figures over the trials. A missing one is null, and `missing` says why.
    #[serde(flatten)]
    pub figures: Figures<Option<Figure>>,
    /// Why figures are missing: the key is a figure, as `server.user_us_per_request`, or a whole group, as `server`.
    pub missing: BTreeMap<String, Reason>,
    /// Why figures may not be compared although they have a value: the key is a figure or a whole group, as in `missing`.
    #[serde(default)]
    pub flaws: BTreeMap<String, Flaw>,
    /// The trials that were begun.
    pub trials: Vec<Trial>,
}

impl Cell {
    /// A cell before its first trial.
    pub fn new(key: Key) -> Cell {
        Cell {
            key,
            verdict: Verdict::Valid,
            reasons: Vec::new(),
            ranks: Ranks::default(),
            server_cpus: None,
            outcomes: OutcomeCounts::default(),
            figures: Figures::default(),
            missing: BTreeMap::new(),
            flaws: BTreeMap::new(),
            trials: Vec::new(),
        }
    }

    /// Why this figure may not be compared although it has a value; `None` if it may.
    pub fn flaw(&self, name: &Name) -> Option<&Flaw> {
        self.flaws.get(&name.path()).or_else(|| self.flaws.get(name.group))
    }

    /// The trials that no interrupt cut short.
    pub fn whole_trials(&self) -> impl Iterator<Item = &Trial> {
        self.trials.iter().filter(|trial| !trial.aborted)
    }
}

/// The cells under each load, as indices; loads and cells in the order in which they come.
pub(crate) fn by_load(cells: &[Cell]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        match groups.iter_mut().find(|group| cells[group[0]].key.same_load(&cell.key)) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

/// One trial of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The run that it was measured in; only in merged results, where it is not the run of all trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When its load began: RFC 3339 with milliseconds, in UTC.
    #[serde(default)]
    pub began_at: Option<String>,
    /// The number of its block, from 0: the trials of all targets under one load that were made one after another.
    #[serde(default)]
    pub block: Option<u64>,
    /// Whether an interrupt cut the window short.
    pub aborted: bool,
    /// Length of the window in seconds.
    pub seconds: f64,
    /// Length of the warm-up in seconds: it goes on until each connection has been answered and the rate has settled.
    #[serde(default)]
    pub warmup_seconds: Option<f64>,
    /// How much the rate of answers changed from the first to the last quarter of the window, as a share, where that was
    /// more than chance; null where the schedule changes the rate, or where it did not change.
    #[serde(default)]
    pub trend: Option<f64>,
    /// The outcomes of its requests.
    #[serde(flatten)]
    pub outcomes: OutcomeCounts,
    /// Its figures. A missing one is null, and `missing` says why.
    #[serde(flatten)]
    pub figures: Figures<Option<f64>>,
    /// Where figures come from, by the figure's name, where there is more than one way to have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// Answers whose content was compared with that of the answers before the load; null if none was: these differed among
    /// themselves or had no content, the method was not GET, nothing was answered, or an older generator made the results.
    /// The length is compared in every answer, if it did not differ.
    #[serde(default)]
    pub contents_checked: Option<u64>,
    /// What a knee search tried, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// The background connections.
    #[serde(rename = "beside", default)]
    pub background: BackgroundResults,
    /// Connections that the server left open although the client had asked it to close them.
    pub close_ignored: u64,
    /// Connections that the generator's machine could not attempt, for want of a port or a descriptor.
    pub local_failures: u64,
    /// Packets that the kernel dropped during the trial because its table of tracked connections was full. The count
    /// covers all programs on this machine.
    #[serde(default)]
    pub dropped_packets: u64,
    /// Answers with a status of 3xx, by status. They are among the requests that ended as `ok`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redirections: BTreeMap<u16, u64>,
    /// Seconds of the window for which the kernel kept the generator from the CPUs, because a CPU quota of its control
    /// group, or of one above, was used up; in version 1 of control groups they are summed over the CPUs. Null if it is
    /// not known.
    #[serde(default)]
    pub throttled_seconds: Option<f64>,
    /// When and why the target did not answer, if it was gone for a while and came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// What else happened on the machine that may have disturbed the trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Connections that got no answer within the window; null in results of an older generator.
    #[serde(default)]
    pub unserved: Option<u64>,
    /// Jain's fairness index over the numbers of answers that the connections got, 1/n to 1; null without answers.
    #[serde(default)]
    pub fairness: Option<f64>,
    /// Why figures are missing.
    pub missing: BTreeMap<String, Reason>,
    /// Unit of the histograms' values: `ns`.
    pub histogram_unit: String,
    /// Latencies as an HDR histogram: V2, deflated, base64.
    pub latency_histogram: String,
    /// Connect times, in the same form.
    pub connect_histogram: String,
    /// Service times, in the same form; empty in a closed loop, where they are the latencies.
    #[serde(default)]
    pub service_time_histogram: String,
    /// Schedule lag, in the same form; empty in a closed loop.
    #[serde(default)]
    pub schedule_lag_histogram: String,
    /// The window in slices. They are not in results.json but in `slices.ndjson` beside it.
    #[serde(skip)]
    pub slices: Vec<Slice>,
}

/// A rate that a knee search tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Requests a second.
    pub rate: f64,
    /// 99th percentile of the latency in microseconds; null with too few samples.
    pub p99_us: Option<f64>,
    /// Whether the target kept up: the rate was achieved, and the latency stayed below its bound.
    pub kept_up: bool,
}

impl Results {
    /// Reads a results.json file.
    ///
    /// # Errors
    /// One line: the file does not exist, is not JSON, has another schema, or has more than 512 MiB.
    pub fn load(path: &Path) -> Result<Results, String> {
        let say = |why: String| format!("{}: {why}", path.display());
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::IsADirectory => say("it is a folder; name the results.json in it".into()),
            _ => say(error.to_string()),
        };
        let json = |error: serde_json::Error| match error.is_eof() {
            true => say(format!("it is no whole results.json: {error}")),
            false => say(format!("it is no results.json: {error}")),
        };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(io)?;
        match text.len() as u64 {
            0 => return Err(say("it is no results.json: it is empty".into())),
            length if length > LARGEST => {
                let why = format!("it is no results.json, or a huge one: it has more than {} MiB", LARGEST >> 20);
                return Err(say(why));
            }
            _ => {}
        }
        let head: Head = serde_json::from_slice(&text).map_err(json)?;
        match head.schema.as_ref().map(|schema| schema.as_str()) {
            Some(Some(schema)) if schema == SCHEMA || EARLIER.contains(&schema) => {
                serde_json::from_slice(&text).map_err(json)
            }
            other => {
                let schema = other.flatten().unwrap_or("not said");
                Err(say(format!("its schema is {schema}, and this program reads {SCHEMA}")))
            }
        }
    }

    /// Writes the results as JSON.
    ///
    /// # Errors
    /// An error of writing to `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Whether a request of any cell failed, or a target could not be measured. Unsupported cells do not count.
    pub fn has_failures(&self) -> bool {
        self.cells.iter().any(|cell| cell.verdict == Verdict::Errors)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outcomes::OutcomeClass;

    /// A run of these targets before any measurement.
    pub(crate) fn results(targets: &[&str]) -> Results {
        let settings = Plan { targets: targets.iter().map(|name| (*name).to_owned()).collect(), ..Plan::default() };
        Results {
            schema: SCHEMA.into(),
            run_id: "r".into(),
            started_at: String::new(),
            interrupted: false,
            machine: Machine {
                host: None,
                boot_id: None,
                kernel: None,
                cpu: None,
                cpus: 2,
                cpus_allowed: vec![0, 1],
                memory_bytes: None,
                provenance: BTreeMap::new(),
            },
            cells: settings.cells().into_iter().map(Cell::new).collect(),
            settings,
            targets: BTreeMap::new(),
        }
    }

    /// A trial of one second without any request.
    pub(crate) fn empty_trial() -> Trial {
        Trial {
            run_id: None,
            began_at: None,
            block: None,
            aborted: false,
            seconds: 1.0,
            warmup_seconds: None,
            trend: None,
            outcomes: OutcomeCounts::default(),
            figures: Figures::default(),
            sources: BTreeMap::new(),
            contents_checked: None,
            probes: Vec::new(),
            background: BackgroundResults::default(),
            close_ignored: 0,
            local_failures: 0,
            dropped_packets: 0,
            redirections: BTreeMap::new(),
            throttled_seconds: None,
            gone: None,
            remarks: Vec::new(),
            unserved: Some(0),
            fairness: None,
            missing: BTreeMap::new(),
            histogram_unit: "ns".into(),
            latency_histogram: String::new(),
            connect_histogram: String::new(),
            service_time_histogram: String::new(),
            schedule_lag_histogram: String::new(),
            slices: Vec::new(),
        }
    }

    /// A run of these targets with these speeds, with trials that differ by one or two per cent.
    pub(crate) fn run(id: &str, targets: &[(&str, f64)], trials: usize) -> Results {
        let mut made = results(&targets.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        made.run_id = id.into();
        for (cell, (_, speed)) in made.cells.iter_mut().zip(targets) {
            for trial in 0..trials {
                let mut one = empty_trial();
                one.figures.throughput = Some(speed * (1.0 + 0.01 * (trial % 3) as f64));
                one.outcomes[OutcomeClass::Ok] = 1_000;
                cell.trials.push(one);
            }
            cell.summarise();
        }
        made
    }

    #[test]
    fn what_is_no_results_file_is_refused_in_one_line() {
        let path = std::env::temp_dir().join(format!("results-wrong-{}.json", std::process::id()));
        let refused = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            let why = Results::load(&path).unwrap_err();
            assert_eq!(why.lines().count(), 1, "{why}");
            why
        };
        let mut whole = Vec::new();
        run("r", &[("a", 100.0)], 1).write(&mut whole).unwrap();
        assert!(refused(b"").contains("it is empty"));
        assert!(refused(&whole[..whole.len() / 2]).contains("no whole results.json"));
        assert!(refused(b"\xff\xfe").contains("it is no results.json"));
        assert!(refused(b"17").contains("it is no results.json"));
        assert!(refused(b"[1]").contains("its schema is not said"));
        std::fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap(); // a file of holes, without blocks
        assert!(Results::load(&path).unwrap_err().contains("more than 512 MiB"));
        std::fs::remove_file(path).unwrap();
        assert!(Results::load(&std::env::temp_dir()).unwrap_err().contains("it is a folder"));
    }

    #[test]
    fn a_file_of_another_schema_is_refused() {
        let path = std::env::temp_dir().join(format!("results-schema-{}.json", std::process::id()));
        let save = |results: &Results| results.write(&mut std::fs::File::create(&path).unwrap()).unwrap();
        let mut results = results(&["a"]);
        save(&results);
        assert_eq!(Results::load(&path).as_ref(), Ok(&results));
        results.schema = "other/9".into();
        save(&results);
        assert!(Results::load(&path).unwrap_err().contains("its schema is other/9"));
        std::fs::remove_file(path).unwrap();
    }
}
