//! The reactor: who wants to know of what, and nothing about servers.
//!
//! Its words are libasync's (Mazières, "A toolkit for user-level file systems", USENIX 2001): [`fdcb`](Reactor::fdcb)
//! and [`delaycb`](Reactor::delaycb) register callbacks, and [`wrap`] makes one of a function and a counted reference.
//! Each callback is handed the reactor, so none has to hold it, and no circle of references comes about by itself.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use driver::{Calls, timeout};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use scoreboard::Syscall;

/// The most events that one wait takes.
const EVENTS: usize = 512;
/// The kernel reports these unasked, and then neither a read nor a write would block: epoll_ctl(2).
const BROKEN: EpollFlags = EpollFlags::EPOLLERR.union(EpollFlags::EPOLLHUP);

/// What a descriptor is to be ready for: libasync's `selop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// libasync's `selread`.
    Read,
    /// libasync's `selwrite`.
    Write,
}

impl Op {
    const ALL: [Op; 2] = [Op::Read, Op::Write];

    fn flag(self) -> EpollFlags {
        match self {
            Op::Read => EpollFlags::EPOLLIN,
            Op::Write => EpollFlags::EPOLLOUT,
        }
    }
}

/// A registered delayed callback, for [`Reactor::timecb_remove`]: its time, and its number, since times may be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timecb(Instant, u64);

impl Timecb {
    /// When it is due.
    pub fn when(self) -> Instant {
        self.0
    }
}

type Fdcb<'a> = Rc<dyn Fn(&mut Reactor<'a>) -> io::Result<()> + 'a>;
type Delaycb<'a> = Box<dyn FnOnce(&mut Reactor<'a>) -> io::Result<()> + 'a>;

/// A callback that calls `then` on `this`, and keeps it alive as long as it is registered.
pub fn wrap<'a, T: 'a>(
    this: &Rc<T>,
    then: impl Fn(&Rc<T>, &mut Reactor<'a>) -> io::Result<()> + 'a,
) -> impl Fn(&mut Reactor<'a>) -> io::Result<()> + 'a {
    let this = Rc::clone(this);
    move |reactor| then(&this, reactor)
}

/// Calls back, on this one thread.
pub struct Reactor<'a> {
    kernel: Epoll,
    calls: Calls,
    events: Box<[EpollEvent]>,
    /// By their numbers, which are small.
    descriptors: Vec<Descriptor<'a>>,
    delayed: BTreeMap<Timecb, Delaycb<'a>>,
    /// Delayed callbacks so far.
    count: u64,
    now: Instant,
}

struct Descriptor<'a> {
    /// Tells an event from one for whoever had the number before.
    generation: u32,
    callbacks: [Option<Fdcb<'a>>; 2],
    /// What the kernel watches it for.
    watched: EpollFlags,
}

impl<'a> Reactor<'a> {
    /// Nothing is registered yet.
    pub fn new(calls: Calls) -> io::Result<Reactor<'a>> {
        Ok(Reactor {
            kernel: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            calls,
            events: vec![EpollEvent::empty(); EVENTS].into_boxed_slice(),
            descriptors: Vec::new(),
            delayed: BTreeMap::new(),
            count: 0,
            now: Instant::now(),
        })
    }

    /// Calls back whenever the descriptor is ready for `op`, as long as it is, instead of what was registered for that.
    ///
    /// Now and then it calls in vain, so the descriptor should be non-blocking. An error of a callback ends the loop.
    pub fn fdcb(
        &mut self,
        fd: impl AsFd,
        op: Op,
        callback: impl Fn(&mut Reactor<'a>) -> io::Result<()> + 'a,
    ) -> io::Result<()> {
        let number = fd.as_fd().as_raw_fd() as usize;
        if self.descriptors.len() <= number {
            self.descriptors.resize_with(number + 1, Descriptor::new);
        }
        let descriptor = &mut self.descriptors[number];
        descriptor.callbacks[op as usize] = Some(Rc::new(callback));
        let watched = descriptor.watched | op.flag();
        if watched == descriptor.watched { Ok(()) } else { self.watch(fd.as_fd(), watched) }
    }

    /// Is a callback registered for that?
    pub fn has_fdcb(&self, fd: impl AsFd, op: Op) -> bool {
        let descriptor = self.descriptors.get(fd.as_fd().as_raw_fd() as usize);
        descriptor.is_some_and(|descriptor| descriptor.callbacks[op as usize].is_some())
    }

    /// Calls back no longer: libasync's `fdcb` with a null callback.
    ///
    /// The kernel is told only when it reports what nobody wants to know: most often, somebody wants to again by then.
    pub fn fdcb_remove(&mut self, fd: impl AsFd, op: Op) {
        if let Some(descriptor) = self.descriptors.get_mut(fd.as_fd().as_raw_fd() as usize) {
            descriptor.callbacks[op as usize] = None;
        }
    }

    /// Forgets a descriptor which is about to be closed; the kernel does so by itself.
    pub fn forget(&mut self, fd: impl AsFd) {
        if let Some(descriptor) = self.descriptors.get_mut(fd.as_fd().as_raw_fd() as usize) {
            let generation = descriptor.generation.wrapping_add(1);
            *descriptor = Descriptor { generation, ..Descriptor::new() };
        }
    }

    /// Calls back once, after that time; never before the callback that registers it has returned.
    pub fn delaycb(
        &mut self,
        delay: Duration,
        callback: impl FnOnce(&mut Reactor<'a>) -> io::Result<()> + 'a,
    ) -> Timecb {
        self.count += 1;
        let handle = Timecb(self.now + delay, self.count);
        self.delayed.insert(handle, Box::new(callback));
        handle
    }

    /// Cancels a delayed callback, if it is still to come.
    pub fn timecb_remove(&mut self, handle: Timecb) {
        self.delayed.remove(&handle);
    }

    /// The reactor's time, which stands still between one wait and the next.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Lets the reactor's time catch up with the clock. This is the one place where that is read.
    pub fn catch_up(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    /// Waits until something is ready or due, and calls back.
    pub fn run_once(&mut self) -> io::Result<()> {
        let pause = self.delayed.first_key_value().map(|(Timecb(when, _), _)| when.saturating_duration_since(self.now));
        let ready = self.wait(pause)?;
        let now = self.catch_up();
        self.dispatch(ready, now)
    }

    fn wait(&mut self, pause: Option<Duration>) -> io::Result<usize> {
        self.calls.0.syscall(Syscall::EpollWait);
        match self.kernel.wait(&mut self.events, timeout(pause)) {
            // It has not looked: a process that was stopped for a while is woken like this. signal(7)
            Err(Errno::EINTR) => self.wait(Some(Duration::ZERO)),
            ready => Ok(ready?),
        }
    }

    /// Calls back for the first events of this batch, and then for all that is due.
    fn dispatch(&mut self, ready: usize, now: Instant) -> io::Result<()> {
        self.now = now;
        for event in 0..ready {
            let event = self.events[event];
            self.ready((event.data() >> 32) as u32, event.data() as u32 as usize, event.events())?;
        }
        // What is registered from here on waits for the next round, or a callback without delay could go on for ever.
        let count = self.count;
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
            && first.key().1 <= count
        {
            first.remove()(self)?;
        }
        Ok(())
    }

    /// Calls back for one event. A callback may register and remove whatever it likes, itself included.
    fn ready(&mut self, generation: u32, number: usize, flags: EpollFlags) -> io::Result<()> {
        let mut in_vain = false;
        for op in Op::ALL {
            if flags.intersects(op.flag() | BROKEN) {
                let descriptor = &self.descriptors[number];
                if descriptor.generation != generation {
                    return Ok(()); // it was closed by a callback of this batch, and the number may be another's
                }
                match descriptor.callbacks[op as usize].clone() {
                    Some(callback) => callback(self)?,
                    None => in_vain = true,
                }
            }
        }
        let descriptor = &self.descriptors[number];
        let wanted = descriptor.wanted();
        if in_vain && descriptor.generation == generation && descriptor.watched != wanted {
            // SAFETY: the kernel watches it, so it is open: whoever closes it has it forgotten first.
            self.watch(unsafe { BorrowedFd::borrow_raw(number as i32) }, wanted)?;
        }
        Ok(())
    }

    fn watch(&mut self, fd: BorrowedFd<'_>, flags: EpollFlags) -> io::Result<()> {
        let number = fd.as_raw_fd() as u32;
        let descriptor = &mut self.descriptors[number as usize];
        let event = &mut EpollEvent::new(flags, u64::from(descriptor.generation) << 32 | u64::from(number));
        self.calls.0.syscall(Syscall::EpollCtl);
        match (descriptor.watched.is_empty(), flags.is_empty()) {
            (true, _) => self.kernel.add(fd, *event)?,
            // With no flag at all, EPOLLHUP would still be reported, again and again.
            (false, true) => self.kernel.delete(fd)?,
            (false, false) => self.kernel.modify(fd, event)?,
        }
        descriptor.watched = flags;
        Ok(())
    }
}

impl<'a> Descriptor<'a> {
    fn new() -> Descriptor<'a> {
        Descriptor { generation: 0, callbacks: [None, None], watched: EpollFlags::empty() }
    }

    fn wanted(&self) -> EpollFlags {
        Op::ALL.into_iter().filter(|&op| self.callbacks[op as usize].is_some()).map(Op::flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use scoreboard::Scoreboard;

    use super::*;

    fn reactor<'a>() -> Reactor<'a> {
        Reactor::new(Calls(Scoreboard::map().expect("shared memory").claim())).expect("an epoll instance")
    }

    /// A round without waiting, at that time.
    fn round(reactor: &mut Reactor<'_>, now: Instant) {
        let ready = reactor.wait(Some(Duration::ZERO)).expect("epoll_wait");
        reactor.dispatch(ready, now).expect("callbacks");
    }

    fn readable() -> (UnixStream, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(b"x").expect("room");
        (ours, theirs)
    }

    #[test]
    fn delayed_callbacks_come_in_order_and_not_before_their_time() {
        let order = RefCell::new(Vec::new());
        let mut reactor = reactor();
        let start = reactor.now();
        for (name, seconds) in [("b", 2), ("a", 1), ("c", 2)] {
            let order = &order;
            reactor.delaycb(Duration::from_secs(seconds), move |_| {
                order.borrow_mut().push(name);
                Ok(())
            });
        }
        round(&mut reactor, start);
        assert!(order.borrow().is_empty());
        round(&mut reactor, start + Duration::from_secs(1));
        assert_eq!(*order.borrow(), ["a"]);
        round(&mut reactor, start + Duration::from_secs(2));
        assert_eq!(*order.borrow(), ["a", "b", "c"]);
    }

    #[test]
    fn a_delayed_callback_can_cancel_another_that_is_due() {
        let called = Cell::new(false);
        let mut reactor = reactor();
        let start = reactor.now();
        let second = Rc::new(Cell::new(None));
        let first = Rc::clone(&second);
        reactor.delaycb(Duration::ZERO, move |reactor| {
            reactor.timecb_remove(first.take().expect("the second one"));
            Ok(())
        });
        second.set(Some(reactor.delaycb(Duration::ZERO, |_| {
            called.set(true);
            Ok(())
        })));
        round(&mut reactor, start);
        assert!(!called.get());
    }

    #[test]
    fn a_callback_can_remove_itself_and_another_of_the_same_batch() {
        let (one, _one) = readable();
        let (two, _two) = readable();
        let calls = Cell::new(0);
        let mut reactor = reactor();
        let start = reactor.now();
        for fd in [&one, &two] {
            let (one, two, calls) = (&one, &two, &calls);
            reactor
                .fdcb(fd, Op::Read, move |reactor| {
                    calls.set(calls.get() + 1);
                    reactor.fdcb_remove(one, Op::Read);
                    reactor.fdcb_remove(two, Op::Read);
                    Ok(())
                })
                .expect("epoll_ctl");
        }
        round(&mut reactor, start);
        round(&mut reactor, start);
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn what_was_registered_is_dropped_when_it_is_forgotten() {
        let (ours, _theirs) = readable();
        let state = Rc::new(());
        let mut reactor = reactor();
        reactor.fdcb(&ours, Op::Read, wrap(&state, |_, _| Ok(()))).expect("epoll_ctl");
        assert_eq!(Rc::strong_count(&state), 2);
        reactor.forget(&ours);
        assert_eq!(Rc::strong_count(&state), 1);
    }
}
