//! `main()` of every service: flags, listener, restart, signals, admin endpoint.
//!
//! [`main`] binds, maps the scoreboard, forks the model's process and then only watches: one thread for life, one
//! poll loop over signals and the admin endpoint, so that it may fork again at any time. The listener is the
//! supervisor's and outlives a crash of the model: who connects meanwhile waits in its queue.

mod accounts;
mod admin;
mod capacity;
mod children;
mod client;
mod flags;
mod healthcheck;
mod info;
mod listener;
mod metrics;
mod process;
mod restart;
mod start;
mod status;
mod store;
mod units;
mod usage;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use app::App;

use flags::{Flags, Mode};

/// An I/O model: its name, and the one function that it is.
#[derive(Clone, Copy)]
pub struct Model {
    /// The name of its folder, crate, binary, container and label.
    pub name: &'static str,
    /// Accepts connections and serves them until SIGTERM has come and everything accepted is finished.
    ///
    /// SIGTERM is blocked, so that the model waits for it with a signalfd(2): [`Sigterm`](driver::Sigterm). SIGINT and SIGPIPE are ignored.
    /// `ErrorKind::Unsupported` says that this machine does not permit the model; the error's text says why.
    pub serve: fn(TcpListener, App) -> io::Result<()>,
    /// What the machine must have for each open connection.
    pub connection_takes: Resource,
    /// The flags that only this model has.
    pub flags: &'static [Flag],
}

impl Model {
    /// A model without flags of its own, whose connections take a file descriptor each.
    pub const fn new(name: &'static str, serve: fn(TcpListener, App) -> io::Result<()>) -> Model {
        Model { name, serve, connection_takes: Resource::Descriptor, flags: &[] }
    }
}

/// A flag of one model: a number from 1 on, which the model reads with [`Settings::flag`](app::Settings::flag).
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// The environment variable that stands for it.
    pub env: &'static str,
    /// What it is if it is not given.
    pub default: &'static str,
    /// The sentence about it in `--help`.
    pub help: &'static str,
}

/// What bounds the number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A file descriptor: RLIMIT_NOFILE.
    Descriptor,
    /// A process: RLIMIT_NPROC, the cgroup's pids.max, kernel.pid_max.
    Process,
    /// A thread, which those limits count too, and a file descriptor.
    Thread,
}

/// Runs the model as a service, by this process' arguments, until SIGTERM or SIGINT.
///
/// Exit codes: 0 when everything that was accepted is finished, 1 when something was cut off or failed, 2 when it
/// could not start as asked. To be called while the process has one thread.
pub fn main(model: Model) -> ExitCode {
    main_from(model, std::env::args_os())
}

/// The same by other arguments; the first is the program's name, as in `argv`.
pub fn main_from(model: Model, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = Flags::parse(model, args).and_then(|flags| match flags.mode {
        Some(Mode::Healthcheck) => healthcheck::run(flags.admin),
        None => start::start(model, flags)?.run().map_err(Failure::Broken),
    });
    match ended {
        Ok(code) => code,
        Err(Failure::Answered) => ExitCode::SUCCESS,
        Err(Failure::Refused(line)) => {
            say(model.name, format_args!("{line}"));
            ExitCode::from(2)
        }
        Err(Failure::Broken(error)) => {
            say(model.name, format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a service did not run, or runs no longer.
#[derive(Debug)]
enum Failure {
    /// It was asked for help or its version, and has given it.
    Answered,
    /// It cannot be as asked; the line says what to do.
    Refused(String),
    /// A system call failed that does not fail.
    Broken(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Broken(error)
    }
}

impl From<nix::errno::Errno> for Failure {
    fn from(errno: nix::errno::Errno) -> Failure {
        Failure::Broken(errno.into())
    }
}

/// One line on stderr. (`eprintln!` would panic when stderr is a pipe that nobody reads any more.)
fn say(name: &str, line: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{name}: {line}\n").as_bytes());
}
