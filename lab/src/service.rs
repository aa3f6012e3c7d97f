//! Runs the service of a model as a child process, which executes this program again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use loadtest::front::say;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use supervisor::{Model, is_routine};

use crate::division::Division;
use crate::relay::Relay;
use crate::set;

/// The first argument of a process that must run as a service.
const RUN_SERVICE: &str = "be";
/// The second argument of one that must run as the program `guest`.
const GUEST: &str = "guest";
/// How long a service may take to stop. It is longer than the default of its `--grace`, after which it kills its model,
/// and the time that it then waits for killed processes.
const STOP_TIME: Duration = Duration::from_secs(20);
/// What a service exits with after it has cut connections off.
const CUT_OFF: i32 = 1;
/// How long to wait for the last lines of a service that has ended by itself.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);

/// How a service runs.
pub struct Placement<'a> {
    /// The ports of the service and of its admin endpoint on the loopback interface; 0 takes a free one.
    pub ports: (u16, u16),
    /// The directory that it serves; the default one if there is none.
    pub files: Option<&'a Path>,
    /// The CPUs of its model and of its supervisor; `None` means that both may use all.
    pub cpus: Option<&'a Division>,
    /// More flags, with their values.
    pub set: Option<&'a BTreeMap<String, String>>,
    /// The time to finish its connections when it is stopped, after which it may cut them off: that is no failure then.
    /// `None` is the service's own time, within which it should finish them. `set` has precedence.
    pub grace: Option<Duration>,
    /// Whether its routine lines are shown, too: that it stops and what it cuts off, and that this machine does not permit its
    /// model.
    pub shows_routine: bool,
}

/// What this process must run as.
pub enum Requested<A> {
    /// The service of a model, with these arguments.
    Model(Model, A),
    /// The program `guest`, with these arguments.
    Guest(A),
}

/// What this process must run as, if its arguments say so.
pub fn requested(
    models: &[Model],
    args: impl IntoIterator<Item = OsString>,
) -> Option<Requested<impl Iterator<Item = OsString>>> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != RUN_SERVICE {
        return None;
    }
    let name = args.next()?;
    let model = models.iter().find(|model| name == model.name).copied();
    let is_guest = name == GUEST;
    let args = std::iter::once(name).chain(args);
    match model {
        Some(model) => Some(Requested::Model(model, args)),
        None => is_guest.then_some(Requested::Guest(args)),
    }
}

/// A running service. When it is dropped, it is stopped and waited for.
pub struct Service {
    child: Child,
    relay: Relay,
    name: &'static str,
    may_cut_off: bool,
    /// The address of the service.
    pub listen: SocketAddr,
    /// The address of its admin endpoint.
    pub admin: SocketAddr,
}

impl Service {
    /// Starts `model`. What the service says from then on is passed on to standard error.
    ///
    /// # Errors
    /// The line in which the service says why it cannot start.
    pub fn start(model: &Model, placement: &Placement<'_>) -> Result<Service, String> {
        Service::try_start(model, placement).map_err(|error| {
            let line = error.to_string();
            if line.starts_with(model.name) { line } else { format!("{}: {line}", model.name) }
        })
    }

    fn try_start(model: &Model, placement: &Placement<'_>) -> io::Result<Service> {
        // This file is the running program, even if another one has its path by now, or none.
        let mut command = Command::new("/proc/self/exe");
        command.arg0(std::env::args_os().next().unwrap_or_else(|| "lab".into()));
        command.args([RUN_SERVICE, model.name]);
        if let Some(Division { servers, load, .. }) = placement.cpus {
            command.args(["--cpus", &servers.to_string(), "--supervisor-cpus", &load.to_string()]);
        }
        let (listen, admin) = placement.ports;
        command.args(["--listen", &format!("127.0.0.1:{listen}"), "--admin", &format!("127.0.0.1:{admin}")]);
        if let Some(files) = placement.files {
            command.arg("--files").arg(files);
        }
        let sets_grace = placement.set.is_some_and(|set| set.contains_key("grace"));
        let grace = placement.grace.filter(|_| !sets_grace);
        let may_cut_off = grace.is_some();
        if let Some(grace) = grace {
            command.arg("--grace").arg(format!("{}ms", grace.as_millis()));
        }
        command.args(placement.set.into_iter().flat_map(set::arguments));
        // The service has its own process group, so that Ctrl-C reaches only the lab, which then stops the service.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let lab = nix::unistd::getpid();
        let cpus_of_both_sides = placement.cpus.map(Division::all);
        // SAFETY: between fork and exec there are only system calls, and no memory is allocated.
        unsafe {
            command.pre_exec(move || {
                // Until exec(2), the handler of the lab is still installed, and would ignore the signal that is
                // requested in the next line.
                signal(Signal::SIGTERM, SigHandler::SigDfl)?;
                set_pdeathsig(Signal::SIGTERM)?;
                if let Some(cpus) = &cpus_of_both_sides {
                    // The lab itself keeps to the load's. Where this is not permitted, the service says what it lacks.
                    let _ = cpus.apply();
                }
                if nix::unistd::getppid() != lab {
                    return Err(io::ErrorKind::BrokenPipe.into()); // the lab died before the signal was requested
                }
                Ok(())
            });
        }
        let mut child = command.spawn()?;
        let started = (|| {
            let mut lines = BufReader::new(child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
            let (listen, admin) = addresses(&mut lines)?;
            let shows_routine = placement.shows_routine;
            let relay = Relay::start(model.name, lines, move |line| shows_routine || !is_routine(line, may_cut_off))?;
            Ok((listen, admin, relay))
        })();
        match started {
            Ok((listen, admin, relay)) => Ok(Service { child, relay, name: model.name, may_cut_off, listen, admin }),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }

    /// A line that says how the service has ended, if it has ended by itself.
    pub fn exit_message(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        self.relay.wait_for_end(LAST_LINES_TIME); // what it has said comes before this line
        Some(self.describe_exit(status))
    }

    /// Sends SIGTERM to the service, and does not wait.
    pub fn terminate(&self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn describe_exit(&self, status: ExitStatus) -> String {
        format!("{} has ended ({status})", self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
        // The wait is short: the supervisor of the service cuts connections off after its `--grace`.
        if !self.relay.wait_for_end(STOP_TIME) {
            say(&format!("lab: {} did not stop within {} s, and is killed", self.name, STOP_TIME.as_secs()));
            // The lab has not waited for the process yet, so no other process group can have its number.
            let _ = killpg(self.pid(), Signal::SIGKILL);
        }
        if let Ok(status) = self.child.wait()
            && !status.success()
            && !(self.may_cut_off && status.code() == Some(CUT_OFF))
        {
            say(&format!("lab: {}", self.describe_exit(status)));
        }
    }
}

/// Reads the line in which a service says on which addresses it listens, and passes on what it says before.
///
/// # Errors
/// What the service has said, if it has ended without that line.
fn addresses(lines: &mut impl BufRead) -> io::Result<(SocketAddr, SocketAddr)> {
    let mut before = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            let why = if before.is_empty() { "it ended without a message" } else { before.trim_end() };
            return Err(io::Error::other(why));
        }
        let found: Vec<SocketAddr> = line
            .split("http://")
            .skip(1)
            .filter_map(|part| part.split([',', '\n']).next()?.trim().parse().ok())
            .collect();
        if let [listen, admin] = found[..] {
            before.lines().for_each(say);
            return Ok((listen, admin));
        }
        before += &line;
    }
}
