//! The `main()` of every service, which supervises the process of an I/O model, or that of a server of others: flags, listener,
//! restart, signals, admin endpoint.
//!
//! [`main`] binds the listening socket, maps the scoreboard, forks the model's process, and then waits for events: one
//! poll loop over signals and the admin endpoint. The supervisor never has a second thread, so it may fork at any time.
//! The listening socket belongs to the supervisor and outlives a crash of the model: connections that come meanwhile
//! wait in its backlog.
//!
//! Where it may, the service moves into a new control group, `io-models-PID` below its own, whose CPU time is known to the end of
//! each thread. The group limits nothing, and is removed at the end. The supervisor's own CPU time is taken out.

mod account;
mod accounts;
mod admin;
mod bounds;
mod capacity;
mod children;
mod connection;
mod cpus;
mod flags;
mod guest_program;
mod healthcheck;
mod info;
mod listener;
mod metrics;
mod process;
mod restart;
mod start;
mod status;
mod store;
mod temporary;
mod units;
mod usage;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::ExitCode;

use app::App;
use clap::{ArgMatches, Error};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use flags::{Flags, Mode};
pub use flags::{ServiceFlags, flag_names, one_line};
pub use guest_program::{GuestProgram, Place};

/// An I/O model: its name, and the function that serves connections in this model.
#[derive(Clone, Copy)]
pub struct Model {
    /// The name of its folder, crate, binary, container and label.
    pub name: &'static str,
    /// Accepts connections and serves them until SIGTERM has come and all accepted connections are finished.
    ///
    /// SIGTERM is blocked, so that the function can wait for it with [`Sigterm`](driver::Sigterm). SIGINT and SIGPIPE are ignored.
    /// `ErrorKind::Unsupported` means that this machine does not permit the model, and `ErrorKind::QuotaExceeded` that it lacks
    /// something at the moment; the text of the error says why, and what to raise. The supervisor starts the model again a few
    /// times after the second, and never after the first.
    pub serve: fn(TcpListener, App) -> io::Result<()>,
    /// The resource that each open connection takes.
    pub connection_takes: Resource,
    /// The flags that only this model has.
    pub flags: &'static [Flag],
    /// What the model can keep of the flags that every service has.
    pub bounds: &'static [Bound],
}

impl Model {
    /// A model that adds no flags, and whose connections take a file descriptor each.
    pub const fn new(name: &'static str, serve: fn(TcpListener, App) -> io::Result<()>) -> Model {
        Model { name, serve, connection_takes: Resource::Descriptor, flags: &[], bounds: &[] }
    }
}

/// A flag that only one model has. Its value is a number from 1 on, which the model reads with
/// [`Settings::flag`](app::Settings::flag); that of a switch is 1 where it is given, or else 0.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// The name, without the dashes.
    pub name: &'static str,
    /// The environment variable that sets it, too.
    pub env: &'static str,
    /// The default value; `None` makes it a switch, which takes no value.
    pub default: Option<&'static str>,
    /// The sentence in `--help` that describes it.
    pub help: &'static str,
    /// Other flags whose values this one must not exceed: the model's, or `max-connections`. A default value yields to a given
    /// one; two given values that contradict each other are refused.
    pub at_most: &'static [&'static str],
    /// The model starts that many threads.
    pub is_threads: bool,
}

/// The values of a flag that a model can keep. Others are refused at the start; the default of `--threads` is adapted.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The name of the flag, without the dashes: `threads`, `max-head` or `max-request-line`.
    pub flag: &'static str,
    /// The lowest value.
    pub least: usize,
    /// The highest value.
    pub most: usize,
    /// The reason, as a part of a sentence.
    pub why: &'static str,
}

/// A resource that each connection takes, and whose limit bounds the number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A file descriptor: RLIMIT_NOFILE.
    Descriptor,
    /// A process: RLIMIT_NPROC, the cgroup's pids.max, kernel.pid_max.
    Process,
    /// A thread, to which the limits on processes apply as well, and a file descriptor.
    Thread,
}

/// Runs the model as a service, with the arguments of this process, until SIGTERM or SIGINT.
///
/// Exit codes: 0 if all accepted connections were finished, 1 if some were cut off or something failed, 2 if the
/// service could not start with these flags. To be called while the process has one thread.
pub fn main(model: Model) -> ExitCode {
    main_from(model, std::env::args_os())
}

/// Like [`main`], with other arguments. The first one is the name of the program, as in `argv`.
pub fn main_from(model: Model, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = Flags::parse(model, args).and_then(|flags| match flags.mode {
        Some(Mode::Healthcheck) => healthcheck::run(&flags.service),
        None => start::start_model(model, flags)?.run().map_err(Failure::SystemCall),
    });
    exit_code(model.name, ended)
}

/// Makes the program of a guest, its arguments and its configuration files, now that its place is known. An error is one line that
/// says what to do.
pub type Prepare = Box<dyn FnOnce(&Place) -> Result<GuestProgram, String>>;

/// A server of others, to be run as a service.
pub struct Guest {
    /// The name of its container, target and label.
    pub name: &'static str,
    /// The flags of the service.
    pub flags: ServiceFlags,
    /// What was given on the command line and in the environment: /info says the flags among it that change figures.
    pub given: ArgMatches,
    /// That of [`Place`].
    pub connections: usize,
    /// What to run.
    pub prepare: Prepare,
}

/// Runs a guest as a service until SIGTERM or SIGINT. Exit codes as those of [`main`]; besides, 1 if its process has ended and is
/// not to be restarted. To be called while the process has one thread.
pub fn run_guest(guest: Guest) -> ExitCode {
    let name = guest.name;
    exit_code(name, start::start_guest(guest).and_then(|supervisor| Ok(supervisor.run()?)))
}

/// Prints the help or the version, if the arguments asked for it, or else says in one line why clap did not take them. Returns
/// the exit code for the program: 0, or 2.
pub fn explain(name: &str, error: &Error) -> ExitCode {
    exit_code(name, Err(flags::explain(name, error)))
}

/// Says in one line why a program cannot start. Exit code 2.
pub fn cannot_start(name: &str, why: String) -> ExitCode {
    exit_code(name, Err(Failure::CannotStart(why)))
}

/// Asks the admin endpoint of a running service whether it is healthy: exit code 0, or 1 and a line that says why not.
pub fn healthcheck(flags: &ServiceFlags) -> ExitCode {
    exit_code("healthcheck", healthcheck::run(flags))
}

/// Says why a service did not start or has ended, if it was not told to.
fn exit_code(name: &str, ended: Result<ExitCode, Failure>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(Failure::HelpShown) => ExitCode::SUCCESS,
        Err(Failure::CannotStart(line)) => {
            log(name, format_args!("{line}"));
            ExitCode::from(2)
        }
        Err(Failure::SystemCall(error)) => {
            log(name, format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a service did not start, or why it has ended.
#[derive(Debug)]
enum Failure {
    /// It has printed its help or its version, as requested.
    HelpShown,
    /// It cannot start with these flags on this machine; the line says what to change.
    CannotStart(String),
    /// A system call failed unexpectedly.
    SystemCall(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::SystemCall(error)
    }
}

impl From<nix::errno::Errno> for Failure {
    fn from(errno: nix::errno::Errno) -> Failure {
        Failure::SystemCall(errno.into())
    }
}

/// How lines begin, after the name: the service stops; it cuts off what was not finished in the time of `--grace`; the model is not
/// permitted here.
const STOPPING: &str = "stopping, with";
const GRACE_OVER: &str = "the grace period is over";
const NOT_SUPPORTED: &str = "not supported on this machine";

/// Whether a line of a service reports no fault: that it stops, or that this machine does not permit the model, which /info
/// says, too. With `may_cut_off` also what it cuts off after the time of `--grace`.
pub fn is_routine(line: &str, may_cut_off: bool) -> bool {
    let routine: &[&str] =
        if may_cut_off { &[STOPPING, NOT_SUPPORTED, GRACE_OVER] } else { &[STOPPING, NOT_SUPPORTED] };
    line.split_once(": ").is_some_and(|(_, line)| routine.iter().any(|begin| line.starts_with(begin)))
}

/// How long a line may wait for the reader of stderr, in milliseconds.
const LINE_WAITS_MS: u8 = 100;

/// Writes one line to stderr. (`eprintln!` would panic if stderr is a pipe whose reading end is closed.)
///
/// If stderr is a pipe that is full and not read, the line is lost: the supervisor must not hang because a guest has filled the
/// pipe.
fn log(name: &str, line: fmt::Arguments<'_>) {
    let mut stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::from(LINE_WAITS_MS)) != Ok(0) {
        let _ = stderr.write_all(format!("{name}: {line}\n").as_bytes());
    }
}
