//! The parent: how many workers there are to be.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use app::App;
use driver::{BACK_OFF, Calls, fork, handle_signals, poll_timeout, signal_fd, terminate, wait4};
use libc::pid_t;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use scoreboard::Syscall;

use crate::worker::{BUSY, IDLE, NONE, RETIRE, RETIRED, Slot, work};

/// After that time half of the surplus workers are ended, and then half of the rest.
const SHRINK_EVERY: Duration = Duration::from_secs(1);

/// How many workers are to be idle.
#[derive(Clone, Copy)]
pub struct Spare {
    pub min: usize,
    pub max: usize,
}

/// The workers.
pub struct Pool<'a> {
    listener: &'a TcpListener,
    most: usize,
    spare: Spare,
    calls: Calls,
    /// Each worker's index in `states`.
    slots: HashMap<pid_t, usize>,
    /// What each worker does. The workers write it themselves, in shared memory.
    states: &'static [AtomicUsize],
    idle: &'static AtomicUsize,
    /// A worker writes to it when too few workers are idle, or too many.
    wake: EventFd,
    signals: SignalFd,
    stopping: bool,
    /// Since when too many are idle.
    surplus_since: Option<Instant>,
    backs_off_until: Option<Instant>,
}

impl<'a> Pool<'a> {
    /// No worker yet, and never more than `most`.
    pub fn new(listener: &'a TcpListener, most: usize, spare: Spare, calls: Calls) -> io::Result<Pool<'a>> {
        listener.set_nonblocking(false)?;
        let signals = signal_fd([Signal::SIGTERM, Signal::SIGCHLD])?;
        handle_signals([Signal::SIGTERM, RETIRE])?;
        let shared = scoreboard::map_numbers(most + 1)?;
        Ok(Pool {
            listener,
            most,
            spare,
            calls,
            slots: HashMap::new(),
            idle: &shared[0],
            states: &shared[1..],
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            signals,
            stopping: false,
            surplus_since: None,
            backs_off_until: None,
        })
    }

    /// Has SIGTERM come, and have all workers exited?
    pub fn is_finished(&self) -> bool {
        self.stopping && self.slots.is_empty()
    }

    /// Waits until a worker exits, too few are idle, too many have been idle for long enough, or SIGTERM comes.
    pub fn wait(&mut self) -> io::Result<()> {
        let look_again = self.stopping.then(|| Instant::now() + BACK_OFF);
        let shrink = self.surplus_since.map(|since| since + SHRINK_EVERY);
        let next = [look_again, shrink, self.backs_off_until].into_iter().flatten().min();
        let timeout = next.map(|at| at.saturating_duration_since(Instant::now()));
        let fds = [self.signals.as_fd(), self.wake.as_fd()];
        self.calls.0.syscall(Syscall::Poll);
        match poll(&mut fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), poll_timeout(timeout)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let _ = self.wake.read(); // so that it is not readable any more
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.stop()?;
            }
        }
        Ok(())
    }

    /// Takes in the workers that have exited, with what they used.
    pub fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, usage)) = wait4()? {
            self.calls.0.reaped(&usage);
            let Some(slot) = self.slots.remove(&pid) else { continue };
            match self.states[slot].swap(NONE, SeqCst) {
                BUSY => self.calls.0.closed(), // a crashed worker cannot count that itself
                IDLE => drop(self.idle.fetch_sub(1, SeqCst)),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many workers are to be forked.
    pub fn missing(&self) -> usize {
        let backs_off = self.backs_off_until.is_some_and(|until| Instant::now() < until);
        // While the server stops, workers that finish accept the next connection, and more workers only help while there is
        // one in the backlog.
        if backs_off || (self.stopping && !self.has_backlog()) {
            return 0;
        }
        self.spare.min.saturating_sub(self.idle.load(SeqCst))
    }

    fn has_backlog(&self) -> bool {
        let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Forks so many workers, as far as there is room for them.
    ///
    /// When the machine has no process left (EAGAIN, ENOMEM), the parent backs off.
    pub fn grow(&mut self, workers: usize, app: App) -> io::Result<()> {
        if workers > 0 {
            self.backs_off_until = None;
        }
        for _ in 0..workers {
            let free = self.states.iter().position(|state| state.load(SeqCst) == NONE);
            let Some(slot) = free.filter(|_| self.slots.len() < self.most) else {
                self.calls.0.accept_paused(); // further connections wait in the kernel's backlog
                return Ok(());
            };
            self.calls.0.syscall(Syscall::Fork);
            // The parent counts the worker before the worker counts itself.
            self.states[slot].store(IDLE, SeqCst);
            self.idle.fetch_add(1, SeqCst);
            match fork(|| work(&self.slot(slot), app.worker())) {
                Ok(child) => {
                    if self.stopping {
                        terminate(child);
                    }
                    self.slots.insert(child, slot);
                }
                Err(errno) => {
                    self.states[slot].store(NONE, SeqCst);
                    self.idle.fetch_sub(1, SeqCst);
                    self.calls.0.accept_paused();
                    self.backs_off_until = Some(Instant::now() + BACK_OFF);
                    return if matches!(errno, Errno::EAGAIN | Errno::ENOMEM) { Ok(()) } else { Err(errno.into()) };
                }
            }
        }
        Ok(())
    }

    /// Ends half of the surplus idle workers, if there was a surplus for long enough. A worker that has become busy meanwhile
    /// finishes its connection first.
    pub fn shrink(&mut self) {
        let surplus = self.idle.load(SeqCst).saturating_sub(self.spare.max);
        if self.stopping || surplus == 0 {
            self.surplus_since = None;
            return;
        }
        let now = Instant::now();
        if now < *self.surplus_since.get_or_insert(now) + SHRINK_EVERY {
            return;
        }
        self.surplus_since = Some(now);
        let retire = |slot: usize| self.states[slot].compare_exchange(IDLE, RETIRED, SeqCst, SeqCst).is_ok();
        let retired = self.slots.iter().filter(|&(_, &slot)| retire(slot)).map(|(&pid, _)| pid);
        for pid in retired.take(surplus.div_ceil(2)) {
            self.idle.fetch_sub(1, SeqCst);
            // A worker that is just about to wait misses the signal; its accept(2) then ends at the listener's time-out.
            let _ = kill(Pid::from_raw(pid), RETIRE);
        }
    }

    /// SIGTERM has come: the workers accept the backlog to its end, finish their connections, and exit.
    fn stop(&mut self) -> io::Result<()> {
        self.stopping = true;
        // Before the signal is sent: so a worker that is just about to wait in accept(2) does not wait there any more.
        self.listener.set_nonblocking(true)?;
        self.slots.keys().for_each(|&pid| terminate(pid));
        Ok(())
    }

    fn slot(&self, slot: usize) -> Slot<'_> {
        Slot {
            listener: self.listener,
            state: &self.states[slot],
            idle: self.idle,
            spare: self.spare,
            wake_parent: &self.wake,
        }
    }
}
