//! What the loop tells epoll(7), and what epoll_wait(2) returns.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use driver::{Calls, Event, Interest, Key, Poller, Readiness, Trigger, poll_timeout};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll as Kernel, EpollCreateFlags, EpollEvent, EpollFlags};
use scoreboard::Syscall;

/// The most events that one wait takes.
const EVENTS: usize = 512;

/// An epoll instance. The kernel keeps the interest in each descriptor: most connections are registered once.
pub struct Epoll {
    kernel: Kernel,
    events: Box<[EpollEvent]>,
    calls: Calls,
}

impl Epoll {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new(calls: Calls) -> io::Result<Epoll> {
        let kernel = Kernel::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Epoll { kernel, events: vec![EpollEvent::empty(); EVENTS].into_boxed_slice(), calls })
    }
}

impl Poller for Epoll {
    const TRIGGER: Trigger = Trigger::Edge;

    fn watch(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.calls.0.syscall(Syscall::EpollCtl);
        Ok(self.kernel.add(fd, EpollEvent::new(flags(key, interest), key.to_bits()))?) // EPOLL_CTL_ADD
    }

    fn change(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.calls.0.syscall(Syscall::EpollCtl);
        Ok(self.kernel.modify(fd, &mut EpollEvent::new(flags(key, interest), key.to_bits()))?) // EPOLL_CTL_MOD
    }

    /// The kernel would go on watching it.
    fn forget(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.calls.0.syscall(Syscall::EpollCtl);
        Ok(self.kernel.delete(fd)?) // EPOLL_CTL_DEL
    }

    /// Nothing: the kernel forgets a descriptor that is closed.
    fn forget_closing(&mut self, _fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Event>) -> io::Result<()> {
        let (mut timeout, mut is_first) = (timeout, true);
        loop {
            self.calls.0.syscall(Syscall::EpollWait);
            let n = match self.kernel.wait(&mut self.events, poll_timeout(timeout)) {
                Ok(n) => n,
                Err(Errno::EINTR) => 0, // a signal: the next wait looks again
                Err(errno) => return Err(errno.into()),
            };
            for event in &self.events[..n] {
                let (key, readiness) = (Key::from_bits(event.data()), readiness(event.events()));
                // The loop's own descriptors are level-triggered, and a second wait reports them again.
                if is_first || matches!(key, Key::Connection(_)) {
                    ready.push(Event { key, readiness });
                }
            }
            if n < EVENTS {
                return Ok(());
            }
            (timeout, is_first) = (Some(Duration::ZERO), false); // there may be more
        }
    }
}

/// Connections are edge-triggered, the loop's own descriptors level-triggered. Many threads wait for one listener, and a
/// connection should not wake all of them (EPOLLEXCLUSIVE).
fn flags(key: Key, interest: Interest) -> EpollFlags {
    const READ: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
    match (key, interest) {
        (Key::Connection(_), Interest::Write) => READ | EpollFlags::EPOLLOUT,
        (Key::Connection(_), _) => READ,
        (Key::Listener, _) => EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE,
        (_, _) => EpollFlags::EPOLLIN,
    }
}

/// epoll reports an error and a hang-up unasked; neither a read nor a write would block then. It has to report the end of the
/// peer's stream (EPOLLRDHUP), since edge-triggered it does so once, and a short read would be taken for the last.
fn readiness(events: EpollFlags) -> Readiness {
    let broken = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
    Readiness {
        readable: broken || events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP),
        writable: broken || events.intersects(EpollFlags::EPOLLOUT),
        hung_up: broken || events.intersects(EpollFlags::EPOLLRDHUP),
        broken,
    }
}
