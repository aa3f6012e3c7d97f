//! The reactor: it knows descriptors, times and the callbacks registered for them, and nothing about servers.
//!
//! Its words are libasync's (Mazières, "A toolkit for user-level file systems", USENIX 2001): [`fdcb`](Reactor::fdcb)
//! and [`delaycb`](Reactor::delaycb) register callbacks, and [`wrap`] makes one of a function and a counted reference.
//! Each callback is handed the reactor, so none has to hold a reference to it, which would make a circle.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use driver::{Calls, poll_timeout};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use scoreboard::Syscall;

/// The most events that one wait takes, at first.
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
    /// Neither, since the connection is broken: its peer has reset it. libasync has no word for it.
    Break,
}

impl Op {
    const ALL: [Op; 3] = [Op::Read, Op::Write, Op::Break];

    fn flag(self) -> EpollFlags {
        match self {
            Op::Read => EpollFlags::EPOLLIN,
            Op::Write => EpollFlags::EPOLLOUT,
            Op::Break => EpollFlags::EPOLLERR,
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

/// Runs the registered callbacks, on this one thread.
pub struct Reactor<'a> {
    kernel: Epoll,
    calls: Calls,
    events: Vec<EpollEvent>,
    /// By their numbers, which are small.
    descriptors: Vec<Descriptor<'a>>,
    delayed: BTreeMap<Timecb, Delaycb<'a>>,
    /// Delayed callbacks so far.
    count: u64,
    now: Instant,
    seen_until: Instant,
}

struct Descriptor<'a> {
    /// Tells an event of this descriptor from one of an earlier descriptor with the same number.
    generation: u32,
    callbacks: [Option<Fdcb<'a>>; 3],
    /// What the kernel watches it for.
    watched: EpollFlags,
}

impl<'a> Reactor<'a> {
    /// Nothing is registered yet.
    pub fn new(calls: Calls) -> io::Result<Reactor<'a>> {
        Ok(Reactor {
            kernel: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            calls,
            events: vec![EpollEvent::empty(); EVENTS],
            descriptors: Vec::new(),
            delayed: BTreeMap::new(),
            count: 0,
            now: Instant::now(),
            seen_until: Instant::now(),
        })
    }

    /// Runs the callback whenever and as long as the descriptor is ready for `op`; it replaces an earlier callback for that.
    ///
    /// Now and then the callback runs although the descriptor is not ready, so that should be non-blocking. An error of a
    /// callback ends the loop.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
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

    /// Removes a callback: libasync's `fdcb` with a null callback.
    ///
    /// The kernel is told only when it reports an event without a callback: most often, there is a callback again by then.
    pub fn fdcb_remove(&mut self, fd: impl AsFd, op: Op) {
        if let Some(descriptor) = self.descriptors.get_mut(fd.as_fd().as_raw_fd() as usize) {
            descriptor.callbacks[op as usize] = None;
        }
    }

    /// Forgets a descriptor that the caller closes next; the kernel forgets it by itself.
    pub fn forget(&mut self, fd: impl AsFd) {
        if let Some(descriptor) = self.descriptors.get_mut(fd.as_fd().as_raw_fd() as usize) {
            let generation = descriptor.generation.wrapping_add(1);
            *descriptor = Descriptor { generation, ..Descriptor::new() };
        }
    }

    /// Runs the callback once, after that time; never before the callback that registers it has returned.
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

    /// The reactor's time, which stands still between two waits unless it [catches up](Reactor::catch_up).
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A time before a wait that took all events began, so the events up to it are known. An event that came later may not be known
    /// yet.
    pub fn seen_until(&self) -> Instant {
        self.seen_until
    }

    /// Sets the reactor's time to the clock's, which is read here alone.
    pub fn catch_up(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    /// Waits until a descriptor is ready or a callback is due, and runs the callbacks.
    ///
    /// # Errors
    /// Those of epoll_wait(2), and those of the callbacks.
    pub fn run_once(&mut self) -> io::Result<()> {
        let timeout =
            self.delayed.first_key_value().map(|(Timecb(when, _), _)| when.saturating_duration_since(self.now));
        let begun = self.now;
        let ready = self.wait(timeout)?;
        let now = self.catch_up();
        let is_full = ready == self.events.len();
        if !is_full {
            self.seen_until = begun;
        }
        self.dispatch(ready, now)?;
        if is_full {
            self.events.resize(2 * ready, EpollEvent::empty()); // there may be more events: the next wait has room for them
        }
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.calls.0.syscall(Syscall::EpollWait);
        match self.kernel.wait(&mut self.events, poll_timeout(timeout)) {
            Err(Errno::EINTR) => Ok(0), // a signal: the next wait looks again
            ready => Ok(ready?),
        }
    }

    /// Runs the callbacks of the first `ready` events of this batch, and then those that are due.
    fn dispatch(&mut self, ready: usize, now: Instant) -> io::Result<()> {
        self.now = now;
        for event in 0..ready {
            let event = self.events[event];
            self.ready((event.data() >> 32) as u32, event.data() as u32 as usize, event.events())?;
        }
        // A callback that is registered from here on waits for the next round, or one without delay could keep the loop for ever.
        let count = self.count;
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
            && first.key().1 <= count
        {
            first.remove()(self)?;
        }
        Ok(())
    }

    /// Runs the callbacks of one event. A callback may register and remove any callback, itself included.
    fn ready(&mut self, generation: u32, number: usize, flags: EpollFlags) -> io::Result<()> {
        let mut without_callback = false;
        for op in Op::ALL {
            if flags.intersects(op.flag() | BROKEN) {
                let descriptor = &self.descriptors[number];
                if descriptor.generation != generation {
                    return Ok(()); // a callback of this batch has closed it, and another descriptor may have its number
                }
                match descriptor.callbacks[op as usize].clone() {
                    Some(callback) => callback(self)?,
                    None => without_callback = true,
                }
            }
        }
        let descriptor = &self.descriptors[number];
        let wanted = descriptor.wanted();
        if without_callback && descriptor.generation == generation && descriptor.watched != wanted {
            // SAFETY: the kernel watches the descriptor, so it is open: it is forgotten before it is closed.
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
        Descriptor { generation: 0, callbacks: [const { None }; 3], watched: EpollFlags::empty() }
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

    use nix::sys::eventfd::{EfdFlags, EventFd};
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
    fn events_beyond_a_full_batch_are_not_known_yet_and_the_next_batch_has_room_for_them() {
        let ready: Vec<_> = (0..=EVENTS)
            .map(|_| EventFd::from_value_and_flags(1, EfdFlags::EFD_NONBLOCK).expect("a descriptor"))
            .collect();
        let calls = Cell::new(0);
        let mut reactor = reactor();
        let seen_until = reactor.seen_until();
        for fd in &ready {
            let calls = &calls;
            reactor
                .fdcb(fd, Op::Read, move |_| {
                    calls.set(calls.get() + 1);
                    Ok(())
                })
                .expect("epoll_ctl");
        }
        reactor.catch_up();
        reactor.run_once().expect("epoll_wait");
        assert!(calls.get() == EVENTS && reactor.seen_until() == seen_until, "one event is not known yet");
        reactor.run_once().expect("epoll_wait");
        assert!(calls.get() == 2 * EVENTS + 1 && reactor.seen_until() > seen_until);
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
