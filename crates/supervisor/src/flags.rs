//! The command line of a service: the flags that every service has, and those of its model.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use cpu_list::CpuList;
use http1::Limits;

use crate::units::{Addresses, addresses, bytes, duration, timeout};
use crate::{Failure, Flag, Model, log};

/// The flags of everything that the supervisor runs, models and guests.
#[derive(Clone, Debug, Args)]
pub struct ServiceFlags {
    /// Where to serve; port 0 takes a free one. Of a name that has several addresses, the first one that is free
    #[arg(long, env, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = addresses)]
    pub(crate) listen: Addresses,

    /// Where to serve /metrics, /account, /healthz and /info; as --listen
    #[arg(long, env, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9080", value_parser = addresses)]
    pub(crate) admin: Addresses,

    /// The directory that /files/ serves [default: one with the files 1k, 64k, 1m and 10m, which is created]
    #[arg(long, env, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,

    /// The CPUs that the service may use, such as 0 or 0-3; those that the machine lacks are left out [default: all]
    #[arg(long, env, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub(crate) cpus: CpuList,

    /// The CPUs of the supervisor itself [default: those of --cpus]
    #[arg(long, env, value_name = "LIST", default_value = "", hide_default_value = true)]
    pub(crate) supervisor_cpus: CpuList,

    /// Event loops, for models that have them, or workers of a guest [default: the CPUs that the service may use]
    #[arg(long, env, value_name = "N", value_parser = number)]
    pub(crate) threads: Option<usize>,

    /// Time to finish the accepted connections after SIGTERM or SIGINT; then they are cut off
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,
}

/// The parsed command line of a model's service. Times are written 10s, 500ms or 2m; sizes in bytes, or 16k or 1m.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Flags {
    /// Only asks the admin endpoint of a running service whether it is healthy: exit code 0 or 1
    pub mode: Option<Mode>,

    #[command(flatten)]
    pub service: ServiceFlags,

    /// The SQLite database of the latest 4000 nods, created if it does not exist [default: a temporary one, removed at the end]
    #[arg(long, env, value_name = "FILE")]
    pub store: Option<PathBuf>,

    /// POST /counter reads the counter and then writes it, so that updates get lost where two of them run at once
    #[arg(long, env, value_parser = BoolishValueParser::new())]
    pub racy: bool,

    /// Open connections above which accepting waits [default: what the limits of this machine allow]
    #[arg(long, env, value_name = "N", value_parser = number)]
    pub max_connections: Option<usize>,

    /// Connections that may wait to be accepted; the kernel allows at most net.core.somaxconn
    #[arg(long, env, value_name = "N", default_value = "4096", value_parser = backlog)]
    pub backlog: i32,

    /// Time for the head of a request, from its first byte on
    #[arg(long, env, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub head_timeout: Duration,

    /// Time for the body of a request, from the end of its head on
    #[arg(long, env, value_name = "TIME", default_value = "20s", value_parser = timeout)]
    pub body_timeout: Duration,

    /// Time that a connection may be idle between requests
    #[arg(long, env, value_name = "TIME", default_value = "15s", value_parser = timeout)]
    pub idle_timeout: Duration,

    /// Time that a reply may make no progress because the peer does not read
    #[arg(long, env, value_name = "TIME", default_value = "20s", value_parser = timeout)]
    pub write_timeout: Duration,

    /// The longest request line, in bytes
    #[arg(long, env, value_name = "SIZE", default_value = "16k", value_parser = bytes)]
    pub max_request_line: usize,

    /// The longest request head, in bytes
    #[arg(long, env, value_name = "SIZE", default_value = "32k", value_parser = bytes)]
    pub max_head: usize,

    /// The longest request body, in bytes, decoded
    #[arg(long, env, value_name = "SIZE", default_value = "1m", value_parser = bytes)]
    pub max_body: usize,

    /// The flags that only this model has, and their values.
    #[arg(skip)]
    pub of_model: Vec<(&'static str, usize)>,

    /// The flags that were given, on the command line or in the environment, without the dashes, and their values as they were
    /// written.
    #[arg(skip)]
    pub given: BTreeMap<String, String>,
}

/// What to do instead of serving.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Mode {
    /// Asks the admin endpoint of a running service for /healthz; exits with 0 if it is healthy, else with 1
    Healthcheck,
}

impl Flags {
    /// Parses the arguments, and environment variables for those that are absent. Prints help and version itself.
    pub fn parse(model: Model, args: impl IntoIterator<Item = OsString>) -> Result<Flags, Failure> {
        let name = model.name;
        let about = format!("An HTTP server on the I/O model {name}");
        let of_model = model.flags.iter().map(|flag| {
            let arg = Arg::new(flag.name).long(flag.name).env(flag.env).help(flag.help);
            match flag.default {
                Some(default) => arg.value_name("N").default_value(default).value_parser(number),
                None => arg.action(ArgAction::SetTrue).value_parser(BoolishValueParser::new().map(usize::from)),
            }
        });
        let command = Flags::command().name(name).bin_name(name).about(about).args(of_model);
        let parsed = command.clone().try_get_matches_from(args).and_then(|matches| {
            let mut flags = Flags::from_arg_matches(&matches)?;
            flags.given = given_flags(&command, &matches);
            if flags.is_given("max-request-line") && flags.max_request_line > flags.max_head {
                let why =
                    "--max-request-line is more than --max-head, of which it is a part: raise that, or lower this";
                return Err(clap::Error::raw(ErrorKind::ValueValidation, why));
            }
            let value = |flag: &Flag| matches.get_one(flag.name).copied().map(|value| (flag.name, value));
            flags.of_model = model.flags.iter().filter_map(value).collect();
            Ok(flags)
        });
        parsed.map_err(|error| explain(name, &error))
    }

    /// Was this flag given? The name is without the dashes.
    pub fn is_given(&self, flag: &str) -> bool {
        self.given.contains_key(flag)
    }

    /// The limits on requests and the time-outs of each connection.
    pub fn limits(&self) -> Limits {
        Limits {
            request_line: self.max_request_line,
            head: self.max_head,
            body: self.max_body,
            head_time: self.head_timeout,
            body_time: self.body_timeout,
            idle_time: self.idle_timeout,
            write_time: self.write_timeout,
            ..Limits::default()
        }
    }
}

/// What follows from an error of clap: one line, or the help or the version, which this prints.
pub(crate) fn explain(name: &str, error: &clap::Error) -> Failure {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            if let Err(error) = error.print() {
                log(name, format_args!("{error}"));
            }
            Failure::HelpShown
        }
        _ => Failure::CannotStart(format!("{} (see {name} --help)", one_line(&error.to_string()))),
    }
}

/// The environment variables that set the flags of everything that the supervisor runs.
pub(crate) fn variables() -> Vec<OsString> {
    let command = ServiceFlags::augment_args(Command::new("service"));
    command.get_arguments().filter_map(Arg::get_env).map(OsString::from).collect()
}

/// The names of a service's flags, without the dashes: those that every service has, and those of its model.
pub fn flag_names(model: &Model) -> Vec<String> {
    let command = Flags::command();
    let of_all = command.get_arguments().filter_map(Arg::get_long);
    of_all.chain(model.flags.iter().map(|flag| flag.name)).map(str::to_owned).collect()
}

/// Those of the flags that everything has which were given, without the dashes, and their values as they were written.
pub(crate) fn given_service_flags(matches: &ArgMatches) -> BTreeMap<String, String> {
    given_flags(&ServiceFlags::augment_args(Command::new("service")), matches)
}

/// The flags of a command that were given, without the dashes, and their values as they were written.
fn given_flags(command: &Command, matches: &ArgMatches) -> BTreeMap<String, String> {
    command.get_arguments().filter_map(|arg| given(arg, matches)).collect()
}

/// The name and the value of a flag, if it was given.
fn given(flag: &Arg, matches: &ArgMatches) -> Option<(String, String)> {
    let id = flag.get_id().as_str();
    matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue)?;
    let value = matches.get_raw(id)?.next()?.to_string_lossy().into_owned();
    Some((flag.get_long()?.to_owned(), value))
}

/// Parses a number from 1 on.
fn number(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "it must be a number from 1 on".to_owned())
}

/// Parses a number of connections: the type that listen(2) takes.
fn backlog(text: &str) -> Result<i32, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("it must be a number from 1 to {}", i32::MAX))
}

/// Joins the lines of an error message by clap, and leaves out the usage below them.
pub fn one_line(error: &str) -> String {
    let message = error.split("\nUsage:").next().unwrap_or(error).split("\nFor more").next().unwrap_or(error);
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, Failure> {
        const WORKERS: Flag = Flag {
            name: "workers",
            env: "WORKERS",
            default: Some("8"),
            help: "Threads",
            at_most: &["max-connections"],
            is_threads: true,
        };
        const EAGER: Flag =
            Flag { name: "eager", env: "EAGER", default: None, at_most: &[], is_threads: false, ..WORKERS };
        let model = Model { flags: &[WORKERS, EAGER], ..Model::new("thread-pool", |_, _| Ok(())) };
        Flags::parse(model, std::iter::once("thread-pool").chain(args.iter().copied()).map(OsString::from))
    }

    #[test]
    fn the_flags_pass_claps_own_checks() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_default_limits_are_those_of_the_http_crate() {
        let flags = parse(&[]).unwrap();
        assert_eq!(format!("{:?}", flags.limits()), format!("{:?}", Limits::default()));
    }

    #[test]
    fn the_flags_of_the_model_are_parsed() {
        assert_eq!(parse(&[]).unwrap().of_model, [("workers", 8), ("eager", 0)]);
        assert_eq!(parse(&["--workers", "3", "--eager"]).unwrap().of_model, [("workers", 3), ("eager", 1)]);
        assert!(parse(&["--eager"]).unwrap().is_given("eager") && !parse(&[]).unwrap().is_given("eager"));
        assert!(parse(&["--workers", "8"]).unwrap().is_given("workers") && !parse(&[]).unwrap().is_given("workers"));
    }

    #[test]
    fn the_flags_that_were_given_are_known_with_their_values_as_written() {
        let given = parse(&["--max-body", "2m", "--racy", "--workers", "8"]).unwrap().given;
        let given: Vec<_> = given.iter().map(|(flag, value)| (flag.as_str(), value.as_str())).collect();
        assert_eq!(given, [("max-body", "2m"), ("racy", "true"), ("workers", "8")]);
        assert!(parse(&["healthcheck"]).unwrap().given.is_empty());
    }

    #[test]
    fn the_variables_of_the_flags_are_known() {
        let names = ["LISTEN", "ADMIN", "FILES", "CPUS", "SUPERVISOR_CPUS", "THREADS", "GRACE"];
        assert_eq!(variables(), names.map(OsString::from));
    }

    #[test]
    fn a_short_head_does_not_need_a_shorter_request_line() {
        assert_eq!(parse(&["--max-head", "1k"]).unwrap().max_head, 1024);
        assert!(parse(&["--max-head", "1k", "--max-request-line", "2k"]).is_err());
    }

    #[test]
    fn an_error_is_one_line_that_names_the_flag() {
        for args in [
            ["--threads", "0"],
            ["--grace", "10"],
            ["--lisen", "x"],
            ["--backlog", "0"],
            ["--listen", ":80"],
            ["--max-body", "1"],
            ["--idle-timeout", "0s"],
            ["--workers", "0"],
            ["--cpus", "0-"],
            ["--supervisor-cpus", "0-"],
            ["--max-request-line", "33k"],
            ["--backlog", "2147483648"],
            ["--threads", "99999999999999999999"],
        ] {
            let Err(Failure::CannotStart(line)) = parse(&args) else { panic!("{args:?} was accepted") };
            assert!(line.contains(args[0]) && !line.contains('\n'), "{line}");
        }
    }
}
