//! What the loop passes to poll(2), and what poll(2) returns.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use driver::{Calls, Event, Interest, Key, Poller, Readiness, Trigger, poll_timeout};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use scoreboard::Syscall;

/// The list of descriptors that the kernel is handed at each wait. It remembers nothing.
pub struct Poll {
    fds: Vec<PollFd<'static>>,
    /// What the events of each of `fds` are about.
    keys: Vec<Key>,
    /// Where in `fds` each descriptor stands.
    positions: Vec<Option<usize>>,
    calls: Calls,
}

impl Poll {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// None.
    pub fn new(calls: Calls) -> io::Result<Poll> {
        Ok(Poll { fds: Vec::new(), keys: Vec::new(), positions: Vec::new(), calls })
    }
}

impl Poller for Poll {
    const TRIGGER: Trigger = Trigger::Level;

    fn watch(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        let fd_number = fd.as_raw_fd() as usize;
        if self.positions.len() <= fd_number {
            self.positions.resize(fd_number + 1, None);
        }
        self.positions[fd_number] = Some(self.fds.len());
        // SAFETY: the entry leaves the list when the descriptor is closed, before the next wait.
        let fd = unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) };
        self.fds.push(PollFd::new(fd, flags(interest)));
        self.keys.push(key);
        Ok(())
    }

    fn change(&mut self, fd: BorrowedFd<'_>, _key: Key, interest: Interest) -> io::Result<()> {
        if let Some(position) = self.positions[fd.as_raw_fd() as usize] {
            self.fds[position].set_events(flags(interest));
        }
        Ok(())
    }

    /// Out of the list: poll() would report a hang-up of an entry that asks for nothing, again and again.
    fn forget(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if let Some(position) = self.positions[fd.as_raw_fd() as usize].take() {
            self.fds.swap_remove(position);
            self.keys.swap_remove(position);
            if let Some(moved) = self.fds.get(position) {
                self.positions[moved.as_fd().as_raw_fd() as usize] = Some(position);
            }
        }
        Ok(())
    }

    /// Its number is used again, so it must not stay in the list.
    fn forget_closing(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.forget(fd)
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Event>) -> io::Result<()> {
        self.calls.0.syscall(Syscall::Poll);
        let mut entries_left = match poll(&mut self.fds, poll_timeout(timeout)) {
            Ok(n) => n as usize,
            Err(Errno::EINTR) => 0, // a signal: the next wait looks again
            Err(errno) => return Err(errno.into()),
        };
        // The kernel says how many entries are ready, not which: the loop has to look for them.
        for (fd, &key) in self.fds.iter().zip(&self.keys) {
            if entries_left == 0 {
                break;
            }
            let events = fd.revents().unwrap_or(PollFlags::POLLERR);
            if !events.is_empty() {
                ready.push(Event { key, readiness: readiness(events) });
                entries_left -= 1;
            }
        }
        Ok(())
    }
}

fn flags(interest: Interest) -> PollFlags {
    match interest {
        Interest::Break => PollFlags::empty(), // poll() reports it unasked
        Interest::Read => PollFlags::POLLIN,
        Interest::Write => PollFlags::POLLOUT,
    }
}

/// poll() reports an error and a hang-up unasked; neither a read nor a write would block then. It need not report the end of the
/// peer's stream (POLLRDHUP): a socket at its end stays readable, and poll() says so at every wait.
fn readiness(events: PollFlags) -> Readiness {
    let broken = events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
    Readiness {
        readable: broken || events.intersects(PollFlags::POLLIN),
        writable: broken || events.intersects(PollFlags::POLLOUT),
        hung_up: broken,
        broken,
    }
}
