use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as Kernel, EpollCreateFlags, EpollEvent, EpollFlags};
use scoreboard::Syscall;

use crate::peers::{LISTENER, READS, Readiness, Watch};
use crate::syscalls::Calls;
use crate::timers::timeout;

/// The most events that one wait takes.
const EVENTS: usize = 512;

/// What the kernel watches for a loop: epoll(7). Connections are watched [edge-triggered](crate::Trigger::Edge).
pub struct Epoll {
    kernel: Kernel,
    calls: Calls,
    events: Box<[EpollEvent]>,
}

impl Epoll {
    /// Watches nothing yet.
    pub fn new(calls: Calls) -> io::Result<Epoll> {
        let kernel = Kernel::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Epoll { kernel, calls, events: vec![EpollEvent::empty(); EVENTS].into_boxed_slice() })
    }

    /// Watches a connection: once for reads, and once more for both, if it ever has to wait until it can write.
    pub fn watch(&mut self, fd: RawFd, key: u64, watch: Watch) -> io::Result<()> {
        const READS: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
        if watch == Watch::Nothing {
            return Ok(()); // it is closed, and the kernel has forgotten it
        }
        // SAFETY: whoever wants a descriptor watched has it open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.calls.0.syscall(Syscall::EpollCtl);
        match watch {
            Watch::Writes => self.kernel.modify(fd, &mut EpollEvent::new(READS | EpollFlags::EPOLLOUT, key))?,
            _ => self.kernel.add(fd, EpollEvent::new(READS, key))?,
        }
        Ok(())
    }

    /// Watches something of the loop's own, as long as it is readable; or no longer.
    ///
    /// Of the threads that wait for one listener, an arrival is to wake not all (EPOLLEXCLUSIVE); a signal is.
    pub fn listen(&mut self, own: &impl AsFd, key: u64, on: bool) -> io::Result<()> {
        self.calls.0.syscall(Syscall::EpollCtl);
        if on {
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLEXCLUSIVE, key == LISTENER);
            self.kernel.add(own, EpollEvent::new(flags, key))?;
        } else {
            self.kernel.delete(own)?;
        }
        Ok(())
    }

    /// Waits until something is ready, at most for the `pause`, and appends all that is.
    pub fn wait(&mut self, ready: &mut Vec<(u64, Readiness)>, pause: Option<Duration>) -> io::Result<()> {
        let (mut pause, mut is_first) = (pause, true);
        loop {
            self.calls.0.syscall(Syscall::EpollWait);
            let n = match self.kernel.wait(&mut self.events, timeout(pause)) {
                // It has not looked: a process that was stopped for a while is woken like this. signal(7)
                Err(Errno::EINTR) => self.events.len(),
                n => {
                    let n = n?;
                    // What is the loop's own stays ready until the loop sees to it, and is told of once.
                    let events = self.events[..n].iter().filter(|event| is_first || event.data() > READS);
                    ready.extend(events.map(|event| (event.data(), readiness(event.events()))));
                    is_first = false;
                    n
                }
            };
            if n < self.events.len() {
                return Ok(());
            }
            pause = Some(Duration::ZERO); // there may be more
        }
    }
}

fn readiness(events: EpollFlags) -> Readiness {
    let broken = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
    Readiness {
        readable: broken || events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP),
        writable: broken || events.intersects(EpollFlags::EPOLLOUT),
        hung_up: broken || events.intersects(EpollFlags::EPOLLRDHUP),
    }
}
