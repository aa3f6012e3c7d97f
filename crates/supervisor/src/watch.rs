//! The supervisor: a loop in a single thread that waits for signals and serves the admin endpoint, and that starts,
//! restarts and stops the process of the model, or of the guest.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use driver::poll_timeout;
use humantime::format_duration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork, getpid};

use crate::admin::Admin;
use crate::children::{self, EndedChild, WaitResult};
use crate::listener::GuestAddress;
use crate::process::{self, SHORTAGE, UNSUPPORTED, describe};
use crate::restart::RestartDelay;
use crate::status::{Phase, Program, SharedStatus};
use crate::temporary::TemporaryDir;
use crate::{GRACE_OVER, NOT_SUPPORTED, STOPPING, listener, log};

/// How long to wait for killed processes, of a model since the last one died: the kernel needs some seconds for ten thousand. One
/// that is not dead by then hangs in the kernel, and is left behind.
const CLEANUP_TIME: Duration = Duration::from_secs(5);
/// A model that lacks something is started again after delays that double. When they are longer than this, it is unsupported:
/// the shortage has not passed by itself within three seconds.
const LONGEST_DELAY_OF_SHORTAGE: Duration = Duration::from_secs(2);
/// Signals within this time count as one request to stop: for one Ctrl-C, a terminal may send SIGINT and a parent
/// process may pass it on.
const SAME_REQUEST: Duration = Duration::from_millis(250);

pub(crate) struct Supervisor {
    name: &'static str,
    /// `None` for a guest, which has its own, and once it is closed because this machine does not permit the model.
    listener: Option<TcpListener>,
    admin: Option<Admin>,
    signals: Option<SignalFd>,
    status: SharedStatus,
    state: State,
    stop: Option<StopRequest>,
    restart_delay: RestartDelay,
    /// A forked child ends by `_exit` or runs another program, and so does not give it back.
    _held: Held,
}

/// What the service gives back when it ends.
#[expect(dead_code, reason = "only the end of these values does anything")]
pub(crate) struct Held {
    /// The folder of a model's store, unless `--store` names a file, or of a guest's configuration.
    pub folder: Option<TemporaryDir>,
    /// The port of a guest, which other supervisors may choose then.
    pub address: Option<GuestAddress>,
}

enum State {
    /// The process of the model, or of the guest, is alive.
    Serving {
        model: Pid,
        since: Instant,
    },
    /// That process has ended or must end; it and the orphans that it left are being killed and reaped.
    CleaningUp {
        next: AfterCleanup,
        until: Instant,
    },
    /// A new process will be started at that time.
    RestartPending {
        at: Instant,
    },
    /// There is no process, and none is planned: before the start, or because this machine does not permit the model.
    NoModel,
    Ended(ExitCode),
}

#[derive(Clone, Copy)]
enum AfterCleanup {
    Restart(Duration),
    MarkUnsupported,
    End(ExitCode),
}

/// A request to stop, by SIGTERM or SIGINT.
struct StopRequest {
    since: Instant,
    /// When connections that are not finished are cut off: after the time of `--grace`.
    deadline: Instant,
}

impl Supervisor {
    pub fn new(
        listener: Option<TcpListener>,
        admin: Admin,
        signals: SignalFd,
        status: SharedStatus,
        held: Held,
    ) -> Supervisor {
        let name = status.get().service.name;
        Supervisor {
            name,
            listener,
            admin: Some(admin),
            signals: Some(signals),
            status,
            state: State::NoModel,
            stop: None,
            restart_delay: RestartDelay::default(),
            _held: held,
        }
    }

    /// Starts the model, or the guest, and supervises it until the service ends; returns the exit code.
    ///
    /// # Errors
    /// An error of the first fork(2), or one of poll(2), signalfd(2) and wait4(2) that only a wrong call causes.
    pub fn run(mut self) -> io::Result<ExitCode> {
        self.fork(Instant::now())?;
        let (listen, admin) = {
            let service = &self.status.get().service;
            (service.listen, service.admin)
        };
        log(self.name, format_args!("listening on http://{listen}, admin on http://{admin}"));
        loop {
            self.advance(Instant::now())?;
            if let State::Ended(code) = self.state {
                return Ok(code);
            }
            self.handle_events()?;
        }
    }

    /// Waits for the next event or deadline, then handles signals and serves the admin endpoint.
    fn handle_events(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let (Some(signals), Some(admin)) = (&self.signals, &mut self.admin) else { return Ok(()) };
        let deadline = match (&self.state, &self.stop) {
            (State::Serving { .. }, Some(stop)) => Some(stop.deadline),
            // SIGCHLD ends the wait. But if a process has forked just before it was killed, its child may have been
            // missing from the list of children, so the list is read again soon.
            (State::CleaningUp { .. }, _) => Some(now + Duration::from_millis(5)),
            (State::RestartPending { at }, _) => Some(*at),
            _ => None,
        };
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let next = deadline.into_iter().chain(admin.watch(now, &mut fds)).min();
        match poll(&mut fds, poll_timeout(next.map(|at| at.saturating_duration_since(now)))) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let now = Instant::now();
        if ready[0] {
            self.read_signals(now)?;
        }
        if let Some(admin) = &mut self.admin {
            admin.serve(&ready[1..], now);
        }
        Ok(())
    }

    fn read_signals(&mut self, now: Instant) -> io::Result<()> {
        while let Some(signal) = self.signals.as_ref().map(SignalFd::read_signal).transpose()?.flatten() {
            if signal.ssi_signo == Signal::SIGCHLD as u32 {
                self.reap(now)?;
            } else {
                self.stop(now);
            }
        }
        Ok(())
    }

    /// Makes the state transition that is due, if any.
    fn advance(&mut self, now: Instant) -> io::Result<()> {
        match self.state {
            State::Serving { .. } if self.stop.as_ref().is_some_and(|stop| now >= stop.deadline) => {
                self.cut_off(now, GRACE_OVER);
                self.advance(now)
            }
            State::CleaningUp { next, until } => {
                children::kill_all()?;
                if self.reap(now)? {
                    if now < until {
                        return Ok(());
                    }
                    log(self.name, format_args!("left behind, for they cannot be killed: {}", children::pids()));
                }
                let mut status = self.status.get();
                status.service.board.reset_gauges(); // only now, because no process is left that could change them
                match next {
                    AfterCleanup::Restart(delay) => self.state = State::RestartPending { at: now + delay },
                    AfterCleanup::End(code) => self.state = State::Ended(code),
                    AfterCleanup::MarkUnsupported => {
                        let why = status.service.board.note();
                        log(self.name, format_args!("{NOT_SUPPORTED}: {why}"));
                        status.phase = Phase::Unsupported(why);
                        self.listener = None; // so that clients are refused and do not wait in vain
                        self.state = State::NoModel;
                    }
                }
                Ok(())
            }
            State::RestartPending { at } if now >= at => {
                if let Err(error) = self.fork(now) {
                    let delay = self.restart_delay.after_crash(Duration::ZERO).max(Duration::from_millis(100));
                    let delay_text = format_duration(delay);
                    log(self.name, format_args!("cannot fork a process: {error}; trying again in {delay_text}"));
                    self.state = State::RestartPending { at: now + delay };
                } else {
                    self.status.get().restarts += 1;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts the process of the model, or of the guest.
    fn fork(&mut self, now: Instant) -> io::Result<()> {
        let supervisor = getpid();
        // SAFETY: this process has one thread, so the child may do everything that its parent may.
        match unsafe { fork() }? {
            ForkResult::Child => {
                (self.admin, self.signals) = (None, None);
                let status = self.status.get();
                let service = &status.service;
                process::run(service, self.listener.take(), supervisor)
            }
            ForkResult::Parent { child } => {
                let mut status = self.status.get();
                status.accounts.model_started(child);
                status.phase = Phase::Serving(child);
                self.state = State::Serving { model: child, since: now };
                Ok(())
            }
        }
    }

    /// Reaps all children that have ended. Returns whether there are still others.
    fn reap(&mut self, now: Instant) -> io::Result<bool> {
        let is_guest = self.is_guest();
        loop {
            match children::try_wait()? {
                WaitResult::AllRunning => return Ok(true),
                WaitResult::NoChildren => return Ok(false),
                WaitResult::Ended(EndedChild { pid, status, usage }) => {
                    self.status.get().accounts.reaped(pid, &usage);
                    // A guest may start processes as fast as they are killed.
                    if let (State::CleaningUp { until, .. }, false) = (&mut self.state, is_guest) {
                        *until = now + CLEANUP_TIME;
                    }
                    if let State::Serving { model, since } = self.state
                        && model == pid
                    {
                        let lifetime = now - since;
                        match is_guest {
                            false => self.model_ended(status, lifetime, now),
                            true => self.guest_ended(status, lifetime, now),
                        }
                    }
                }
            }
        }
    }

    fn is_guest(&self) -> bool {
        matches!(self.status.get().service.program, Program::Guest(_))
    }

    /// Handles that the model's process has ended by itself, after `lifetime`.
    fn model_ended(&mut self, status: WaitStatus, lifetime: Duration, now: Instant) {
        let next = match (status, &self.stop) {
            (WaitStatus::Exited(_, UNSUPPORTED), None) => AfterCleanup::MarkUnsupported,
            (WaitStatus::Exited(_, SHORTAGE), None) => match self.restart_delay.after_crash(lifetime) {
                delay if delay <= LONGEST_DELAY_OF_SHORTAGE => AfterCleanup::Restart(delay), // it may pass by itself
                _ => AfterCleanup::MarkUnsupported,
            },
            (WaitStatus::Exited(_, 0 | UNSUPPORTED | SHORTAGE), Some(_)) => AfterCleanup::End(ExitCode::SUCCESS),
            (_, Some(_)) => {
                let (how, loss) = (describe(status), self.status.get().loss());
                log(self.name, format_args!("the model's process {how} while stopping: {loss}"));
                AfterCleanup::End(ExitCode::FAILURE)
            }
            (_, None) => self.restart("the model's process", &describe(status), lifetime),
        };
        self.clean_up(next, now);
    }

    /// Handles that a guest's process has ended by itself.
    fn guest_ended(&mut self, status: WaitStatus, lifetime: Duration, now: Instant) {
        let process = "the guest's process";
        let (why_not_run, restarts, once) = {
            let status = self.status.get();
            let once = matches!(&status.service.program, Program::Guest(guest) if guest.once);
            (status.service.board.note(), status.restarts, once)
        };
        let next = match self.stop {
            Some(_) => AfterCleanup::End(ExitCode::SUCCESS), // how a guest ends after SIGTERM is its own affair
            // A program that was run before may be in the middle of being replaced.
            None if !why_not_run.is_empty() && restarts == 0 => {
                log(self.name, format_args!("{why_not_run}"));
                AfterCleanup::End(ExitCode::from(2))
            }
            // The supervisor would see a process end that was only the first one, and could not tell when the others do.
            None if matches!(status, WaitStatus::Exited(_, 0)) && children::are_there() => {
                let what_to_do = "tell it to stay in the foreground";
                log(self.name, format_args!("{process} {} and left others behind: {what_to_do}", describe(status)));
                AfterCleanup::End(ExitCode::FAILURE)
            }
            None if once => {
                log(self.name, format_args!("{process} {}", how_guest_ended(status)));
                AfterCleanup::End(ExitCode::FAILURE)
            }
            None => self.restart(process, &how_guest_ended(status), lifetime),
        };
        self.clean_up(next, now);
    }

    /// Says that a process, which has ended by itself, is restarted, and when. `how` it has ended is the predicate of a sentence.
    fn restart(&mut self, process: &str, how: &str, lifetime: Duration) -> AfterCleanup {
        let delay = self.restart_delay.after_crash(lifetime);
        let when = if delay.is_zero() { "now".to_owned() } else { format!("in {}", format_duration(delay)) };
        log(self.name, format_args!("{process} {how}; it is restarted {when}"));
        AfterCleanup::Restart(delay)
    }

    /// Begins to kill and reap what is left of the processes.
    fn clean_up(&mut self, next: AfterCleanup, now: Instant) {
        self.state = State::CleaningUp { next, until: now + CLEANUP_TIME };
        self.status.get().phase = if self.stop.is_some() { Phase::Stopping(None) } else { Phase::Restarting };
    }

    /// Handles SIGTERM and SIGINT.
    fn stop(&mut self, now: Instant) {
        if let Some(stop) = &self.stop {
            if now - stop.since >= SAME_REQUEST && matches!(self.state, State::Serving { .. }) {
                self.cut_off(now, "told to stop again");
            }
            return;
        }
        let grace = self.status.get().service.grace;
        self.stop = Some(StopRequest { since: now, deadline: now + grace });
        match self.state {
            State::Serving { model, .. } => {
                if let Some(Err(error)) = self.listener.as_ref().map(listener::drop_attempts) {
                    log(self.name, format_args!("cannot drop new connection attempts while stopping: {error}"));
                }
                self.status.get().phase = Phase::Stopping(Some(model));
                log(self.name, format_args!("{STOPPING} {}", self.status.get().to_finish()));
                let _ = kill(model, Signal::SIGTERM); // if it fails, the process has ended, and SIGCHLD will come
            }
            State::CleaningUp { .. } | State::RestartPending { .. } => {
                let line = match self.status.get().service.program {
                    Program::Model(_) => "the model was down: the connections in the backlog are cut off",
                    Program::Guest(_) => "the guest was down",
                };
                log(self.name, format_args!("stopped while {line}"));
                self.clean_up(AfterCleanup::End(ExitCode::FAILURE), now);
            }
            State::NoModel => self.state = State::Ended(ExitCode::SUCCESS),
            State::Ended(_) => {}
        }
    }

    /// Kills the process and its descendants, and with them the open connections.
    fn cut_off(&mut self, now: Instant, why: &str) {
        log(self.name, format_args!("{why}: {}", self.status.get().loss()));
        self.clean_up(AfterCleanup::End(ExitCode::FAILURE), now);
    }
}

/// Describes how a guest's process ended, as the predicate of a sentence about it.
fn how_guest_ended(status: WaitStatus) -> String {
    let what_to_do = match status {
        WaitStatus::Exited(_, 0) => ": it has to stay in the foreground and serve",
        _ => "",
    };
    format!("{}{what_to_do}", describe(status))
}
