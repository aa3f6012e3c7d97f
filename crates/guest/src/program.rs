//! The program `guest`: its command line.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use supervisor::{ServiceFlags, cannot_start, explain, healthcheck};

use crate::guest::HEALTHCHECK;
use crate::{Guest, built_in, ready_made};

/// How this program calls itself.
const PROGRAM: &str = "guest";

/// The connections that a guest is ready for without `--connections`: those of the largest load of a default run, 1000 that are idle
/// and 64, and more. Ready-made guests with a process for each take 1 to 2 s for so many.
pub const MOST_CONNECTIONS: usize = 1280;

/// Runs a server of others as a service: restarted when it crashes, charged with its whole process tree.
#[derive(Parser)]
#[command(name = PROGRAM, bin_name = PROGRAM, version, max_term_width = 100)]
struct Cli {
    /// A ready-made guest, or one of --guests-file, which needs no name if it is the only one. 'healthcheck' only asks the admin
    /// endpoint of a running one
    name: Option<String>,
    /// A guest and its command, as in 'mine=./server --port {port}'
    #[arg(long, value_name = "NAME=COMMAND", value_parser = Guest::from_text, conflicts_with_all = ["name", "guests_file"])]
    guest: Option<Guest>,
    /// A TOML file that describes guests, a table for each
    #[arg(long, value_name = "FILE")]
    guests_file: Option<PathBuf>,
    /// The file to which the guest's output is appended [default: standard error]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// End when the guest ends, instead of starting it again
    #[arg(long)]
    once: bool,
    /// Connections that the guest shall be ready for, where it has a process or a thread for each
    #[arg(long, env, value_name = "N", default_value_t = MOST_CONNECTIONS, value_parser = number)]
    connections: usize,
    #[command(flatten)]
    service: ServiceFlags,
}

/// Runs the guest that the arguments name, until SIGTERM or SIGINT. Exit codes as those of a model's service.
pub fn main_from(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = built_in(args.clone()) {
        return code;
    }
    let parsed = Cli::command().try_get_matches_from(args);
    let (given, cli) = match parsed.and_then(|given| Cli::from_arg_matches(&given).map(|cli| (given, cli))) {
        Ok(parsed) => parsed,
        Err(error) => return explain(PROGRAM, &error),
    };
    if cli.name.as_deref() == Some(HEALTHCHECK) {
        return healthcheck(&cli.service);
    }
    let (guest, log) = match chosen(&cli).and_then(|guest| Ok((guest, open_log(&cli)?))) {
        Ok(chosen) => chosen,
        Err(why) => return cannot_start(PROGRAM, why),
    };
    let once = cli.once;
    supervisor::run_guest(supervisor::Guest {
        name: guest.name.clone().leak(), // this process runs one guest
        flags: cli.service,
        given,
        connections: cli.connections,
        prepare: Box::new(move |place| {
            let program = guest.prepare(place)?;
            Ok(supervisor::GuestProgram { log, once, ..program })
        }),
    })
}

fn number(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "expected a whole number from 1".into())
}

fn chosen(cli: &Cli) -> Result<Guest, String> {
    match (&cli.guest, &cli.guests_file) {
        (Some(guest), _) => Ok(guest.clone()),
        (None, Some(file)) => of_file(file, cli.name.as_deref()),
        (None, None) => {
            let guests = ready_made();
            let there_are =
                format!("there are {}; or describe one with --guest 'mine=./server --port {{port}}'", names(&guests));
            let name = cli.name.as_ref().ok_or_else(|| format!("name a guest: {there_are}"))?;
            named(guests, name).ok_or_else(|| format!("no guest {name}: {there_are}"))
        }
    }
}

/// The guest with that name in a file, or the only one that it describes.
fn of_file(path: &Path, name: Option<&str>) -> Result<Guest, String> {
    let guests = Guest::from_file(path)?;
    let file = path.display();
    let there_are = format!("there are {}", names(&guests));
    match (name, &*guests) {
        (None, [guest]) => Ok(guest.clone()),
        (None, _) => Err(format!(
            "write a name after the file, as in {PROGRAM} --guests-file {file} {}: {there_are}",
            guests[0].name
        )),
        (Some(name), _) => named(guests, name).ok_or_else(|| format!("no guest {name} in {file}: {there_are}")),
    }
}

fn named(guests: Vec<Guest>, name: &str) -> Option<Guest> {
    guests.into_iter().find(|guest| guest.name == name)
}

fn names(guests: &[Guest]) -> String {
    guests.iter().map(|guest| &*guest.name).collect::<Vec<_>>().join(", ")
}

/// Opens the file of `--log` for its whole life.
fn open_log(cli: &Cli) -> Result<Option<File>, String> {
    let open = |path: &PathBuf| {
        let opened = File::options().create(true).append(true).open(path);
        opened.map_err(|error| format!("--log {}: {error}; name a file that you may write to", path.display()))
    };
    cli.log.as_ref().map(open).transpose()
}
