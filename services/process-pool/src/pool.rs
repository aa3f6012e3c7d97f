//! The parent: how many workers there are to be.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use app::App;
use driver::{Calls, INTERRUPT, REST, fork, prepare_for_sigterm, signals, terminate, timeout, wait4_any};
use libc::pid_t;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use scoreboard::Syscall;

use crate::worker::{BUSY, Desk, IDLE, NONE, RETIRED, work};

/// Half of those too many are ended after that time, and then half of the rest.
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
    /// Each worker's place in `states`.
    places: HashMap<pid_t, usize>,
    /// What each worker does, as it says itself.
    states: &'static [AtomicUsize],
    idle: &'static AtomicUsize,
    /// A worker tells here that too few are idle, or too many.
    told: EventFd,
    signals: SignalFd,
    stopping: bool,
    /// Since when too many are idle.
    surplus_since: Option<Instant>,
    resting_until: Option<Instant>,
}

impl<'a> Pool<'a> {
    /// No worker yet, and never more than `most`.
    pub fn new(listener: &'a TcpListener, most: usize, spare: Spare, calls: Calls) -> io::Result<Pool<'a>> {
        listener.set_nonblocking(false)?;
        let signals = signals([Signal::SIGTERM, Signal::SIGCHLD])?;
        prepare_for_sigterm()?;
        let shared = scoreboard::map_numbers(most + 1)?;
        Ok(Pool {
            listener,
            most,
            spare,
            calls,
            places: HashMap::new(),
            idle: &shared[0],
            states: &shared[1..],
            told: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            signals,
            stopping: false,
            surplus_since: None,
            resting_until: None,
        })
    }

    /// Has it stopped, and is everybody gone?
    pub fn is_finished(&self) -> bool {
        self.stopping && self.places.is_empty()
    }

    /// Waits until a worker ends, too few are idle, one too many was for long enough, or SIGTERM comes.
    pub fn wait(&mut self) -> io::Result<()> {
        let look_again = self.stopping.then(|| Instant::now() + REST);
        let shrink = self.surplus_since.map(|since| since + SHRINK_EVERY);
        let next = [look_again, shrink, self.resting_until].into_iter().flatten().min();
        let pause = next.map(|at| at.saturating_duration_since(Instant::now()));
        let fds = [self.signals.as_fd(), self.told.as_fd()];
        self.calls.0.syscall(Syscall::Poll);
        match poll(&mut fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), timeout(pause)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let _ = self.told.read(); // it need not be readable any more
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.stop()?;
            }
        }
        Ok(())
    }

    /// Takes in those who have ended, with what they cost.
    pub fn reap(&mut self) -> io::Result<()> {
        while let Some((pid, usage)) = wait4_any()? {
            self.calls.0.reaped(&usage);
            let Some(place) = self.places.remove(&pid) else { continue };
            match self.states[place].swap(NONE, SeqCst) {
                BUSY => self.calls.0.closed(), // it cannot say so itself any more
                IDLE => drop(self.idle.fetch_sub(1, SeqCst)),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many workers are to be forked.
    pub fn missing(&self) -> usize {
        let rests = self.resting_until.is_some_and(|until| Instant::now() < until);
        // While stopping, those that finish take the next one out of the queue, and more workers only help while there
        // is one.
        if rests || (self.stopping && !self.somebody_waits()) {
            return 0;
        }
        self.spare.min.saturating_sub(self.idle.load(SeqCst))
    }

    fn somebody_waits(&self) -> bool {
        let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Forks so many workers, as far as there is room for them.
    ///
    /// Out of processes (EAGAIN, ENOMEM), it rests.
    pub fn grow(&mut self, workers: usize, app: App) -> io::Result<()> {
        if workers > 0 {
            self.resting_until = None;
        }
        for _ in 0..workers {
            let free = self.states.iter().position(|state| state.load(SeqCst) == NONE);
            let Some(place) = free.filter(|_| self.places.len() < self.most) else {
                self.calls.0.accept_paused(); // who comes now waits in the kernel's queue
                return Ok(());
            };
            self.calls.0.syscall(Syscall::Fork);
            // It is counted before it can count itself.
            self.states[place].store(IDLE, SeqCst);
            self.idle.fetch_add(1, SeqCst);
            match fork(|| work(&self.desk(place), app.worker())) {
                Ok(child) => {
                    if self.stopping {
                        terminate(child);
                    }
                    self.places.insert(child, place);
                }
                Err(errno) => {
                    self.states[place].store(NONE, SeqCst);
                    self.idle.fetch_sub(1, SeqCst);
                    self.calls.0.accept_paused();
                    self.resting_until = Some(Instant::now() + REST);
                    return if matches!(errno, Errno::EAGAIN | Errno::ENOMEM) { Ok(()) } else { Err(errno.into()) };
                }
            }
        }
        Ok(())
    }

    /// Ends half of those idle workers that are too many, if they were for long enough. One that has become busy
    /// meanwhile finishes.
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
        let retire = |place: usize| self.states[place].compare_exchange(IDLE, RETIRED, SeqCst, SeqCst).is_ok();
        let retired = self.places.iter().filter(|&(_, &place)| retire(place)).map(|(&pid, _)| pid);
        for pid in retired.take(surplus.div_ceil(2)) {
            self.idle.fetch_sub(1, SeqCst);
            // Should it miss that, being just about to wait, then accept(2) ends at its time-out.
            let _ = kill(Pid::from_raw(pid), INTERRUPT);
        }
    }

    /// SIGTERM has come: the workers take the queue dry, finish what is under way, and end.
    fn stop(&mut self) -> io::Result<()> {
        self.stopping = true;
        // Before they are told: so none that is just about to wait in accept(2) waits there any more.
        self.listener.set_nonblocking(true)?;
        self.places.keys().for_each(|&pid| terminate(pid));
        Ok(())
    }

    fn desk(&self, place: usize) -> Desk<'_> {
        Desk {
            listener: self.listener,
            state: &self.states[place],
            idle: self.idle,
            spare: self.spare,
            tell: &self.told,
        }
    }
}
