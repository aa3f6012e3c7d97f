//! The flags that describe a load. Lists make several loads, and the words of `--load` are read by the same flags.

use clap::Args;
use clap::builder::ArgPredicate;
use results::content::method_and_path;
use results::lists::each_once;
use results::paths::LIST;
use results::schedule::{Schedule, parse_ramp, parse_rate};
use results::{BackgroundLoad, Load, PerConnection};

/// The flags of which each describes a load whole or in part, by their ids; `--concurrency`, which changes the loads of
/// `--load`, is not one of them.
pub const DESCRIBE_A_LOAD: [&str; 13] = [
    "workload",
    "workload_file",
    "requests_per_connection",
    "rate",
    "ramp",
    "knee",
    "idle",
    "slow_senders",
    "slow_readers",
    "slow_reader_workload",
    "resetters",
    "busy",
    "busy_workload",
];

/// What is requested, when, over how many connections, and beside which background connections.
#[derive(Clone, Debug, Args)]
pub struct LoadFlags {
    /// Paths to request, with a method before the path unless it is GET ("POST /counter"); a list, or repeated. @FILE
    /// is a workload with many paths: those in the file
    #[arg(
        long,
        value_name = "PATH",
        value_delimiter = ',',
        default_value = "/",
        default_value_if("workload_file", ArgPredicate::IsPresent, None)
    )]
    pub(super) workload: Vec<String>,
    /// The same as --workload @FILE: a file with a path on each line. They are requested one after the other, each
    /// once, and then all of them again
    #[arg(long, value_name = "FILE")]
    workload_file: Vec<String>,
    /// Number of concurrent connections; a list makes a sweep. Beside --load, the number of its closed loops
    /// [default: 64]
    #[arg(short, long, value_name = "N", value_delimiter = ',')]
    pub(super) concurrency: Vec<usize>,
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
    /// Closed loop first; then a search for each target's knee, the highest rate at which its p99 is at most 10 times
    /// that at a low rate; then all targets at half of the lowest ceiling
    #[arg(long, conflicts_with_all = ["rate", "ramp"])]
    knee: bool,
    /// Idle background connections: each has made one request, and stays open
    #[arg(long, value_name = "N", default_value = "0")]
    idle: usize,
    /// Background connections that send a request one byte at a time and never complete it
    #[arg(long, value_name = "N", default_value = "0")]
    slow_senders: usize,
    /// Background connections that request --slow-reader-workload and read the answer in small pieces
    #[arg(long, value_name = "N", default_value = "0")]
    slow_readers: usize,
    /// What the --slow-readers request: a path with a large answer
    #[arg(long, value_name = "PATH")]
    pub(super) slow_reader_workload: Option<String>,
    /// Background clients that connect, send a request and reset the connection, a hundred times a second each
    #[arg(long, value_name = "N", default_value = "0")]
    resetters: usize,
    /// Background clients that send --busy-workload again and again, one request a connection
    #[arg(long, value_name = "N", default_value = "0")]
    busy: usize,
    /// What the --busy clients request
    #[arg(long, value_name = "PATH")]
    pub(super) busy_workload: Option<String>,
}

impl LoadFlags {
    /// The default of `--concurrency`.
    const CONNECTIONS: usize = 64;

    /// All combinations of the values of these flags. Two values that are the same would make two loads that nothing tells
    /// apart.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn loads(&self) -> Result<Vec<Load>, String> {
        let of_files = self.workload_file.iter().map(|file| format!("{LIST}{file}"));
        let workloads: Vec<String> = self.workload.iter().cloned().chain(of_files).collect();
        workloads.iter().try_for_each(|workload| check_workload("--workload", workload))?;
        check_connections(&self.concurrency)?;
        let background = self.background()?;
        let concurrency = match &self.concurrency[..] {
            [] => &[LoadFlags::CONNECTIONS],
            said => said,
        };
        let (workloads, schedules): (Vec<_>, Vec<_>) = (each_once(workloads), each_once(self.schedules()));
        let modes: Vec<_> = each_once(self.requests_per_connection.clone());
        let concurrency: Vec<_> = each_once(concurrency.iter().copied());
        Ok(Load::combinations(&workloads, &schedules, &modes, &concurrency, &background))
    }

    fn background(&self) -> Result<BackgroundLoad, String> {
        for (flag, count, workload) in
            [("busy", self.busy, &self.busy_workload), ("slow-reader", self.slow_readers, &self.slow_reader_workload)]
        {
            match workload {
                Some(workload) => check_workload(&format!("--{flag}-workload"), workload)?,
                None if count > 0 => return Err(format!("say with --{flag}-workload what these clients request")),
                None => {}
            }
        }
        Ok(BackgroundLoad {
            idle: self.idle,
            slow_senders: self.slow_senders,
            slow_readers: self.slow_readers,
            resetters: self.resetters,
            busy: self.busy,
            busy_workload: self.busy_workload.clone().filter(|_| self.busy > 0),
            slow_reader_workload: self.slow_reader_workload.clone().filter(|_| self.slow_readers > 0),
        })
    }

    fn schedules(&self) -> Vec<Schedule> {
        let open: Vec<Schedule> = self.rate.iter().copied().map(Schedule::Rate).chain(self.ramp).collect();
        match open {
            _ if self.knee => Schedule::KNEE.to_vec(),
            none if none.is_empty() => vec![Schedule::Closed],
            open => open,
        }
    }
}

/// Refuses a load without connections.
///
/// # Errors
/// A line that says so.
pub fn check_connections(concurrency: &[usize]) -> Result<(), String> {
    match concurrency.contains(&0) {
        true => Err("--concurrency must be at least 1".into()),
        false => Ok(()),
    }
}

fn check_workload(flag: &str, workload: &str) -> Result<(), String> {
    let (method, path) = method_and_path(workload);
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(file) = workload.strip_prefix(LIST) {
        return match file.is_empty() || file.contains(|c: char| c.is_whitespace() || c.is_control()) {
            true => Err(format!("{flag} '{workload}': name a file after the {LIST}, without spaces in its name")),
            false => Ok(()),
        };
    }
    if !path.starts_with('/')
        || !visible(path)
        || method.is_empty()
        || !method.bytes().all(|byte| byte.is_ascii_uppercase())
    {
        return Err(format!("{flag} '{workload}' is no path; write '/files/64k', 'POST /counter' or '@paths.txt'"));
    }
    Ok(())
}
