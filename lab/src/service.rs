//! The running service of a model or of a guest: a child process.

use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use loadtest::front::say;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use supervisor::is_routine;

use crate::addresses::{Limited, addresses};
use crate::first_answer::{self, NoAnswer};
use crate::guest_log::GuestLog;
use crate::launch::{Placement, Server, command};
use crate::limit::Limit;
use crate::relay::{Relay, with_name};

/// How long a service may take to stop. It is longer than the default of its `--grace`, after which it kills its model,
/// and the time that it then waits for killed processes.
const STOP_TIME: Duration = Duration::from_secs(20);
/// What a service exits with after it has cut connections off.
const CUT_OFF: i32 = 1;
/// How long to wait for the last lines of a service that has ended by itself.
const LAST_LINES_TIME: Duration = Duration::from_secs(1);
/// How long the service of a guest may take to say its addresses, and the guest to give its first answer then.
const START_TIME: Duration = Duration::from_secs(10);
/// How long a service that has not said its addresses may take to stop.
const END_TIME: Duration = Duration::from_secs(2);
/// How soon a process that has to end is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Lines of a service that the report about its end has.
const MOST_LINES: usize = 3;

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

/// What the supervisor of a guest has said before the guest has answered.
struct Said {
    /// What its lines begin with: the guest's own do not.
    prefix: String,
    /// From then on, its lines are not kept. In a trial they are not shown before.
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
        let named = |line: &str| with_name(name, line).into_owned();
        let mut service = Service::try_start(server, placement).map_err(|error| named(&error.to_string()))?;
        if let Server::Guest(_) = server {
            service.wait_for_answer(placement.stop).map_err(|why| {
                service.is_reported = true;
                named(&why)
            })?;
            service.said.is_ready.store(true, Relaxed);
        }
        Ok(service)
    }

    fn try_start(server: Server<'_>, placement: &Placement<'_>) -> io::Result<Service> {
        let name = server.name();
        let is_guest_in_trial = matches!(server, Server::Guest(_)) && placement.is_for_a_trial;
        let log = is_guest_in_trial.then(|| GuestLog::new(name)).transpose()?;
        let sets_grace = placement.set.is_some_and(|set| set.contains_key("grace"));
        let grace = placement.grace.filter(|_| !sets_grace);
        let mut command = command(server, placement, grace);
        if let Some(log) = &log {
            command.args(["--once", "--log", &log.path()]);
        }
        let mut child = command.spawn()?;
        let (may_cut_off, said) = (grace.is_some(), Arc::new(Said::new(name)));
        match listen_to(&mut child, server, placement, may_cut_off, &said) {
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

    /// Waits until the guest answers, and otherwise says why it does not, and where its log is.
    fn wait_for_answer(&mut self, stop: &'static AtomicBool) -> Result<(), String> {
        let address = self.listen;
        let child = &mut self.child;
        let limit = Limit::new(START_TIME, stop);
        let Err(why) = first_answer::wait(address, &limit, || !matches!(child.try_wait(), Ok(None))) else {
            return Ok(());
        };
        let in_time = in_time();
        let why = match why {
            NoAnswer::Interrupted => return Err("interrupted".into()), // that is no failure of the guest
            NoAnswer::Ended => self.how_it_ended(),
            NoAnswer::Failed(error) => format!("it does not answer GET / at {address} {in_time}: {error}"),
            // Outside of a trial, it may have ended meanwhile, and is started again.
            NoAnswer::NotListening if self.log.is_none() => {
                let how = self.said.last().map_or_else(String::new, |how| format!(": {how}"));
                format!("it does not listen on {address} {in_time}{how}")
            }
            NoAnswer::NotListening => {
                format!("it does not listen on {address} {in_time}: does its command say {{port}} in the right place?")
            }
        };
        Err(self.with_log(why))
    }

    /// How the service has ended, in the words of its supervisor, if there are any.
    fn how_it_ended(&self) -> String {
        self.relay.wait_for_end(LAST_LINES_TIME);
        self.said.all().unwrap_or_else(|| "it ended before it answered".into())
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
        match self.log {
            None => format!("{} has ended ({status})", self.name),
            Some(_) => format!("{} has ended", self.name), // its supervisor has said how; the status is the supervisor's
        }
    }
}

impl Said {
    fn new(name: &str) -> Said {
        Said { prefix: format!("{name}: "), is_ready: AtomicBool::new(false), lines: Mutex::default() }
    }

    /// Keeps the line until the guest has answered. Returns whether it has.
    fn keep(&self, line: &str) -> bool {
        let is_ready = self.is_ready.load(Relaxed);
        if let (false, Some(line)) = (is_ready, line.strip_prefix(&self.prefix)) {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.truncate(MOST_LINES - 1);
            lines.push(line.into());
        }
        is_ready
    }

    /// The first lines and the last one; `None` if there is none.
    fn all(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    fn last(&self) -> Option<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
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

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Reads the addresses of a new service, and starts to pass on what it says from then on.
fn listen_to(
    child: &mut Child,
    server: Server<'_>,
    placement: &Placement<'_>,
    may_cut_off: bool,
    said: &Arc<Said>,
) -> io::Result<(SocketAddr, SocketAddr, Relay)> {
    let name = server.name();
    let is_guest = matches!(server, Server::Guest(_));
    let is_guest_in_trial = is_guest && placement.is_for_a_trial;
    let pipe = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let limit = is_guest.then(|| Limit::new(START_TIME, placement.stop));
    let mut lines = BufReader::new(Limited { pipe, limit });
    let (listen, admin, before) = addresses(&mut lines, name).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => io::Error::other(format!("it did not start {}", in_time())),
        _ => error,
    })?;
    let is_new = |line: &&String| !is_guest_in_trial || is_said_first(name, line);
    before.iter().filter(is_new).for_each(|line| say(&with_name(name, line)));
    lines.get_mut().limit = None;
    let (shows_routine, said) = (placement.shows_routine, Arc::clone(said));
    let is_shown = move |line: &str| {
        let is_ready = said.keep(line);
        (shows_routine || !is_routine(line, may_cut_off)) && (!is_guest_in_trial || is_ready)
    };
    Ok((listen, admin, Relay::start(name.to_owned(), lines, is_shown)?))
}

/// Whether a guest says this for the first time. It starts for each trial, and what it says of this machine is always the same.
fn is_said_first(name: &str, line: &str) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.insert(with_name(name, line).into_owned())
}

/// The time for a start, in words.
fn in_time() -> String {
    format!("within {} s", START_TIME.as_secs())
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
        thread::sleep(LOOK_AGAIN);
    }
}
