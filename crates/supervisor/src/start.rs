//! Starts a service: makes a supervisor that is ready to run from the flags.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
use crate::guest_program::Place;
use crate::status::{ModelProgram, Phase, Program, Service, SharedStatus, Status};
use crate::store::StoreFile;
use crate::temporary::TemporaryDir;
use crate::watch::{Held, Supervisor};
use crate::{Failure, Guest, Model, bounds, flags, listener, log};

/// Checks the flags, binds the sockets, maps the scoreboard, blocks the signals and prepares the store.
pub(crate) fn start_model(model: Model, flags: Flags) -> Result<Supervisor, Failure> {
    let cpus = Cpus::divide(model.name, &flags.service);
    bounds::check_sizes(&model, &flags)?;
    let threads = bounds::threads(&model, flags.service.threads, cpus.count)?;
    let machine = MachineLimits::of_this_machine(threads)?;
    machine.check_threads("threads", threads)?;
    let capacity = machine.capacity(model.connection_takes, flags.max_connections)?;
    let own = bounds::own_flags(&model, &flags, &capacity, &machine)?;
    let files = files(flags.service.files.as_deref())?;

    let socket = listener::bind(model.name, &flags.service.listen, "--listen")?;
    listener::prepare(&socket, flags.backlog)?;
    let sockets =
        Sockets { admin: listener::bind(model.name, &flags.service.admin, "--admin")?, signals: signals(&[])? };
    // The signals are blocked by now, so Ctrl-C cannot end the process without removing the store.
    let store = StoreFile::prepare(flags.store.as_deref())?;
    let settings = Settings {
        threads,
        max_connections: capacity.connections,
        files: files.clone(),
        store: store.path.clone(),
        racy: flags.racy,
        limits: flags.limits(),
        own,
    };
    let backlog = listener::allowed_backlog(flags.backlog);
    let what = What {
        name: model.name,
        program: Program::Model(Box::new(ModelProgram { model, settings, capacity, backlog })),
        listen: socket.local_addr()?,
        files,
        cpus,
        given: flags.given,
        grace: flags.service.grace,
    };
    supervisor(what, Some(socket), sockets, Held { folder: store.temporary_dir, address: None })
}

/// Checks the flags, chooses the port, binds the admin endpoint, and lets `prepare` make the program from that.
pub(crate) fn start_guest(guest: Guest) -> Result<Supervisor, Failure> {
    let Guest { name, flags, given, connections, prepare } = guest;
    let cpus = Cpus::divide(name, &flags);
    process_tree::raise_open_file_limit()?; // a guest inherits it
    let files = files(flags.files.as_deref())?;
    let found = listener::find(name, &flags.listen)?;
    let listen = found.address;
    let sockets =
        Sockets { admin: listener::bind(name, &flags.admin, "--admin")?, signals: signals(&[Signal::SIGHUP])? };
    let folder = TemporaryDir::make("io-models-guest").map_err(|error| {
        Failure::CannotStart(format!("cannot make {error}: set TMPDIR to a directory in which you may make others"))
    })?;
    // A server that root starts goes on as another user, which has to find its files there.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let place = Place {
        listen,
        files: files.clone(),
        folder: folder.path().to_owned(),
        threads: flags.threads.unwrap_or(cpus.count),
        connections,
    };
    let program = Program::Guest(prepare(&place).map_err(Failure::CannotStart)?);
    let given = flags::given_service_flags(&given);
    let what = What { name, program, listen, files, cpus, given, grace: flags.grace };
    supervisor(what, None, sockets, Held { folder: Some(folder), address: Some(found) })
}

/// What a supervisor waits for, besides the end of its children.
struct Sockets {
    admin: TcpListener,
    signals: SignalFd,
}

/// What differs from service to service.
struct What {
    name: &'static str,
    program: Program,
    listen: SocketAddr,
    files: PathBuf,
    cpus: Cpus,
    given: BTreeMap<String, String>,
    grace: Duration,
}

/// A supervisor of that, which is ready to run.
fn supervisor(what: What, listener: Option<TcpListener>, sockets: Sockets, held: Held) -> Result<Supervisor, Failure> {
    let What { name, program, listen, files, cpus, given, grace } = what;
    let board = Scoreboard::map()?;
    let service = Service {
        name,
        program,
        listen,
        admin: sockets.admin.local_addr()?,
        files,
        grace,
        board,
        cpus,
        given,
        kernel: uname()?.release().to_string_lossy().into_owned(),
        boot_id: process_tree::boot_id().map(str::to_owned),
        cgroup: process_tree::own_cgroup(),
    };
    // After the limits and figures of the group are known: below it, there is only the CPU time.
    let group = OwnGroup::find_or_make("io-models");
    if let (Program::Guest(guest), Err(error)) = (&service.program, &group)
        && !guest.keeps_processes
    {
        let lacks = "so children of the guest that end while it lives are not charged to it";
        log(name, format_args!("no control group could be made ({error}), {lacks}"));
    }
    set_child_subreaper(true)?; // orphans of the model or of the guest become our children: prctl(2)
    let status = Status { service, phase: Phase::Restarting, restarts: 0, accounts: Accounts::new(board, group.ok()) };
    let status = SharedStatus::new(status);
    Ok(Supervisor::new(listener, Admin::new(sockets.admin, status.clone())?, sockets.signals, status, held))
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

/// Blocks the signals that the loop waits for, and makes them readable from a descriptor: signalfd(2). `more` of them tell it to
/// stop, besides SIGTERM and SIGINT: a guest leads a process group of its own, so it lives on when the terminal is gone.
fn signals(more: &[Signal]) -> Result<SignalFd, Failure> {
    // A process inherits an ignored SIGCHLD through exec(2), and then the kernel discards the usage of its children.
    // SAFETY: the default action installs no handler.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl)? };
    let always = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD];
    Ok(driver::signal_fd(always.into_iter().chain(more.iter().copied()))?)
}
