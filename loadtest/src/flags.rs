//! The flags that describe a run; every program that runs one (`loadtest`, the lab) has the same.

use crate::engine::allowed_cpus;
use crate::fail_on::Condition;
use crate::machine;
use crate::plan::{BackgroundLoad, DEFAULT_BUSY_WORKLOAD, PerConnection, Plan, Schedule, parse_ramp, parse_rate};
use crate::results::Results;
use crate::{csv, parse_duration};
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What to measure, for how long, and where the results go.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// Paths to request, with a method before the path unless it is GET ("POST /counter"); a list, or repeated
    #[arg(long, value_name = "PATH", value_delimiter = ',', default_value = "/")]
    workload: Vec<String>,
    /// Number of concurrent connections; a list makes a sweep
    #[arg(short, long, value_name = "N", value_delimiter = ',', default_value = "64")]
    concurrency: Vec<usize>,
    /// Requests that a connection carries before it is closed: a number or 'unlimited'; a list
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "unlimited")]
    requests_per_connection: Vec<PerConnection>,
    /// Open loop: requests a second over all connections, each sent when it is due, whether or not earlier ones were
    /// answered; latency counts from the due time. Suffixes k and M; a list
    #[arg(short = 'R', long, value_name = "RATE", value_delimiter = ',', value_parser = parse_rate)]
    rate: Vec<f64>,
    /// Open loop whose rate changes linearly over the duration, as in 100-10k
    #[arg(long, value_name = "FROM-TO", value_parser = parse_ramp)]
    ramp: Option<Schedule>,
    /// Closed loop first, then open loop at 50, 75, 90 and 110 % of each target's own ceiling, and at 50 and 90 % of
    /// the lowest ceiling
    #[arg(long, conflicts_with_all = ["rate", "ramp"])]
    knee: bool,
    /// Idle background connections: each has made one request, and stays open
    #[arg(long, value_name = "N", default_value = "0")]
    idle: usize,
    /// Background connections that send a request one byte at a time and never complete it
    #[arg(long, value_name = "N", default_value = "0")]
    slow_senders: usize,
    /// Background connections that request /files/1m and read the answer in small pieces
    #[arg(long, value_name = "N", default_value = "0")]
    slow_readers: usize,
    /// Background clients that connect, send a request and reset the connection, a hundred times a second each
    #[arg(long, value_name = "N", default_value = "0")]
    resetters: usize,
    /// Background clients that send --busy-workload again and again, one request a connection
    #[arg(long, value_name = "N", default_value = "0")]
    busy: usize,
    /// What the --busy clients request
    #[arg(long, value_name = "PATH", default_value = DEFAULT_BUSY_WORKLOAD)]
    busy_workload: String,
    /// Length of the measured part of a trial
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    duration: Duration,
    /// Load before the measured part (warm-up) [default: a tenth of the duration, at most 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,
    /// Trials of each cell; from five trials on, figures have an interval
    #[arg(long, value_name = "N", default_value = "1")]
    trials: usize,
    /// Threads of the generator, each on its own CPU if there are enough CPUs [default: half of the CPUs]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Time-out of a request
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    timeout: Duration,
    /// Time-out for establishing a connection
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    connect_timeout: Duration,
    /// Seed that decides the order of the trials [default: different each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder for results.json; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// File for the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// File for the results as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// A condition that every cell has to meet, or else the exit code is 1: 'p99<50ms', 'errors<0.1%',
    /// 'throughput>1000'; a list, or repeated
    #[arg(long, value_name = "CONDITION", value_delimiter = ',')]
    pub fail_on: Vec<Condition>,
    /// Print no progress and no table
    #[arg(short, long)]
    pub quiet: bool,
}

fn check_workload(flag: &str, workload: &str) -> Result<(), String> {
    let (method, path) = workload.split_once(' ').unwrap_or(("GET", workload));
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with('/')
        || !visible(path)
        || method.is_empty()
        || !method.bytes().all(|byte| byte.is_ascii_uppercase())
    {
        return Err(format!("{flag} '{workload}' is no path; write '/files/64k' or 'POST /counter'"));
    }
    Ok(())
}

impl RunFlags {
    /// Returns the plan that these flags ask for.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn plan(&self, targets: Vec<String>) -> Result<Plan, String> {
        self.workload.iter().try_for_each(|workload| check_workload("--workload", workload))?;
        check_workload("--busy-workload", &self.busy_workload)?;
        let at_least_one = |flag: &str, n: usize| match n {
            0 => Err(format!("{flag} must be at least 1")),
            _ => Ok(()),
        };
        self.concurrency.iter().try_for_each(|&n| at_least_one("--concurrency", n))?;
        at_least_one("--trials", self.trials)?;
        at_least_one("--threads", self.threads.unwrap_or(1))?;
        for (flag, time) in
            [("--duration", self.duration), ("--timeout", self.timeout), ("--connect-timeout", self.connect_timeout)]
        {
            if time.is_zero() {
                return Err(format!("{flag} must be longer than nothing"));
            }
        }
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Plan {
            targets,
            workloads: self.workload.clone(),
            schedules: self.schedules(),
            concurrencies: self.concurrency.clone(),
            requests_per_connection: self.requests_per_connection.clone(),
            duration: self.duration,
            warmup: self.warmup.unwrap_or((self.duration / 10).min(Duration::from_secs(1))),
            trials: self.trials,
            seed: self.seed.unwrap_or(clock.subsec_nanos().into()),
            threads: self.threads.unwrap_or((machine::online_cpus() / 2).clamp(1, allowed_cpus().len().max(1))),
            cpus: Vec::new(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            background: BackgroundLoad {
                idle: self.idle,
                slow_senders: self.slow_senders,
                slow_readers: self.slow_readers,
                resetters: self.resetters,
                busy: self.busy,
            },
            busy_workload: self.busy_workload.clone(),
        })
    }

    /// Writes the file of --csv, and prints to standard error which conditions of --fail-on were not met. Returns
    /// whether the run failed. A run fails if a cell does not meet a condition, or a target could not be measured. It
    /// also fails if a request failed, unless a condition on errors allows some failures.
    ///
    /// # Errors
    /// One line: the CSV file could not be written.
    pub fn conclude(&self, results: &Results) -> Result<bool, String> {
        if let Some(path) = &self.csv {
            let file = fs::File::create(path).map(std::io::BufWriter::new);
            let written = file.and_then(|mut file| csv::write(results, &mut file).and_then(|()| file.flush()));
            written
                .map_err(|error| format!("--csv {}: {error}; name a place that you may write to", path.display()))?;
        }
        let crossed: Vec<String> = self.fail_on.iter().flat_map(|condition| condition.crossed(results)).collect();
        crossed.iter().for_each(|line| eprintln!("{line}"));
        let tolerant = self.fail_on.iter().any(Condition::is_about_errors);
        Ok(!crossed.is_empty() || (results.has_failures() && !tolerant))
    }

    fn schedules(&self) -> Vec<Schedule> {
        let open: Vec<Schedule> = self.rate.iter().copied().map(Schedule::Rate).chain(self.ramp).collect();
        match open {
            _ if self.knee => Schedule::KNEE.to_vec(),
            none if none.is_empty() => vec![Schedule::Closed],
            open => open,
        }
    }

    /// Opens the output files before the load, so that a long run is not lost to a path that cannot be written. Returns
    /// the files for the JSON.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn output_files(&self) -> Result<Vec<PathBuf>, String> {
        let cannot = |flag: &str, path: &Path, error: std::io::Error| {
            format!("{flag} {}: {error}; name a place that you may write to", path.display())
        };
        let mut files = Vec::new();
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder).map_err(|error| cannot("--out", folder, error))?;
            files.push(("--out", folder.join("results.json")));
        }
        files.extend(self.json.iter().map(|file| ("--json", file.clone())));
        let csv = self.csv.iter().map(|file| ("--csv", file.clone()));
        for (flag, file) in files.iter().chain(&csv.collect::<Vec<_>>()) {
            fs::OpenOptions::new().append(true).create(true).open(file).map_err(|error| cannot(flag, file, error))?;
        }
        Ok(files.into_iter().map(|(_, file)| file).collect())
    }
}
