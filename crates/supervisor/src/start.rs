//! From flags to a supervisor that is ready to run.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use app::Settings;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::utsname::uname;
use scoreboard::Scoreboard;

use crate::accounts::Accounts;
use crate::admin::Admin;
use crate::capacity::Machine;
use crate::flags::Flags;
use crate::status::{Phase, Service, Shared, Status};
use crate::store::Store;
use crate::watch::Watch;
use crate::{Failure, Model, listener};

/// Checks what was asked for, binds, maps the scoreboard, takes over the signals and prepares the store.
pub(crate) fn start(model: Model, flags: Flags) -> Result<Watch, Failure> {
    let threads = flags.threads.unwrap_or_else(|| available_parallelism().map_or(1, NonZeroUsize::get));
    let capacity = Machine::this(threads)?.capacity(model.connection_takes, flags.max_connections)?;
    let files = files(flags.files.as_deref())?;

    let socket = listener::bind(flags.listen, "--listen")?;
    listener::prepare(&socket, flags.backlog)?;
    let admin = listener::bind(flags.admin, "--admin")?;

    let board = Scoreboard::map()?;
    let signals = signals()?; // from here on, Ctrl-C leaves nothing behind
    let store = Store::prepare(flags.store.as_deref())?;
    let service = Service {
        model,
        listen: socket.local_addr()?,
        admin: admin.local_addr()?,
        settings: Settings {
            threads,
            max_connections: capacity.connections,
            files,
            store: store.file.clone(),
            racy: flags.racy,
            limits: flags.limits(),
            own: flags.own,
        },
        capacity,
        backlog: listener::allowed_backlog(flags.backlog),
        grace: flags.grace,
        board,
        kernel: uname()?.release().to_string_lossy().into_owned(),
        cgroup: process_tree::own_cgroup(),
    };
    set_child_subreaper(true)?; // orphans of the model become our children: prctl(2)
    let status = Status { service, phase: Phase::Restarting, restarts: 0, accounts: Accounts::new(board) };
    let status = Shared::new(status);
    Ok(Watch::new(socket, Admin::new(admin, status.clone())?, signals, status, store))
}

/// The directory behind `/files/`: the given one, or else the default one with its files made.
fn files(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(dir) = given else {
        let made = app::default_files_dir().and_then(|dir| app::make_files(&dir).map(|()| dir));
        return made.map_err(|error| {
            Failure::Refused(format!("cannot make the default files: {error}; name a directory with --files"))
        });
    };
    let refused = |why: &str| Failure::Refused(format!("--files {}: {why}", dir.display()));
    match dir.canonicalize().and_then(|dir| std::fs::read_dir(&dir).map(|_| dir)) {
        Ok(dir) => Ok(dir),
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound => refused("there is no such directory: create it, or name another"),
            ErrorKind::NotADirectory => refused("this is not a directory: name one"),
            ErrorKind::PermissionDenied => refused("no permission to read it: change that, or name another"),
            _ => refused(&error.to_string()),
        }),
    }
}

/// The signals that the loop waits for, blocked and readable: signalfd(2).
fn signals() -> Result<SignalFd, Failure> {
    // Ignored SIGCHLD is inherited through exec(2), and then the kernel throws away what children have used.
    // SAFETY: the default action installs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    Ok(driver::signal_fd([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD])?)
}
