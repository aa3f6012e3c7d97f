//! The flags that describe a run; every program that runs one (`loadtest`, the lab) has the same.

use super::content_flags::ContentFlags;
use super::load_flags::{DESCRIBE_A_LOAD, LoadFlags};
use super::load_text;
use crate::budget;
use crate::cpus::{allowed_cpus, online_cpus};
use crate::run::any_seed;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use results::conditions::Condition;
use results::goals::{self, Goal};
use results::paths::PathList;
use results::schedule::{Arrivals, Schedule};
use results::units::{duration, parse_duration};
use results::{Load, Plan};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What to measure, for how long, and where the results go.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// A load: a path, and what the flags from --concurrency to --busy-workload say, as in '/ -R 500 --idle 1000';
    /// several with ';' between them, or repeated. Instead of those flags; but --concurrency sets the connections of the
    /// closed loops
    #[arg(long = "load", value_name = "TEXT", value_delimiter = ';', conflicts_with_all = DESCRIBE_A_LOAD)]
    texts: Vec<String>,
    #[command(flatten)]
    load: LoadFlags,
    #[command(flatten)]
    content: ContentFlags,
    /// How the requests of --rate, --ramp and --knee are spaced: 'even', or 'poisson' as independent users would send
    /// them [default: even]
    #[arg(long, value_name = "HOW")]
    arrivals: Option<Arrivals>,
    /// Length of the measured part of a trial
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    duration: Duration,
    /// Load before the measured part (warm-up) [default: a tenth of the duration, at most 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    warmup: Option<Duration>,
    /// Trials of each cell; from three trials on, figures have an interval
    #[arg(long, value_name = "N", default_value = "1")]
    trials: usize,
    /// How long the run may take, from the start of the program to its end: trials that do not fit are left out, and
    /// the results say which
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Add trials until the interval of the CPU time a request is so narrow, as in 5%, to either side of it; or until the
    /// --budget is spent
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    precision: Option<f64>,
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
    /// A goal: the CPU time a request of a target is at most so many times that of another one, with its whole interval,
    /// or else the exit code is 4; as in 'epoll/nginx=0.9', under each load with keep-alive or one request a connection; a
    /// list, or repeated
    #[arg(long, value_name = "GOAL", value_delimiter = ',')]
    pub(super) at_most: Vec<Goal>,
    /// Print no progress and no table
    #[arg(short, long)]
    pub quiet: bool,
}

impl RunFlags {
    /// Whether a command line that was parsed into these flags names its loads.
    pub fn name_loads(matches: &ArgMatches) -> bool {
        let is_said = |id: &str| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue);
        is_said("texts") || DESCRIBE_A_LOAD.into_iter().any(is_said)
    }

    /// Makes these the loads, in the words of `--load`, and bounds how long the run may take if the command line does not.
    pub fn measure(&mut self, loads: &[&str], budget: Option<Duration>) {
        self.texts = loads.iter().map(|&load| load.to_owned()).collect();
        self.budget = self.budget.or(budget);
    }

    /// Returns the plan that these flags ask for.
    ///
    /// # Errors
    /// One line that says how to correct the flags.
    pub fn plan(&self, targets: Vec<String>) -> Result<Plan, String> {
        self.plan_with(targets, &BTreeMap::new())
    }

    /// Returns the plan that these flags ask for, with lists of paths that are not read from files, by workload.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_with(&self, targets: Vec<String>, lists: &BTreeMap<String, PathList>) -> Result<Plan, String> {
        let loads = self.loads()?;
        let at_least_one = |flag: &str, n: usize| match n {
            0 => Err(format!("{flag} must be at least 1")),
            _ => Ok(()),
        };
        at_least_one("--trials", self.trials)?;
        at_least_one("--threads", self.threads.unwrap_or(1))?;
        for (flag, time) in
            [("--duration", self.duration), ("--timeout", self.timeout), ("--connect-timeout", self.connect_timeout)]
        {
            if time.is_zero() {
                return Err(format!("{flag} must be longer than nothing"));
            }
        }
        if self.arrivals.is_some() && loads.iter().all(|load| load.schedule == Schedule::Closed) {
            return Err(
                "--arrivals: in a closed loop, a request follows an answer; give --rate, --ramp or --knee".into()
            );
        }
        let mut plan = Plan {
            targets,
            loads,
            arrivals: self.arrivals.unwrap_or_default(),
            duration: self.duration,
            warmup: self.warmup.unwrap_or((self.duration / 10).min(Duration::from_secs(1))),
            trials: self.trials,
            budget: self.budget,
            precision: self.precision,
            repeats: true,
            twice: Vec::new(),
            seed: self.seed.unwrap_or_else(any_seed),
            threads: self.threads.unwrap_or((online_cpus() / 2).clamp(1, allowed_cpus().len().max(1))),
            cpus: Vec::new(),
            timeout: self.timeout,
            connect_timeout: self.connect_timeout,
            content: BTreeMap::new(),
            set: BTreeMap::new(),
            disk: None,
        };
        plan.check()?;
        goals::check(&self.at_most, &plan)?;
        check_budget(&plan)?;
        plan.content = self.content.content(&plan, lists)?;
        Ok(plan)
    }

    fn loads(&self) -> Result<Vec<Load>, String> {
        match &self.texts[..] {
            [] => self.load.loads(),
            texts => load_text::loads(texts, &self.load),
        }
    }
}

/// Checks that the budget is enough for the longest trial and the end of the run, and that there is one if trials may be added.
fn check_budget(plan: &Plan) -> Result<(), String> {
    let longest =
        plan.loads.iter().map(|load| plan.estimate_of(load)).max().unwrap_or_default() + budget::reserve(plan);
    match plan.budget {
        Some(budget) if budget <= longest => {
            let (budget, longest) = (duration(budget), duration(longest));
            Err(format!(
                "--budget {budget}: the longest trial and the end of the run take {longest}; give more time, or a shorter --duration"
            ))
        }
        None if plan.precision.is_some() => {
            Err("--precision: say how long the run may take at most, as in --budget 5m".into())
        }
        _ => Ok(()),
    }
}

/// Parses a share: `5%` or `0.05`.
fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    let share = number.trim().parse().ok().map(|number: f64| number / unit);
    share.filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(|| "write it as in 5% or 0.05".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, FromArgMatches};
    use results::content::{Body, Content};

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
            Content { headers: vec!["A: b".into(), "Accept: x, y".into()], body: Body::default(), paths: None }
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
        assert_eq!(plan.loads.len(), 2 * 2 * 2 * 2);
    }

    #[test]
    fn arrivals_are_those_of_an_open_loop() {
        assert_eq!(plan(&["-R", "100"]).unwrap().arrivals, Arrivals::Even);
        assert_eq!(plan(&["-R", "100", "--arrivals", "poisson"]).unwrap().arrivals, Arrivals::Poisson);
        assert_eq!(plan(&["--knee", "--arrivals", "poisson"]).unwrap().arrivals, Arrivals::Poisson);
    }

    #[test]
    fn loads_come_from_the_flags_or_from_texts() {
        let concurrency = |arguments: &[&str]| -> Vec<usize> {
            plan(arguments).unwrap().loads.iter().map(|load| load.concurrency).collect()
        };
        assert_eq!(concurrency(&[]), [64]);
        assert_eq!(concurrency(&["--load", "/ -c 1; / -c 2", "--load", "/ -c 1 -R 5"]), [1, 2, 1]);
        assert_eq!(concurrency(&["--load", "/ -c 1; / -c 2 -R 5", "-c", "9"]), [9, 2]);
        assert_eq!(concurrency(&["--load", "/ --knee", "-c", "9"]), [9, 9, 9]);
        for flag in DESCRIBE_A_LOAD.map(|id| format!("--{}", id.replace('_', "-"))) {
            let value = if flag == "--ramp" { "1-2" } else { "1" };
            let both = if flag == "--knee" { vec!["--load", "/", &flag] } else { vec!["--load", "/", &flag, value] };
            assert!(plan(&both).unwrap_err().contains("cannot be used with"), "{both:?}");
        }
    }

    #[test]
    fn a_budget_is_longer_than_a_trial_and_bounds_a_precision() {
        let both = plan(&["--budget", "90s", "--precision", "5%"]).unwrap();
        assert_eq!((both.budget, both.precision), (Some(Duration::from_secs(90)), Some(0.05)));
        assert_eq!(plan(&["--budget", "1m", "--precision", "0.1"]).unwrap().precision, Some(0.1));
        for (arguments, words) in [
            (&["--precision", "5%"][..], "as in --budget 5m"),
            (&["--budget", "5s"], "--budget 5.0s: the longest trial and the end of the run take 6.0s"),
            (&["--budget", "5m", "--precision", "5"], "write it as in 5% or 0.05"),
            (&["--budget", "5m", "--precision", "0%"], "write it as in 5% or 0.05"),
            (&["--budget", "5m", "--precision", "wide"], "write it as in 5% or 0.05"),
        ] {
            let why = plan(arguments).unwrap_err();
            assert!(why.contains(words), "{arguments:?}: {why}");
        }
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
