//! The command line of the lab.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use loadtest::front::files::FileCommand;
use loadtest::front::{DESCRIBE_A_LOAD, RunFlags, with_hint};
use results::lists::add_new;
use supervisor::Model;

use crate::disk::{self, DiskArgs, DiskFlags, Variant};
use crate::guests::{self, GuestFlags};
use crate::lecture::{LectureFlags, of_unknown_claim};
use crate::loads::{self, LOADS, WORKLOADS};
use crate::pages::{PageFlags, PagesFlags};
use crate::servers::{ALL, NONE, Servers};
use crate::set::{self, Setting};

/// What `--help` ends with.
fn examples() -> String {
    let loads: String = LOADS.iter().map(|load| format!("  --load '{load}'\n")).collect();
    format!(
        "\
Examples:
  lab                                      the loads below on every model, in five minutes at most
  lab --models epoll,uring                 the same for two models, in less than a minute
  lab -c 1000                              the same; the loads without a fixed rate get 1000 connections
  lab --models epoll,uring -c 1,64,512 --workload /
  lab --load '/ -c 8' --load '/files/64k -R 1k --slow-readers 100'
  lab --set thread-pool.workers=16         with 16 workers in the thread pool
  lab --guests nginx,hyper                 servers of others beside the models; 'all': those installed
  lab --models none --guest 'mine=./server --port {{port}}' --workload /
  lab --precision 2% --budget 20m          more blocks, until the intervals are within 2 %
  lab --all                                /, /files/64k and /sleep/20 with 1, 64 and 512 connections
  lab aa --models epoll -c 64              how much noise this machine has
  lab show                                 the table of the newest run again; or 'lab show FILE'
  lab compare a/results.json b/results.json
  lab lecture                              the lecture's sentences: which of them hold here
  lab lecture races select-poll            two of them; 'lab lecture --help' has them all
  lab disk                                 files that are not in memory, and what the disk gives
  lab disk --cache cold,hot --size 1M      files of 1 MB, and those in memory, too
  lab disk --all                           both sizes in each state that the memory allows
  lab doctor                               what this machine does to the figures, and what to mend
  lab serve                                only start the servers, for other clients
  lab report                               the page on the newest run; 'lab pages' shows all runs in a browser

Without flags that describe a load, a run has these, in four blocks (a block measures all servers
once under one load), of which it leaves out what does not fit into its --budget:
{loads}
Each server runs in its own processes on the loopback interface, and on other CPUs than the load
if there are at least two; it is started anew for each trial. The results are also written to
results/<run>/results.json.

Exit codes: 0 done, 1 requests failed or an experiment could not be run, 2 wrong usage, 3 a server does not start or answers wrongly,
4 a goal of --at-most is not reached or cannot be told, 130 interrupted (what was
measured is still reported)."
    )
}

/// One web server in many I/O models, measured side by side.
#[derive(Debug, Parser)]
#[command(name = "lab", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: LabRunFlags,
    #[command(subcommand)]
    command: Option<LabCommand>,
}

/// The flags of a run.
#[derive(Debug, Args)]
struct LabRunFlags {
    #[command(flatten)]
    models: ModelFlags,
    /// Measure the whole grid of workloads, connections and connection modes instead of a few telling loads, with one
    /// trial each. Other flags change the grid
    #[arg(long, conflicts_with = "texts")]
    all: bool,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    run: RunFlags,
}

#[derive(Debug, Args)]
struct ModelFlags {
    /// The models; a list, or repeated [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    guests: GuestFlags,
    /// The directory that /files/ serves [default: a folder with 1k, 64k, 1m and 10m, created at start]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// A flag for one model, as in thread-pool.workers=16; a list, or repeated. 'lab be MODEL --help' shows its flags
    #[arg(long, value_name = "MODEL.FLAG=VALUE", value_delimiter = ',')]
    set: Vec<Setting>,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Measure each server twice: the difference is this machine's noise, restarts included. Four trials or more
    Aa(Box<LabRunFlags>),
    #[command(flatten)]
    Files(FileCommand),
    /// Start the models and the guests, print their addresses, and wait for Ctrl-C
    Serve {
        #[command(flatten)]
        models: ModelFlags,
        /// Port of the first server; the others follow, without 3000 and 9090, which are Grafana's and Prometheus's; 0
        /// takes free ones [default: 8081, and ports in use are passed over]
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Port of the first server's metrics; the others follow in the same way [default: 9081]
        #[arg(long, value_name = "PORT")]
        admin_port: Option<u16>,
    },
    /// Judge sentences of the lecture by experiments, each against a margin that was fixed before; in ten minutes at most
    Lecture(LectureFlags),
    /// Serve files that are not in memory, by each way to read them, and compare that with what the disk gives; in ten minutes at most
    Disk(Box<DiskRunFlags>),
    /// Show the runs of a folder in a browser: the report on each, two side by side, and the run that goes on
    Pages(PagesFlags),
    /// Describe this machine: what it does to the figures, and what to mend
    Doctor,
}

/// The flags of `lab disk`.
#[derive(Debug, Args)]
struct DiskRunFlags {
    #[command(flatten)]
    disk: DiskFlags,
    /// The models; a list, or repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    guests: GuestFlags,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    run: RunFlags,
}

/// What the lab must do.
pub enum Command {
    /// Measure the servers.
    Run(Box<RunArgs>),
    /// Work on finished results.
    Files(FileCommand),
    /// Only start the servers.
    Serve(ServeArgs),
    /// Judge sentences of the lecture.
    Lecture(LectureFlags),
    /// Measure the servers with files on a disk.
    Disk(Box<DiskArgs>),
    /// Show runs in a browser.
    Pages(PagesFlags),
    /// Describe this machine.
    Doctor,
}

/// The arguments of a run.
pub struct RunArgs {
    pub servers: Servers,
    pub files: Option<PathBuf>,
    /// Whether each server is measured twice.
    pub is_aa: bool,
    /// Whether the command line names no loads.
    pub has_default_loads: bool,
    pub page: PageFlags,
    pub run: RunFlags,
}

/// The arguments of `lab serve`.
pub struct ServeArgs {
    pub servers: Servers,
    pub files: Option<PathBuf>,
    pub port: Option<u16>,
    pub admin_port: Option<u16>,
}

/// Parses the arguments of this process. If they are wrong, prints what to do and exits.
pub fn parse(known: &[Model]) -> Command {
    parse_from(known, std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn parse_from(known: &[Model], args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let names: Vec<_> = known.iter().map(|model| model.name).collect();
    let of_servers = |command: clap::Command| {
        let help =
            format!("Servers of others beside them: {}; '{ALL}' takes those installed", guests::names().join(", "));
        let models = names.join(", ");
        let models = format!("The models: {models}; a list, or repeated; '{NONE}': only guests [default: all]");
        command
            .mut_arg("guests", |arg| arg.help(format!("{help}; a list, or repeated")))
            .mut_arg("models", |arg| arg.help(models))
    };
    let of_a_run = |command: clap::Command, is_aa: bool| {
        of_servers(loads::with_defaults(command, is_aa))
            .mut_arg("workload", |arg| arg.help(format!("What to request: {WORKLOADS}; a list, or repeated")))
            .mut_arg("results", |arg| {
                arg.default_value("results").default_value_if("out", ArgPredicate::IsPresent, None)
            })
    };
    let of_aa = |command| of_a_run(command, true);
    let command = of_a_run(Cli::command(), false).mut_subcommand("aa", of_aa).after_help(examples());
    let command = command
        .mut_subcommand("serve", of_servers)
        .mut_subcommand("disk", |command| with_disk_defaults(of_servers(command)));
    let matches = command.try_get_matches_from(args);
    let with_hint = |error| with_hint(of_unknown_claim(error), |word| hint(&names, word));
    let matches: ArgMatches = matches.map_err(with_hint)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let of_aa = matches.subcommand_matches("aa");
    let flags = match cli.command {
        None => Box::new(cli.run),
        Some(LabCommand::Aa(run)) => run,
        Some(LabCommand::Files(command)) => return Ok(Command::Files(command)),
        Some(LabCommand::Serve { models, port, admin_port }) => {
            let servers = chosen(known, &models)?;
            return Ok(Command::Serve(ServeArgs { servers, files: models.files, port, admin_port }));
        }
        Some(LabCommand::Lecture(flags)) => return Ok(Command::Lecture(flags)),
        Some(LabCommand::Disk(flags)) => {
            let matches = matches.subcommand_matches("disk").unwrap_or(&matches);
            return Ok(Command::Disk(Box::new(of_the_disk(known, *flags, RunFlags::name_loads(matches))?)));
        }
        Some(LabCommand::Pages(flags)) => return Ok(Command::Pages(flags)),
        Some(LabCommand::Doctor) => return Ok(Command::Doctor),
    };
    let servers = chosen(known, &flags.models)?;
    let mut run = flags.run;
    let has_default_loads = !flags.all && !RunFlags::name_loads(of_aa.unwrap_or(&matches));
    let is_aa = of_aa.is_some();
    if has_default_loads {
        loads::measure_defaults(&mut run, is_aa);
    }
    let (files, page) = (flags.models.files, flags.page);
    Ok(Command::Run(Box::new(RunArgs { servers, files, is_aa, has_default_loads, page, run })))
}

/// Gives the flags of a run the defaults of `lab disk`, and hides those that describe its loads.
fn with_disk_defaults(command: clap::Command) -> clap::Command {
    let (models, guests) = (disk::MODELS.join(", "), disk::GUESTS.join(", "));
    let command = command
        .mut_arg("trials", |arg| arg.default_value("5"))
        .mut_arg("duration", |arg| arg.default_value("1s"))
        .mut_arg("warmup", |arg| arg.default_value("100ms"))
        .mut_arg("results", |arg| arg.default_value("results").default_value_if("out", ArgPredicate::IsPresent, None))
        .mut_arg("models", |arg| {
            arg.help(format!("The models; a list, or repeated; '{NONE}': only guests [default: {models}]"))
        })
        .mut_arg("guests", |arg| {
            arg.help(format!(
                "Servers of others beside them [default: {guests}, if installed and no --models are named]"
            ))
        });
    let of_others =
        DESCRIBE_A_LOAD.into_iter().chain(["texts", "shuffle_paths", "headers", "body", "body_file", "arrivals"]);
    of_others.fold(command, |command, flag| command.mut_arg(flag, |arg| arg.hide(true)))
}

/// The arguments of `lab disk`.
fn of_the_disk(known: &[Model], flags: DiskRunFlags, names_loads: bool) -> Result<DiskArgs, clap::Error> {
    let wrong = |line: &str| clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{line}\n"));
    if names_loads {
        return Err(wrong("'lab disk' has its own loads: --size, --set, --cache and -c change them"));
    }
    let DiskRunFlags { disk, models: mut targets, mut guests, page, run } = flags;
    if targets.is_empty() {
        if guests.guests.is_empty() {
            let installed = guest::ready_made().into_iter().filter(|guest| guest.missing().is_none());
            guests.guests =
                installed.map(|guest| guest.name).filter(|name| disk::GUESTS.contains(&name.as_str())).collect();
        }
        targets = disk::MODELS.map(str::to_owned).into();
    }
    let Variant { name, model, flag } = disk::NO_SIGNALS;
    let models = targets.iter().map(|target| if target == name { model } else { target }.to_owned()).collect();
    let mut servers = chosen(known, &ModelFlags { models, guests, files: None, set: Vec::new() })?;
    targets.retain(|target| target != NONE);
    if targets.iter().any(|target| target == name) {
        servers.variants.insert(name.into(), model.into());
        servers.set.insert(name.into(), [(flag.into(), "true".into())].into());
    }
    targets.extend(servers.guests.iter().map(|guest| guest.name.clone()));
    let mut once = Vec::new();
    add_new(&mut once, targets);
    Ok(DiskArgs { targets: once, servers, disk, page, run })
}

/// What to write instead of a word that the load test or a service would understand.
fn hint(models: &[&str], word: &str) -> Option<String> {
    let of_servers = ["--target", "--targets", "--url", "--metrics", "--target-pid", "--remote-write", "--dashboard"];
    match word {
        _ if models.contains(&word) => Some(format!("choose models with --models {word}")),
        _ if guests::names().iter().any(|name| name == word) => Some(format!("choose guests with --guests {word}")),
        "--aa" => Some("'lab aa' does that".into()),
        "run" => Some("without a command, the lab makes a run".into()),
        "--port" | "--admin-port" | "--listen" | "--admin" => {
            Some("'lab serve --port' chooses ports; in a run the kernel chooses them".into())
        }
        _ if of_servers.contains(&word) || word.contains("://") => Some(
            "the lab starts its servers itself: --models and --guests choose them; 'loadtest' loads other servers"
                .into(),
        ),
        _ => None,
    }
}

/// The models named by the flags, each of them once, and what is set for them; all models if the flags name none. And the guests.
fn chosen(known: &[Model], flags: &ModelFlags) -> Result<Servers, clap::Error> {
    let wrong = |line: String| clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{line}\n"));
    let models = models(known, &flags.models).map_err(wrong)?;
    let guests::Chosen { guests, left_out } = flags.guests.chosen(known).map_err(wrong)?;
    if models.is_empty() && guests.is_empty() {
        return Err(wrong(format!("--models {NONE}: there is nothing left; name guests with --guests")));
    }
    let set = set::flags(&flags.set, &models, &guests).map_err(wrong)?;
    Ok(Servers { models, guests, set, left_out, ..Servers::default() })
}

fn models(known: &[Model], named: &[String]) -> Result<Vec<Model>, String> {
    match named {
        [] => return Ok(known.to_vec()),
        [none] if none == NONE => return Ok(Vec::new()),
        several if several.iter().any(|name| name == NONE) => {
            return Err(format!("--models {}: '{NONE}' stands alone, and means no models", several.join(",")));
        }
        _ => {}
    }
    let mut models: Vec<Model> = Vec::new();
    for name in named {
        match known.iter().find(|model| model.name == name) {
            Some(model) if models.iter().all(|m| m.name != model.name) => models.push(*model),
            Some(_) => {}
            None if guests::names().contains(name) => {
                return Err(format!("--models {name}: {name} is a guest; --guests chooses it"));
            }
            None => {
                let names: Vec<_> = known.iter().map(|model| model.name).collect();
                return Err(format!("--models '{name}': there is no such model; there are {}", names.join(", ")));
            }
        }
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::MODELS;
    use results::{Plan, Schedule};
    use std::time::Duration;

    /// The run that these words ask for, and its plan.
    fn run(words: &str) -> (RunArgs, Plan) {
        let words = std::iter::once("lab").chain(words.split_whitespace()).map(OsString::from);
        let Ok(Command::Run(args)) = parse_from(MODELS, words) else { panic!("this is a run") };
        let plan = args.run.plan(vec!["epoll".into()]).expect("a plan");
        (*args, plan)
    }

    #[test]
    fn a_run_has_the_five_loads_unless_its_flags_name_others() {
        for (words, loads, trials, millis, budget) in [
            ("", 5, 4, 400, Some(300)),
            ("-d 1s --trials 2 --models epoll", 5, 2, 1000, Some(300)),
            ("--budget 20m --precision 2%", 5, 4, 400, Some(1200)),
            ("-c 1,64", 7, 4, 400, Some(300)),
            ("--workload /", 1, 4, 400, None),
            ("--idle 10 -c 1,2", 2, 4, 400, None),
            ("-R 5 --budget 1m", 1, 4, 400, Some(60)),
            ("--load /", 1, 4, 400, None),
            ("--all", 18, 1, 700, None),
            ("--all -c 1000 --trials 3 --budget 10m", 6, 3, 700, Some(600)),
            ("aa", 1, 5, 400, None),
            ("aa --workload /,/sleep/1 --models epoll", 2, 5, 400, None),
            ("aa --all", 18, 1, 700, None),
        ] {
            let (args, plan) = run(words);
            let expected = (loads, trials, Duration::from_millis(millis), budget.map(Duration::from_secs));
            assert_eq!((plan.loads.len(), plan.trials, plan.duration, plan.budget), expected, "{words}");
            assert_eq!(args.is_aa, words.starts_with("aa"), "{words}");
            assert_eq!(args.has_default_loads, loads == 5 || loads == 7 || words == "aa", "{words}");
        }
    }

    #[test]
    fn the_connections_of_the_command_line_are_not_those_of_a_load_at_a_rate() {
        for load in run("-c 1000").1.loads {
            assert_eq!(load.concurrency, if load.schedule == Schedule::Closed { 1000 } else { 64 }, "{load}");
        }
    }

    #[test]
    fn epoll_is_measured_twice_under_the_first_load_if_the_noise_gets_an_interval() {
        let (_, plan) = run("");
        let twice = loads::measured_twice(&plan);
        assert_eq!(twice.iter().map(|twice| (&*twice.target, twice.load)).collect::<Vec<_>>(), [("epoll", 0)]);
        assert!(loads::measured_twice(&run("--trials 2").1).is_empty());
        assert!(loads::measured_twice(&Plan { targets: vec!["poll".into()], ..plan }).is_empty());
    }

    #[test]
    fn commands_on_files_are_those_of_the_load_test() {
        for words in ["show", "show a.json", "merge a b -o c", "compare a b --anyway"] {
            let args = std::iter::once("lab").chain(words.split(' ')).map(OsString::from);
            assert!(matches!(parse_from(MODELS, args), Ok(Command::Files(_))), "{words}");
        }
    }
}
