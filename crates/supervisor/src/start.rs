//! Starts a service: makes a supervisor that is ready to run from the flags.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use app::Settings;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::utsname::uname;
use process_tree::OwnGroup;
use scoreboard::Scoreboard;

use crate::accounts::Accounts;
use crate::admin::Admin;
use crate::capacity::MachineLimits;
use crate::cpus::Cpus;
use crate::flags::Flags;
use crate::status::{Phase, Service, SharedStatus, Status};
use crate::store::StoreFile;
use crate::watch::Supervisor;
use crate::{Failure, Model, bounds, listener};

/// Checks the flags, binds the sockets, maps the scoreboard, blocks the signals and prepares the store.
pub(crate) fn start(model: Model, flags: Flags) -> Result<Supervisor, Failure> {
    let cpus = Cpus::divide(&model, &flags)?;
    bounds::check_sizes(&model, &flags)?;
    let threads = bounds::threads(&model, flags.threads, cpus.count)?;
    let machine = MachineLimits::of_this_machine(threads)?;
    machine.check_threads("threads", threads)?;
    let capacity = machine.capacity(model.connection_takes, flags.max_connections)?;
    let own = bounds::own_flags(&model, &flags, &capacity, &machine)?;
    let files = files(flags.files.as_deref())?;

    let socket = listener::bind(model.name, &flags.listen, "--listen")?;
    listener::prepare(&socket, flags.backlog)?;
    let admin = listener::bind(model.name, &flags.admin, "--admin")?;

    let board = Scoreboard::map()?;
    let signals = signals()?; // before the store, so that Ctrl-C cannot end the process without removing it
    let store = StoreFile::prepare(flags.store.as_deref())?;
    let service = Service {
        model,
        listen: socket.local_addr()?,
        admin: admin.local_addr()?,
        settings: Settings {
            threads,
            max_connections: capacity.connections,
            files,
            store: store.path.clone(),
            racy: flags.racy,
            limits: flags.limits(),
            own,
        },
        capacity,
        backlog: listener::allowed_backlog(flags.backlog),
        grace: flags.grace,
        board,
        cpus,
        given: flags.given,
        kernel: uname()?.release().to_string_lossy().into_owned(),
        boot_id: process_tree::boot_id().map(str::to_owned),
        cgroup: process_tree::own_cgroup(),
    };
    // After the limits and figures of the group are known: below it, there is only the CPU time.
    let group = OwnGroup::find_or_make("io-models").ok();
    set_child_subreaper(true)?; // orphans of the model become our children: prctl(2)
    let status = Status { service, phase: Phase::Restarting, restarts: 0, accounts: Accounts::new(board, group) };
    let status = SharedStatus::new(status);
    Ok(Supervisor::new(socket, Admin::new(admin, status.clone())?, signals, status, store))
}

/// The directory that `/files/` serves: the given one, or else the default one, whose files are created.
fn files(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(dir) = given else {
        let made = app::default_files_dir().and_then(|dir| app::make_files(&dir).map(|()| dir));
        return made.map_err(|error| {
            Failure::CannotStart(format!("cannot make the default files: {error}; name a directory with --files"))
        });
    };
    let cannot_start = |why: &str| Failure::CannotStart(format!("--files {}: {why}", dir.display()));
    match dir.canonicalize().and_then(|dir| std::fs::read_dir(&dir).map(|_| dir)) {
        Ok(dir) => Ok(dir),
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound => cannot_start("there is no such directory: create it, or name another"),
            ErrorKind::NotADirectory => cannot_start("this is not a directory: name one"),
            ErrorKind::PermissionDenied => cannot_start("no permission to read it: change that, or name another"),
            _ => cannot_start(&error.to_string()),
        }),
    }
}

/// Blocks the signals that the loop waits for, and makes them readable from a descriptor: signalfd(2).
fn signals() -> Result<SignalFd, Failure> {
    // A process inherits an ignored SIGCHLD through exec(2), and then the kernel discards the usage of its children.
    // SAFETY: the default action installs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    Ok(driver::signal_fd([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])?)
}
