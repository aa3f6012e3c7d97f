//! Runs the service of a model or of a guest as a child process, which executes this program again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use guest::Guest;
use loadtest::front::say;
use loadtest::target::Url;
use loadtest::{probe, unless_stopped};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use results::content::NOTHING;
use supervisor::{Model, is_routine};

use crate::addresses::{Limit, Limited, addresses};
use crate::division::Division;
use crate::guest_log::GuestLog;
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
/// How long a service may take to say its addresses, and a guest to give its first answer then.
const START_TIME: Duration = Duration::from_secs(10);
const IN_TIME: &str = "within 10 s";
/// How long a service that has not said its addresses may take to stop.
const END_TIME: Duration = Duration::from_secs(2);
/// How soon a guest that does not answer yet is asked again, and a process that has to end is looked at again.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// Lines of a service that the report about its end has.
const MOST_LINES: usize = 3;

/// What a service runs.
#[derive(Clone, Copy)]
pub enum Server<'a> {
    Model(&'a Model),
    Guest(&'a Guest),
}

impl<'a> Server<'a> {
    /// The name of the target.
    pub fn name(self) -> &'a str {
        match self {
            Server::Model(model) => model.name,
            Server::Guest(guest) => &guest.name,
        }
    }

    /// What the command line of the service begins with, after [`RUN_SERVICE`].
    fn arguments(self) -> Vec<OsString> {
        match self {
            Server::Model(model) => vec![model.name.into()],
            Server::Guest(guest) => [vec![GUEST.into()], guest.arguments()].concat(),
        }
    }
}

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
    /// A guest ends with its process and writes to a log, which is kept if it fails. Otherwise it is started again as a model is,
    /// and writes to standard error.
    pub is_for_a_trial: bool,
    /// The start ends early when this is set.
    pub stop: &'static AtomicBool,
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
    name: String,
    may_cut_off: bool,
    /// That it has ended was reported.
    is_reported: bool,
    /// The log of a guest in a trial.
    log: Option<GuestLog>,
    said: Arc<Said>,
    /// The address of the service.
    pub listen: SocketAddr,
    /// The address of its admin endpoint.
    pub admin: SocketAddr,
}

/// What the supervisor of a guest has said in a trial.
#[derive(Default)]
struct Said {
    /// The lines are kept for a report, and not shown, until the guest has answered.
    is_ready: AtomicBool,
    lines: Mutex<Vec<String>>,
}

impl Service {
    /// Starts a server, and waits for the first answer of a guest. What the service says from then on is passed on to standard
    /// error.
    ///
    /// # Errors
    /// The line in which the service says why it cannot start; or a line that says how the guest has ended, or that it does not
    /// answer.
    pub fn start(server: Server<'_>, placement: &Placement<'_>) -> Result<Service, String> {
        let name = server.name();
        let named = |line: String| if line.starts_with(name) { line } else { format!("{name}: {line}") };
        let mut service = Service::try_start(server, placement).map_err(|error| named(error.to_string()))?;
        if let Server::Guest(_) = server {
            service.wait_for_answer(placement.stop).map_err(|why| named(service.with_log(why)))?;
            service.said.is_ready.store(true, Relaxed);
        }
        Ok(service)
    }

    fn try_start(server: Server<'_>, placement: &Placement<'_>) -> io::Result<Service> {
        let name = server.name();
        let is_guest_in_trial = placement.is_for_a_trial && matches!(server, Server::Guest(_));
        let log = is_guest_in_trial.then(|| GuestLog::new(name)).transpose()?;
        let sets_grace = placement.set.is_some_and(|set| set.contains_key("grace"));
        let grace = placement.grace.filter(|_| !sets_grace);
        let mut command = command(server, placement, grace);
        if let Some(log) = &log {
            command.args(["--once", "--log", &log.path()]);
        }
        let mut child = command.spawn()?;
        let may_cut_off = grace.is_some();
        let said = Arc::new(Said::default());
        let started = (|| {
            let pipe = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
            let limit = Some(Limit::new(START_TIME, placement.stop));
            let mut lines = BufReader::new(Limited { pipe, limit });
            let (listen, admin, before) = addresses(&mut lines, name).map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => io::Error::other(format!("it did not start {IN_TIME}")),
                _ => error,
            })?;
            before.iter().for_each(|line| say(&with_name(name, line)));
            lines.get_mut().limit = None;
            let (shows_routine, said) = (placement.shows_routine, Arc::clone(&said));
            let is_shown = move |line: &str| {
                let is_fault = shows_routine || !is_routine(line, may_cut_off);
                is_fault && (!is_guest_in_trial || said.is_shown(line))
            };
            let relay = Relay::start(name.to_owned(), lines, is_shown)?;
            Ok((listen, admin, relay))
        })();
        match started {
            Ok((listen, admin, relay)) => {
                let name = name.to_owned();
                Ok(Service { child, relay, name, may_cut_off, is_reported: false, log, said, listen, admin })
            }
            Err(why) => {
                end(&mut child);
                Err(why)
            }
        }
    }

    /// Waits until the guest answers GET / with any status.
    fn wait_for_answer(&mut self, stop: &'static AtomicBool) -> Result<(), String> {
        let limit = Limit::new(START_TIME, stop);
        let url: Url = format!("http://{}", self.listen).parse()?;
        let mut last = None;
        loop {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Err(self.how_it_ended());
            }
            let left = match limit.left() {
                Ok(left) => left,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(self.no_answer(last)),
                Err(error) => return Err(error.to_string()),
            };
            let url = url.clone();
            let asked = unless_stopped(stop, Duration::ZERO, move || probe::check(&url, "/", &NOTHING, left));
            match asked {
                Ok(Some(Ok(_))) => return Ok(()),
                Ok(Some(Err(error))) | Err(error) => last = Some(error),
                Ok(None) => {} // the limit says that the lab shall end
            }
            thread::sleep(ASK_AGAIN);
        }
    }

    fn no_answer(&self, last: Option<io::Error>) -> String {
        let address = self.listen;
        match last {
            Some(error) if error.kind() != io::ErrorKind::ConnectionRefused => {
                format!("it does not answer GET / at {address} {IN_TIME}: {error}")
            }
            _ => {
                format!("it does not listen on {address} {IN_TIME}: does its command say {{port}} in the right place?")
            }
        }
    }

    /// How the service has ended, in the words of its supervisor, if there are any.
    fn how_it_ended(&mut self) -> String {
        self.is_reported = true;
        self.relay.wait_for_end(LAST_LINES_TIME);
        let lines = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<&str> =
            lines.iter().map(|line| line.strip_prefix(&format!("{}: ", self.name)).unwrap_or(line)).collect();
        if said.is_empty() { "it ended before it answered".into() } else { said.join("; ") }
    }

    /// What is wrong with a service, and where its log is. If it has ended, that is what is wrong.
    pub fn failure(&mut self, what: String) -> String {
        self.exit_message().unwrap_or_else(|| self.with_log(what))
    }

    /// What has happened to a guest, and where its log is. Shows the end of the log when it is kept for the first time.
    fn with_log(&mut self, what: String) -> String {
        let kept = self.log.as_mut().map(GuestLog::keep).transpose();
        match kept.map(Option::flatten) {
            Ok(Some(kept)) => {
                kept.last_lines.iter().for_each(|line| say(&with_name(&self.name, line)));
                format!("{what}; its log is {}", kept.path.display())
            }
            Ok(None) => what,
            Err(error) => format!("{what}; its log cannot be kept: {error}"),
        }
    }

    /// A line that says how the service has ended, if it has ended by itself.
    pub fn exit_message(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        self.relay.wait_for_end(LAST_LINES_TIME); // what it has said comes before this line
        self.is_reported = true;
        let what = self.describe_exit(status);
        Some(self.with_log(what))
    }

    /// Sends SIGTERM to the service, and does not wait.
    pub fn terminate(&self) {
        let _ = kill(pid(&self.child), Signal::SIGTERM);
    }

    fn describe_exit(&self, status: ExitStatus) -> String {
        format!("{} has ended ({status})", self.name)
    }
}

impl Said {
    /// Keeps the line until the guest has answered. From then on, it is shown.
    fn is_shown(&self, line: &str) -> bool {
        let is_ready = self.is_ready.load(Relaxed);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_ready && lines.len() < MOST_LINES {
            lines.push(line.into());
        }
        is_ready
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
        // The wait is short: the supervisor of the service cuts connections off after its `--grace`.
        if !self.relay.wait_for_end(STOP_TIME) {
            say(&format!("lab: {} did not stop within {} s, and is killed", self.name, STOP_TIME.as_secs()));
            // The lab has not waited for the process yet, so no other process group can have its number.
            let _ = killpg(pid(&self.child), Signal::SIGKILL);
        }
        if let Ok(status) = self.child.wait()
            && !status.success()
            && !self.is_reported
            && !(self.may_cut_off && status.code() == Some(CUT_OFF))
        {
            say(&format!("lab: {}", self.describe_exit(status)));
        }
    }
}

/// The line with the name of its service before it.
fn with_name(name: &str, line: &str) -> String {
    match line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")) {
        true => line.to_owned(),
        false => format!("{name}: {line}"),
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Ends a service that has not said its addresses.
fn end(child: &mut Child) {
    let _ = kill(pid(child), Signal::SIGTERM);
    let until = Instant::now() + END_TIME;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > until {
            // The lab has not waited for the process yet, so no other process group can have its number.
            let _ = killpg(pid(child), Signal::SIGKILL);
            let _ = child.wait();
            return;
        }
        thread::sleep(ASK_AGAIN);
    }
}

/// The command line of a service: this program once more.
fn command(server: Server<'_>, placement: &Placement<'_>, grace: Option<Duration>) -> Command {
    // This file is the running program, even if another one has its path by now, or none.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_else(|| "lab".into()));
    command.arg(RUN_SERVICE).args(server.arguments());
    if let Some(Division { servers, load, .. }) = placement.cpus {
        command.args(["--cpus", &servers.to_string(), "--supervisor-cpus", &load.to_string()]);
    }
    let (listen, admin) = placement.ports;
    command.args(["--listen", &format!("127.0.0.1:{listen}"), "--admin", &format!("127.0.0.1:{admin}")]);
    if let Some(files) = placement.files {
        command.arg("--files").arg(files);
    }
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
    command
}
