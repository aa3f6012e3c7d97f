//! The flags that describe a run; every program that runs one (`loadtest`, the lab) has the same.

use crate::cpus::{allowed_cpus, online_cpus};
use clap::Args;
use results::conditions::Condition;
use results::content::{Body, Content, NOTHING, carries_body, method_and_path};
use results::lists::each_once;
use results::schedule::{Arrivals, Schedule, parse_ramp, parse_rate};
use results::units::parse_duration;
use results::{BackgroundLoad, Load, PerConnection, Plan};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest body of a request, in bytes: results.json has the body of each workload, and it has to be small enough to
/// be read again.
const LARGEST_BODY: u64 = 64 << 20;

/// What to measure, for how long, and where the results go.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// Paths to request, with a method before the path unless it is GET ("POST /counter"); a list, or repeated
    #[arg(long, value_name = "PATH", value_delimiter = ',', default_value = "/")]
    workload: Vec<String>,
    /// Header field of every measured request and of those of --busy and --slow-readers, as in 'Accept: text/html';
    /// repeatable
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = parse_header)]
    headers: Vec<String>,
    /// Body of the requests whose method is not GET or HEAD
    #[arg(long, value_name = "TEXT", conflicts_with = "body_file")]
    body: Option<String>,
    /// File with this body, of at most 64 MiB
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
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
    /// Closed loop first; then a search for each target's knee, the highest rate at which its p99 is at most 10 times
    /// that at a low rate; then all targets at half of the lowest ceiling
    #[arg(long, conflicts_with_all = ["rate", "ramp"])]
    knee: bool,
    /// How the requests of --rate, --ramp and --knee are spaced: 'even', or 'poisson' as independent users would send
    /// them [default: even]
    #[arg(long, value_name = "HOW")]
    arrivals: Option<Arrivals>,
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
    slow_reader_workload: Option<String>,
    /// Background clients that connect, send a request and reset the connection, a hundred times a second each
    #[arg(long, value_name = "N", default_value = "0")]
    resetters: usize,
    /// Background clients that send --busy-workload again and again, one request a connection
    #[arg(long, value_name = "N", default_value = "0")]
    busy: usize,
    /// What the --busy clients request
    #[arg(long, value_name = "PATH")]
    busy_workload: Option<String>,
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
    /// Folder in which this run makes a folder of its own for results.json
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,
    /// Folder for results.json; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// File for the results as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// File for the results as CSV
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Folder for the latency of each cell as a percentile distribution, in the text form of HdrHistogram; created if it
    /// does not exist
    #[arg(long, value_name = "DIR")]
    pub(super) hgrm: Option<PathBuf>,
    /// A condition that every cell has to meet, or else the exit code is 1: 'p99<50ms', 'errors<0.1%',
    /// 'throughput>1000'; a list, or repeated
    #[arg(long, value_name = "CONDITION", value_delimiter = ',')]
    pub(super) fail_on: Vec<Condition>,
    /// Print no progress and no table
    #[arg(short, long)]
    pub quiet: bool,
}

impl RunFlags {
    /// Returns the plan that these flags ask for.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn plan(&self, targets: Vec<String>) -> Result<Plan, String> {
        self.workload.iter().try_for_each(|workload| check_workload("--workload", workload))?;
        for (flag, count, workload) in
            [("busy", self.busy, &self.busy_workload), ("slow-reader", self.slow_readers, &self.slow_reader_workload)]
        {
            match workload {
                Some(workload) => check_workload(&format!("--{flag}-workload"), workload)?,
                None if count > 0 => return Err(format!("say with --{flag}-workload what these clients request")),
                None => {}
            }
        }
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
        let schedules = each_once(self.schedules());
        if self.arrivals.is_some() && schedules == [Schedule::Closed] {
            return Err(
                "--arrivals: in a closed loop, a request follows an answer; give --rate, --ramp or --knee".into()
            );
        }
        let mut plan = Plan {
            targets,
            loads: self.loads(),
            arrivals: self.arrivals.unwrap_or_default(),
            duration: self.duration,
            warmup: self.warmup.unwrap_or((self.duration / 10).min(Duration::from_secs(1))),
            trials: self.trials,
            budget: None,
            precision: None,
            twice: Vec::new(),
            seed: self.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)),
            threads: self.threads.unwrap_or((online_cpus() / 2).clamp(1, allowed_cpus().len().max(1))),
            cpus: Vec::new(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            content: BTreeMap::new(),
            set: BTreeMap::new(),
        };
        plan.check()?;
        plan.content = self.content(&plan)?;
        Ok(plan)
    }

    /// What the requests of each workload carry: the header fields, and the body if the method has one.
    fn content(&self, plan: &Plan) -> Result<BTreeMap<String, Content>, String> {
        let body = match (&self.body, &self.body_file) {
            (Some(text), _) => Body(text.clone().into_bytes()),
            (None, Some(path)) => Body(read_body(path)?),
            (None, None) => Body::default(),
        };
        let has_body = |workload: &str| carries_body(method_and_path(workload).0);
        if !body.0.is_empty() && !plan.requested().into_iter().any(|workload| has_body(workload)) {
            return Err("a body: GET and HEAD have none; name the method, as in --workload 'POST /path'".into());
        }
        let headers_alone = Content { headers: self.headers.clone(), ..Content::default() };
        if headers_alone.count_headers("Host") > 1 {
            return Err("--header Host: a request has one (RFC 9112, 3.2); give it once".into());
        }
        let content = plan.requested().into_iter().map(|workload| {
            let body = if has_body(workload) { body.clone() } else { Body::default() };
            (workload.clone(), Content { body, ..headers_alone.clone() })
        });
        Ok(content.filter(|(_, content)| *content != NOTHING).collect())
    }

    /// All combinations of the values of these flags. Two values that are the same would make two cells that nothing tells
    /// apart.
    fn loads(&self) -> Vec<Load> {
        let background = BackgroundLoad {
            idle: self.idle,
            slow_senders: self.slow_senders,
            slow_readers: self.slow_readers,
            resetters: self.resetters,
            busy: self.busy,
            busy_workload: self.busy_workload.clone().filter(|_| self.busy > 0),
            slow_reader_workload: self.slow_reader_workload.clone().filter(|_| self.slow_readers > 0),
        };
        let mut loads = Vec::new();
        for workload in each_once(self.workload.clone()) {
            for schedule in each_once(self.schedules()) {
                for requests_per_connection in each_once(self.requests_per_connection.clone()) {
                    for concurrency in each_once(self.concurrency.clone()) {
                        let (workload, background) = (workload.clone(), background.clone());
                        loads.push(Load { workload, schedule, concurrency, requests_per_connection, background });
                    }
                }
            }
        }
        loads
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

/// Reads the file of `--body-file`; one without an end (/dev/zero) has too many bytes, too.
fn read_body(path: &Path) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_BODY + 1).read_to_end(&mut body));
    match read {
        Err(error) => Err(format!("--body-file {}: {error}; name a file that you may read", path.display())),
        Ok(length) if length as u64 > LARGEST_BODY => {
            let most = LARGEST_BODY >> 20;
            Err(format!("--body-file {}: a body has at most {most} MiB; name a smaller file", path.display()))
        }
        Ok(_) => Ok(body),
    }
}

fn check_workload(flag: &str, workload: &str) -> Result<(), String> {
    let (method, path) = method_and_path(workload);
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

/// Checks a header field: a name, a colon, and a value of visible characters and spaces. RFC 9110, 5.1 and 5.5
fn parse_header(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("'{text}': {why}; write it as in 'Accept: text/html'");
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("there is no colon in it"))?;
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(wrong("the name has a character that does not belong there, or is empty"));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(wrong("the value has a control character"));
    }
    for (own, instead) in [
        ("Content-Length", "it follows from --body"),
        ("Transfer-Encoding", "the body is sent as it is"),
        ("Connection", "say it with --requests-per-connection"),
    ] {
        if name.eq_ignore_ascii_case(own) {
            return Err(wrong(instead));
        }
    }
    Ok(format!("{name}: {}", value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let command = RunFlags::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        RunFlags::from_arg_matches(&matches).map_err(|error| error.to_string())?.plan(vec!["a".into()])
    }

    #[test]
    fn header_fields_go_with_every_request_and_the_body_where_the_method_has_one() {
        let arguments = ["--workload", "/,POST /nod", "-H", "A:b", "--header", "Accept: x, y", "--body", "nod=1"];
        let content = plan(&arguments).unwrap().content;
        assert_eq!(
            content["/"],
            Content { headers: vec!["A: b".into(), "Accept: x, y".into()], body: Body::default() }
        );
        assert_eq!(content["POST /nod"].body, Body(b"nod=1".into()));
        assert!(plan(&["--workload", "/,POST /nod"]).unwrap().content.is_empty());
        let idle = plan(&["-H", "A: b", "--busy-workload", "/busy", "--slow-reader-workload", "/slow"]).unwrap();
        assert_eq!(idle.content.keys().collect::<Vec<_>>(), ["/"]);
        let loaded = ["-H", "A: b", "--busy", "1", "--busy-workload", "/busy", "--slow-readers", "1"];
        let content = plan(&[&loaded[..], &["--slow-reader-workload", "/slow"]].concat()).unwrap().content;
        assert_eq!(content.keys().collect::<Vec<_>>(), ["/", "/busy", "/slow"]);
    }

    #[test]
    fn a_value_that_is_given_twice_counts_once() {
        let arguments = ["--workload", "/,/,/b", "-c", "1,2", "-c", "1", "--requests-per-connection", "1,unlimited,1"];
        let plan = plan(&[&arguments[..], &["-R", "100,0.1k,50"]].concat()).unwrap();
        assert_eq!(plan.workloads(), ["/", "/b"]);
        assert_eq!(plan.loads.len(), 2 * 2 * 2 * 3);
    }

    #[test]
    fn arrivals_are_those_of_an_open_loop() {
        assert_eq!(plan(&["-R", "100"]).unwrap().arrivals, Arrivals::Even);
        assert_eq!(plan(&["-R", "100", "--arrivals", "poisson"]).unwrap().arrivals, Arrivals::Poisson);
        assert_eq!(plan(&["--knee", "--arrivals", "poisson"]).unwrap().arrivals, Arrivals::Poisson);
    }

    #[test]
    fn wrong_requests_are_refused_with_what_to_write() {
        for (arguments, words) in [
            (&["--body", "x"][..], "--workload 'POST /path'"),
            (&["--body-file", "/nowhere", "--workload", "POST /"], "name a file that you may read"),
            (&["--body-file", "/dev/zero", "--workload", "POST /"], "at most 64 MiB"),
            (&["--body-file", "/", "--workload", "POST /"], "name a file that you may read"),
            (&["-H", "no colon"], "there is no colon in it"),
            (&["-H", "Two words: x"], "the name has a character"),
            (&["-H", "A: x\r\nB: y"], "a control character"),
            (&["-H", "content-length: 3"], "it follows from --body"),
            (&["-H", "Host: a", "-H", "host: b"], "give it once"),
            (&["--busy", "1"], "say with --busy-workload"),
            (&["--slow-readers", "1"], "say with --slow-reader-workload"),
            (&["--workload", "files"], "is no path"),
            (&["--arrivals", "poisson"], "give --rate, --ramp or --knee"),
            (&["-R", "1", "--arrivals", "uneven"], "write even or poisson"),
        ] {
            let why = plan(arguments).unwrap_err();
            assert!(why.contains(words), "{arguments:?}: {why}");
        }
    }
}
