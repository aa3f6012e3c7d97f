//! The command line of `loadtest`: its flags, and the messages for wrong usage.

use crate::running::{Endpoints, Guests};
use clap::parser::ValueSource;
use clap::{Arg, CommandFactory, FromArgMatches, Parser};
use cpu_list::CpuList;
use loadtest::cost::CostSource;
use loadtest::fleet::Endpoint;
use loadtest::front::files::FileCommand;
use loadtest::front::{Exit, Failure, RunFlags, become_owner, with_hint};
use loadtest::remote_write;
use loadtest::target::Url;
use results::units::parse_duration;
use results::{Plan, Target};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  loadtest --target epoll=http://127.0.0.1:8080 -c 64 -d 5s
  loadtest --target epoll=http://127.0.0.1:8080 --metrics epoll=http://127.0.0.1:9080/metrics \\
           --target nginx=http://127.0.0.1:8081 --target-pid nginx=1234 \\
           --workload /,/files/64k -c 1,64,512 --requests-per-connection unlimited,1 --trials 5
  loadtest --target epoll=http://127.0.0.1:8080 -c 64 -R 5k,20k --idle 1000 --slow-senders 10
  loadtest --target epoll=http://127.0.0.1:8080 --workload 'POST /nod' -H 'Cookie: account=alice' \\
           -H 'Content-Type: application/x-www-form-urlencoded' --body nod=Hello

  loadtest --target epoll=http://127.0.0.1:8080 --trials 5 --budget 2m \\
           --load '/ -c 64' --load '/ -R 500 --idle 1000' --load '/sleep/100 -c 512'

  loadtest aa --target epoll=http://127.0.0.1:8080     how much noise this machine has
  loadtest show results.json                            its table again; without a name, that of the newest run
  loadtest merge a.json b.json -o both.json             the trials of both
  loadtest compare before.json after.json               what changed beyond noise

Each flag can be given by an environment variable, too: LOADTEST_CONCURRENCY for --concurrency.
The flag wins.

Times have a unit: 500ms, 5s, 2m. Latency is from the first byte of a request sent, or with --rate,
--ramp and --knee from when it was due, to the last byte of its answer received; connecting is
measured apart (connect_us in the JSON). A verdict
says whether a row may be compared: valid, client-limited (this program was the bottleneck),
errors, starved (connections were not served), unstable (the rate changed or was not kept), disturbed (other
programs used the CPUs), undercounted (not all CPU time was counted), unsupported.

Exit codes: 0 done, 1 requests failed or --fail-on, 2 wrong usage, 3 a target does not answer,
4 a goal of --at-most is not reached or cannot be told, 130 interrupted (what was
measured is still reported).";

/// What is said where no server is named.
const NAME_EACH: &str = "name each server with --target, as in --target epoll=http://127.0.0.1:8080, or those of others with \
                         --guests";

/// Loads HTTP servers and compares their throughput, latency and cost.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// A server to load. A name alone means one of the lab's services, whose host has that name: it is reached at port
    /// 8080 and its metrics at port 9080; a list, or repeated
    #[arg(long = "target", value_name = "NAME=URL", value_delimiter = ',')]
    targets: Vec<String>,
    /// Servers of others, written as for --target. A guest whose host has no address when the run begins is left out. A load
    /// with a workload that a guest does not have is not measured on it. As a variable, it has no effect beside --target
    #[arg(long, value_name = "NAME=URL", value_delimiter = ',')]
    guests: Vec<String>,
    /// Whether the guests are those of a variable, so that it is no surprise if some are not there.
    #[arg(skip)]
    guests_by_variable: bool,
    /// URL of the metrics of one of the lab's services, from which its cost is read; repeatable
    #[arg(long, value_name = "NAME=URL")]
    metrics: Vec<String>,
    /// Process on this machine whose cost, with that of all its descendants, counts as the cost of a target without
    /// metrics; repeatable
    #[arg(long, value_name = "NAME=PID")]
    target_pid: Vec<String>,
    /// CPUs that the load may use, such as 1 or 4-7; those that the machine lacks are left out [default: all]
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub cpus: CpuList,
    /// How long to wait, before the load, for targets that do not answer yet. The cells of those that still do not
    /// answer then say so, and the others are measured [default: all must answer at once]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// URL of `lab pages` for the --results folder; printed at the begin, for the run can be watched there
    #[arg(long, value_name = "URL")]
    pub pages: Option<String>,
    /// URL at which the results can be looked at; printed at the end
    #[arg(long, value_name = "URL")]
    pub dashboard: Option<String>,
    /// If the program runs as root, it takes the identity of the owner of the --results folder, or of this file's owner
    /// if root owns the folder
    #[arg(long, value_name = "FILE", hide = true)]
    pub owner: Option<PathBuf>,
    /// Prometheus to which the run's progress is written every second, and its results; does not affect the exit code
    #[arg(long, value_name = "URL", value_parser = remote_write::endpoint)]
    pub remote_write: Option<Url>,
    #[command(flatten)]
    pub run: RunFlags,
}

/// The command line of a command that works on finished results.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Files {
    #[command(subcommand)]
    command: FileCommand,
    /// As for a run; with --owner, whose identity the program takes if it runs as root
    #[arg(long, value_name = "DIR", global = true, hide = true, env = "LOADTEST_RESULTS")]
    results: Option<PathBuf>,
    /// As for a run
    #[arg(long, value_name = "FILE", global = true, hide = true, env = "LOADTEST_OWNER")]
    owner: Option<PathBuf>,
}

/// Runs the command on finished results that the arguments name.
///
/// # Errors
/// What is wrong with a file, or why the runs are not compared.
pub fn run_on_files(arguments: Vec<OsString>) -> Result<Exit, Failure> {
    let files = Files::parse_from(arguments);
    become_owner(files.results.as_deref(), files.owner.as_deref())?;
    files.command.run(&files.results.unwrap_or("results".into()))
}

impl Cli {
    /// Parses these arguments, of which the first is the program's name. A flag that is absent takes its value from the
    /// environment. Wrong usage ends the process.
    pub fn from_args(arguments: Vec<OsString>) -> Cli {
        let plain = Cli::command();
        // With --help and --version there are none.
        let on_the_line = plain.clone().ignore_errors(true).try_get_matches_from(&arguments).ok();
        let is_on_the_line = |other: &Arg| {
            let source = on_the_line.as_ref().and_then(|matches| matches.value_source(other.get_id().as_str()));
            source == Some(ValueSource::CommandLine)
        };
        // The variables of flags that describe a load lose against that of --load.
        let is_load_a_variable = std::env::var_os(variable("load")).is_some();
        let excludes = |one: &Arg, other: &Arg| plain.get_arg_conflicts_with(one).contains(&other);
        let loses = |arg: &Arg| {
            let mut others = plain.get_arguments().filter(|other| excludes(arg, other) || excludes(other, arg));
            others.any(|other| is_on_the_line(other) || (other.get_long() == Some("load") && is_load_a_variable))
        };
        let command = plain.clone().mut_args(|arg| match arg.get_long() {
            // A flag wins also over the variable of a flag that it excludes.
            Some(long) if !plain.get_arguments().any(|plain| plain.get_id() == arg.get_id() && loses(plain)) => {
                let variable = variable(long);
                arg.env(&*variable.leak()).hide_env(true)
            }
            _ => arg,
        });
        let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| with_hint(error, hint).exit());
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let source = |flag| matches.value_source(flag);
        cli.guests.retain(|name| !name.is_empty());
        cli.guests_by_variable = source("guests") == Some(ValueSource::EnvVariable);
        if cli.guests_by_variable && source("targets") == Some(ValueSource::CommandLine) {
            cli.guests.clear();
        }
        match (source("metrics"), source("target_pid")) {
            (Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)) => {
                leave(&mut cli.target_pid, &cli.metrics)
            }
            (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => {
                leave(&mut cli.metrics, &cli.target_pid)
            }
            _ => {}
        }
        cli
    }

    /// Returns the plan for the targets and all guests, and the endpoint of each.
    ///
    /// # Errors
    /// One line that says how to correct the command line.
    pub fn plan(&self) -> Result<(Plan, Endpoints, Guests), String> {
        let mut endpoints = Endpoints::new();
        let flags = self.targets.iter().map(|text| ("--target", text));
        for (flag, text) in flags.chain(self.guests.iter().map(|text| ("--guests", text))) {
            let (name, mut endpoint) = endpoint(flag, text)?;
            if endpoints.iter().any(|(known, _)| *known == name) {
                return Err(format!("{flag} {name} is given twice: give the second one another name"));
            }
            endpoint.says.is_guest = flag == "--guests";
            endpoints.push((name, endpoint));
        }
        if endpoints.is_empty() {
            return Err(NAME_EACH.into());
        }
        let names = endpoints.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let mut charge = |flag: &str, name: &str, cost: CostSource| {
            let unknown = || format!("{flag} {name}: there is no --target of that name; there is {names}");
            let (_, endpoint) = endpoints.iter_mut().find(|(known, _)| known == name).ok_or_else(unknown)?;
            match std::mem::replace(&mut endpoint.cost, cost) {
                CostSource::None => Ok(()),
                _ => Err(format!("{flag} {name}: give one --metrics or one --target-pid for a target")),
            }
        };
        for text in &self.metrics {
            let (name, url) = named("--metrics", text)?;
            charge("--metrics", name, CostSource::Metrics(url.parse()?))?;
        }
        for text in &self.target_pid {
            let (name, pid) = named("--target-pid", text)?;
            let pid: i32 = pid
                .parse()
                .ok()
                .filter(|&pid| pid > 0)
                .ok_or_else(|| format!("--target-pid {text}: '{pid}' is no process id; write {name}=1234"))?;
            if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
                return Err(format!("--target-pid {text}: there is no process {pid} here; start the target first"));
            }
            charge("--target-pid", name, CostSource::ProcessTree(pid))?;
        }
        let plan = self.run.plan(endpoints.iter().map(|(name, _)| name.clone()).collect())?;
        let guests =
            Guests { endpoints: endpoints.split_off(self.targets.len()), says_missing: !self.guests_by_variable };
        Ok((plan, endpoints, guests))
    }
}

/// Leaves those whose name none of the others has.
fn leave(named: &mut Vec<String>, others: &[String]) {
    let name = |text: &str| text.split('=').next().map(str::to_owned);
    named.retain(|text| others.iter().all(|other| name(other) != name(text)));
}

/// What to write instead of a word that the lab or a service would understand.
fn hint(word: &str) -> Option<String> {
    let of_the_lab = ["--files", "--port", "--admin-port", "--listen", "--admin", "serve", "--guest", "--guests-file"];
    match word {
        "--models" | "--model" => {
            Some("name the servers with --target; 'lab --models' starts the models itself".into())
        }
        _ if of_the_lab.contains(&word) => {
            Some("the servers run already, and --target names them; the lab starts the models and the guests".into())
        }
        _ if word.starts_with('-') && word != "--url" => None,
        _ => Some(NAME_EACH.into()),
    }
}

fn variable(flag: &str) -> String {
    format!("LOADTEST_{}", flag.to_uppercase().replace('-', "_"))
}

/// The name of a server, and where it is: `NAME=URL`, or the name of one of the lab's services.
fn endpoint(flag: &str, text: &str) -> Result<(String, Endpoint), String> {
    let (name, url, cost) = match text.contains(['=', '/', ':']) {
        true => named(flag, text).map(|(name, url)| (name, url.to_owned(), CostSource::None))?,
        false if flag == "--target" => known_service(text)?,
        false => service(text)?,
    };
    let url: Url = url.parse()?;
    if url.path() != "/" {
        return Err(format!("{flag} {text}: say '{}' with --workload, not in the URL", url.path()));
    }
    Ok((name.to_owned(), Endpoint { url, cost, cpus: None, says: Target::default() }))
}

/// As [`service`], if it is one of those that the variables name.
fn known_service(name: &str) -> Result<(&str, String, CostSource), String> {
    let [targets, guests] = ["target", "guests"].map(|flag| std::env::var(variable(flag)).unwrap_or_default());
    let only_name = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let listed = targets.split(',').chain(guests.split(',')).map(only_name);
    let names: Vec<String> = listed.filter(|name| !name.is_empty()).collect();
    if targets.is_empty() || names.iter().any(|known| known == name) {
        return service(name);
    }
    Err(format!("--target {name}: there is none of that name here; there is {}", names.join(", ")))
}

/// One of the lab's services, whose name is also its host's in the lab's containers.
fn service(name: &str) -> Result<(&str, String, CostSource), String> {
    let metrics = CostSource::Metrics(format!("http://{name}:9080/metrics").parse()?);
    Ok((name, format!("http://{name}:8080"), metrics))
}

fn named<'t>(flag: &str, text: &'t str) -> Result<(&'t str, &'t str), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name, value)),
        _ => Err(format!("{flag} {text}: write NAME=VALUE, as in {flag} epoll=...")),
    }
}
