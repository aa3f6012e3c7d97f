//! The supervisor's loop: one thread for life, over signals and the admin endpoint.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use driver::poll_timeout;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork, getpid};

use crate::admin::Admin;
use crate::children::{self, Waited};
use crate::process::{self, UNSUPPORTED, describe};
use crate::restart::Backoff;
use crate::status::{Phase, Shared};
use crate::store::Store;
use crate::units::humane;
use crate::{listener, say};

/// Who cannot be killed within that time hangs in the kernel, and is left behind.
const CLEARING: Duration = Duration::from_secs(5);
/// A terminal's Ctrl-C and whoever passes it on are one wish.
const SAME_WISH: Duration = Duration::from_millis(250);

/// The supervisor.
pub(crate) struct Watch {
    name: &'static str,
    /// None once it is closed, for a model that this machine does not permit.
    listener: Option<TcpListener>,
    admin: Option<Admin>,
    signals: Option<SignalFd>,
    status: Shared,
    state: State,
    stop: Option<Stop>,
    backoff: Backoff,
    /// Removed with us if it is temporary; but not by a forked child, which ends by `_exit`.
    _store: Store,
}

enum State {
    /// The model's process lives.
    Serving {
        model: Pid,
        since: Instant,
    },
    /// It is gone, and what it left is being killed and reaped.
    Clearing {
        then: Then,
        until: Instant,
    },
    /// A new one is due.
    Waiting {
        until: Instant,
    },
    /// There will be none.
    Idle,
    Over(ExitCode),
}

#[derive(Clone, Copy)]
enum Then {
    Restart(Duration),
    Idle,
    End(ExitCode),
}

/// It was told to stop.
struct Stop {
    since: Instant,
    /// When the grace is over.
    deadline: Instant,
}

impl Watch {
    pub fn new(listener: TcpListener, admin: Admin, signals: SignalFd, status: Shared, store: Store) -> Watch {
        let name = status.get().service.model.name;
        Watch {
            name,
            listener: Some(listener),
            admin: Some(admin),
            signals: Some(signals),
            status,
            state: State::Idle,
            stop: None,
            backoff: Backoff::default(),
            _store: store,
        }
    }

    /// Starts the model and watches over it until the end; gives the exit code.
    ///
    /// # Errors
    /// The first fork's, and those that poll(2), signalfd(2) and wait4(2) have for a caller in error.
    pub fn run(mut self) -> io::Result<ExitCode> {
        self.fork(Instant::now())?;
        let (listen, admin) = {
            let service = &self.status.get().service;
            (service.listen, service.admin)
        };
        say(self.name, format_args!("listening on http://{listen}, admin on http://{admin}"));
        loop {
            self.advance(Instant::now())?;
            if let State::Over(code) = self.state {
                return Ok(code);
            }
            self.wait()?;
        }
    }

    /// Waits for what comes first, and sees to signals and the admin endpoint.
    fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let (Some(signals), Some(admin)) = (&self.signals, &mut self.admin) else { return Ok(()) };
        let own = match (&self.state, &self.stop) {
            (State::Serving { .. }, Some(stop)) => Some(stop.deadline),
            // SIGCHLD wakes us; but who forks while we kill may be missing from the list of children.
            (State::Clearing { .. }, _) => Some(now + Duration::from_millis(5)),
            (State::Waiting { until }, _) => Some(*until),
            _ => None,
        };
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let next = own.into_iter().chain(admin.watch(now, &mut fds)).min();
        match poll(&mut fds, poll_timeout(next.map(|at| at.saturating_duration_since(now)))) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let now = Instant::now();
        if ready[0] {
            self.take_signals(now)?;
        }
        if let Some(admin) = &mut self.admin {
            admin.serve(&ready[1..], now);
        }
        Ok(())
    }

    fn take_signals(&mut self, now: Instant) -> io::Result<()> {
        while let Some(signal) = self.signals.as_ref().map(SignalFd::read_signal).transpose()?.flatten() {
            if signal.ssi_signo == Signal::SIGCHLD as u32 {
                self.reap(now)?;
            } else {
                self.stop(now);
            }
        }
        Ok(())
    }

    /// Does what is due.
    fn advance(&mut self, now: Instant) -> io::Result<()> {
        match self.state {
            State::Serving { .. } if self.stop.as_ref().is_some_and(|stop| now >= stop.deadline) => {
                self.cut(now, "the grace is over");
                self.advance(now)
            }
            State::Clearing { then, until } => {
                children::kill_all()?;
                if self.reap(now)? && now < until {
                    return Ok(());
                }
                let mut status = self.status.get();
                status.service.board.reset_gauges(); // only now is nobody left who counts
                match then {
                    Then::Restart(delay) => self.state = State::Waiting { until: now + delay },
                    Then::End(code) => self.state = State::Over(code),
                    Then::Idle => {
                        let why = status.service.board.note();
                        say(self.name, format_args!("not supported on this machine: {why}"));
                        status.phase = Phase::Unsupported(why);
                        self.listener = None; // so that clients are refused and do not hang
                        self.state = State::Idle;
                    }
                }
                Ok(())
            }
            State::Waiting { until } if now >= until => {
                if let Err(error) = self.fork(now) {
                    let delay = self.backoff.after(Duration::ZERO).max(Duration::from_millis(100));
                    let delay_text = humane(delay);
                    say(
                        self.name,
                        format_args!("cannot fork the model's process: {error}; trying again in {delay_text}"),
                    );
                    self.state = State::Waiting { until: now + delay };
                } else {
                    self.status.get().restarts += 1;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts the model's process.
    fn fork(&mut self, now: Instant) -> io::Result<()> {
        let supervisor = getpid();
        // SAFETY: this process has one thread, so the child may do whatever we may.
        match unsafe { fork() }? {
            ForkResult::Child => {
                (self.admin, self.signals) = (None, None);
                let status = self.status.get();
                let service = &status.service;
                let Some(listener) = self.listener.take() else { std::process::abort() };
                process::run(service.model, listener, service.settings.clone(), service.board, supervisor)
            }
            ForkResult::Parent { child } => {
                let mut status = self.status.get();
                status.accounts.begin(child);
                status.phase = Phase::Serving(child);
                self.state = State::Serving { model: child, since: now };
                Ok(())
            }
        }
    }

    /// Takes in the children that have ended; are there others?
    fn reap(&mut self, now: Instant) -> io::Result<bool> {
        loop {
            match children::wait()? {
                Waited::NoneYet => return Ok(true),
                Waited::NoneLeft => return Ok(false),
                Waited::Gone(gone) => {
                    self.status.get().accounts.reaped(gone.pid, &gone.usage);
                    if let State::Serving { model, since } = self.state
                        && model == gone.pid
                    {
                        self.model_ended(gone.how, now - since, now);
                    }
                }
            }
        }
    }

    /// The model's process is gone, of itself.
    fn model_ended(&mut self, how: WaitStatus, life: Duration, now: Instant) {
        let then = match (how, &self.stop) {
            (WaitStatus::Exited(_, UNSUPPORTED), None) => Then::Idle,
            (WaitStatus::Exited(_, 0 | UNSUPPORTED), Some(_)) => Then::End(ExitCode::SUCCESS),
            (how, Some(_)) => {
                let open = self.status.get().open_connections();
                say(self.name, format_args!("the model's process {} while stopping: {open} cut", describe(how)));
                Then::End(ExitCode::FAILURE)
            }
            (how, None) => {
                let delay = self.backoff.after(life);
                let when = if delay.is_zero() { "now".to_owned() } else { format!("in {}", humane(delay)) };
                say(self.name, format_args!("the model's process {}; it is restarted {when}", describe(how)));
                Then::Restart(delay)
            }
        };
        self.clear(then, now);
    }

    fn clear(&mut self, then: Then, now: Instant) {
        self.state = State::Clearing { then, until: now + CLEARING };
        self.status.get().phase = if self.stop.is_some() { Phase::Stopping(None) } else { Phase::Restarting };
    }

    /// SIGTERM or SIGINT came.
    fn stop(&mut self, now: Instant) {
        if let Some(stop) = &self.stop {
            if now - stop.since >= SAME_WISH && matches!(self.state, State::Serving { .. }) {
                self.cut(now, "told to stop again");
            }
            return;
        }
        let grace = self.status.get().service.grace;
        self.stop = Some(Stop { since: now, deadline: now + grace });
        match self.state {
            State::Serving { model, .. } => {
                if let Some(Err(error)) = self.listener.as_ref().map(listener::drop_attempts) {
                    say(self.name, format_args!("cannot hold off new connections while stopping: {error}"));
                }
                self.status.get().phase = Phase::Stopping(Some(model));
                let open = self.status.get().open_connections();
                say(self.name, format_args!("stopping, with {open} open and {} to finish", humane(grace)));
                let _ = kill(model, Signal::SIGTERM); // it may have ended, and then SIGCHLD is on its way
            }
            State::Clearing { .. } | State::Waiting { .. } => {
                say(self.name, format_args!("stopped while the model was down: who waits in the queue is cut"));
                self.clear(Then::End(ExitCode::FAILURE), now);
            }
            State::Idle => self.state = State::Over(ExitCode::SUCCESS),
            State::Over(_) => {}
        }
    }

    /// Kills the model's process and all that belongs to it.
    fn cut(&mut self, now: Instant, why: &str) {
        let open = self.status.get().open_connections();
        say(self.name, format_args!("{why}: {open} cut"));
        self.clear(Then::End(ExitCode::FAILURE), now);
    }
}
