//! The command line of the lab.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use loadtest::front::{RunFlags, with_hint};
use supervisor::Model;

use crate::set::{self, Setting};

/// What the models serve.
pub const WORKLOADS: &str =
    "/, /files/64k (1k, 1m, 10m), /sleep/<ms>, /work/<iterations>, /counter, 'POST /counter', /nods and 'POST /nod'";

const EXAMPLES: &str = "\
Examples:
  lab                                      a short sweep over every model, in less than five minutes
  lab --models epoll,uring -c 64 --trials 5 --workload /
  lab -c 1000 --requests-per-connection 1 -d 5s
  lab --set thread-pool.workers=16         the same with 16 workers in the thread pool
  lab --aa --models epoll -c 64            how much noise this machine has
  lab doctor                               what this machine does to the figures, and what to mend
  lab serve                                only start the models, for other clients

Each model runs in its own processes on the loopback interface, and on other CPUs than the load
if there are at least two; it is started anew for each trial. The results are also written to
results/<run>/results.json.

Exit codes: 0 done, 1 requests failed, 2 wrong usage, 3 a model does not start or answers wrongly,
130 interrupted (what was measured is still reported).";

/// One web server in many I/O models, measured side by side.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXAMPLES, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    models: ModelFlags,
    /// Measure each model twice: the difference is this machine's noise, restarts included. From five trials on
    #[arg(long)]
    aa: bool,
    #[command(flatten)]
    run: RunFlags,
    #[command(subcommand)]
    command: Option<LabCommand>,
}

#[derive(Debug, Args)]
struct ModelFlags {
    /// The models; a list, or repeated [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    models: Vec<String>,
    /// The directory that /files/ serves [default: a folder with 1k, 64k, 1m and 10m, created at start]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// A flag for one model, as in thread-pool.workers=16; a list, or repeated. 'lab be MODEL --help' shows its flags
    #[arg(long, value_name = "MODEL.FLAG=VALUE", value_delimiter = ',')]
    set: Vec<Setting>,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Start the models, print their addresses, and wait for Ctrl-C
    Serve {
        #[command(flatten)]
        models: ModelFlags,
        /// Port of the first model; the others follow, without 3000 and 9090, which are Grafana's and Prometheus's; 0
        /// takes free ones [default: 8081, and ports in use are passed over]
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Port of the first model's metrics; the others follow in the same way [default: 9081]
        #[arg(long, value_name = "PORT")]
        admin_port: Option<u16>,
    },
    /// Describe this machine: what it does to the figures, and what to mend
    Doctor,
}

/// What the lab must do.
pub enum Command {
    /// Measure the models.
    Run(Box<RunArgs>),
    /// Only start the models.
    Serve(ServeArgs),
    /// Describe this machine.
    Doctor,
}

/// The arguments of a run.
pub struct RunArgs {
    pub models: Vec<Model>,
    pub files: Option<PathBuf>,
    pub set: set::Flags,
    /// Whether each model is measured twice.
    pub is_aa: bool,
    pub run: RunFlags,
}

/// The arguments of `lab serve`.
pub struct ServeArgs {
    pub models: Vec<Model>,
    pub files: Option<PathBuf>,
    pub set: set::Flags,
    pub port: Option<u16>,
    pub admin_port: Option<u16>,
}

/// Parses the arguments of this process. If they are wrong, prints what to do and exits.
pub fn parse(known: &[Model]) -> Command {
    parse_from(known, std::env::args_os()).unwrap_or_else(|error| error.exit())
}

fn parse_from(known: &[Model], args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    // The flags are those of the load test, with other defaults, which make a sweep.
    let names: Vec<_> = known.iter().map(|model| model.name).collect();
    let command = Cli::command()
        .mut_arg("workload", |arg| {
            arg.default_value("/,/files/64k,/sleep/20")
                .help(format!("What to request: {WORKLOADS}; a list, or repeated"))
        })
        .mut_arg("concurrency", |arg| arg.default_value("1,64,512"))
        .mut_arg("requests_per_connection", |arg| arg.default_value("unlimited,1"))
        .mut_arg("duration", |arg| arg.default_value("700ms"))
        .mut_arg("busy_workload", |arg| arg.default_value("/work/10000000"))
        .mut_arg("slow_reader_workload", |arg| arg.default_value("/files/1m"))
        .mut_arg("results", |arg| arg.default_value("results").default_value_if("out", ArgPredicate::IsPresent, None))
        .mut_arg("models", |arg| {
            arg.help(format!("The models: {}; a list, or repeated [default: all]", names.join(", ")))
        });
    let matches = command.try_get_matches_from(args);
    let matches: ArgMatches = matches.map_err(|error| with_hint(error, |word| hint(&names, word)))?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(match cli.command {
        None => {
            let (models, set) = chosen(known, &cli.models)?;
            Command::Run(Box::new(RunArgs { models, files: cli.models.files, set, is_aa: cli.aa, run: cli.run }))
        }
        Some(LabCommand::Serve { models, port, admin_port }) => {
            let (chosen, set) = chosen(known, &models)?;
            Command::Serve(ServeArgs { models: chosen, files: models.files, set, port, admin_port })
        }
        Some(LabCommand::Doctor) => Command::Doctor,
    })
}

/// What to write instead of a word that the load test or a service would understand.
fn hint(models: &[&str], word: &str) -> Option<String> {
    let of_servers = ["--target", "--targets", "--url", "--metrics", "--target-pid", "--remote-write", "--dashboard"];
    match word {
        _ if models.contains(&word) => Some(format!("choose models with --models {word}")),
        "aa" => Some("'lab --aa' does that".into()),
        "show" | "merge" | "compare" => Some(format!("'loadtest {word}' does that")),
        "run" => Some("without a command, the lab makes a run".into()),
        "--port" | "--admin-port" | "--listen" | "--admin" => {
            Some("'lab serve --port' chooses ports; in a run the kernel chooses them".into())
        }
        _ if of_servers.contains(&word) || word.contains("://") => {
            Some("the lab starts its models itself, and --models chooses them; 'loadtest' loads other servers".into())
        }
        _ => None,
    }
}

/// The models named by the flags, each of them once, and what is set for them; all models if the flags name none.
fn chosen(known: &[Model], flags: &ModelFlags) -> Result<(Vec<Model>, set::Flags), clap::Error> {
    let wrong = |line: String| clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{line}\n"));
    let mut models: Vec<Model> = if flags.models.is_empty() { known.to_vec() } else { Vec::new() };
    for name in &flags.models {
        match known.iter().find(|model| model.name == name) {
            Some(model) if models.iter().all(|m| m.name != model.name) => models.push(*model),
            Some(_) => {}
            None => {
                let names: Vec<_> = known.iter().map(|model| model.name).collect();
                return Err(wrong(format!(
                    "--models '{name}': there is no such model; there are {}",
                    names.join(", ")
                )));
            }
        }
    }
    let set = set::flags(&flags.set, &models).map_err(wrong)?;
    Ok((models, set))
}
