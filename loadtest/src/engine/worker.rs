//! One client thread: an edge-triggered epoll loop over its share of the connections.
//!
//! A request costs one `recv`, one `send`, and its share of an `epoll_wait`. A short read has emptied the socket
//! (epoll(7), question 9), so no further `recv` is needed. A request takes no `epoll_ctl`, no allocation and no timer.
//!
//! The clock is read once per answer, right after the `recv` that brought it. That reading ends the request's latency
//! and begins the next request, whose `send` follows within a few hundred nanoseconds of parsing and counting. So
//! latency is from (just before) the `send` to (just after) the last `recv` in this thread, exact to about a
//! microsecond. It includes the time for which an event waits behind others of its batch, as in any client.

mod phases;
mod sockets;

use super::client::{Client, Step};
use super::clock::{Nanos, TrialClock};
use super::control::{Control, LiveCounters};
use super::dial::Dialer;
use super::intended_times::IntendedTimes;
use super::open_loop::{NextAction, OpenLoop};
use super::polling::{POLL_LEAD, Polling};
use super::recorder::Recorder;
use super::run_queue;
use super::script::Script;
use super::slicer::Slicer;
use super::wait::wait_precisely;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use results::Arrivals;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

const EVENTS: usize = 1024;
const BUFFER: usize = 64 * 1024;
/// Connections that one thread establishes concurrently before the load begins.
const MAX_CONNECTING: usize = 128;
/// The longest sleep, so that the thread soon notices a request to stop.
const LONGEST_SLEEP: Nanos = 20_000_000;

/// The part of the load that one thread carries.
#[derive(Clone, Copy)]
pub struct LoadShare {
    /// Number of this thread, from 0.
    pub index: usize,
    /// Number of all threads.
    pub threads: usize,
    /// Connections of this thread.
    pub connections: usize,
    /// Connections of the threads before it.
    pub before: usize,
    /// Intended times, in an open loop.
    pub times: Option<IntendedTimes>,
    /// How an open loop's requests are spaced.
    pub arrivals: Arrivals,
    /// Decides the times of Poisson arrivals.
    pub seed: u64,
}

struct Slot {
    client: Client,
    socket: Option<OwnedFd>,
    /// The number of sockets that this slot had before. An event carries it, so that an event of a closed socket is not
    /// taken for one of its successor.
    generation: u32,
    /// Whether epoll reports writability, too.
    watches_writability: bool,
}

/// The state of one client thread.
pub struct Worker<'a> {
    script: &'a Script,
    control: &'a Control<'a>,
    counters: &'a LiveCounters,
    clock: TrialClock,
    dialer: Dialer,
    epoll: Epoll,
    slots: Vec<Slot>,
    recorder: Recorder,
    slicer: Slicer,
    /// Connections to open again: when, and which slot.
    retries: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// Connections that have more to read, although they had their share of reads: slot, generation, and the reported
    /// events.
    unread: Vec<(u32, u32, EpollFlags)>,
    /// The load of a closed loop has begun: a new connection sends a request at once.
    closed_loop_on: bool,
    share: LoadShare,
    open_loop: OpenLoop,
    polling: Polling,
    /// The last reading of the clock.
    now: Nanos,
    buffer: Box<[u8]>,
    next_deadline_check: Nanos,
    deadline_check_interval: Nanos,
}

impl<'a> Worker<'a> {
    pub fn new(
        script: &'a Script,
        control: &'a Control<'a>,
        counters: &'a LiveCounters,
        target: SocketAddr,
        share: LoadShare,
        shortest_timeout: Duration,
    ) -> io::Result<Worker<'a>> {
        let slot = || Slot { client: Client::default(), socket: None, generation: 0, watches_writability: false };
        Ok(Worker {
            script,
            control,
            counters,
            clock: control.clock,
            dialer: Dialer::new(target, share.before),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            slots: std::iter::repeat_with(slot).take(share.connections).collect(),
            recorder: Recorder::default(),
            slicer: Slicer::default(),
            retries: BinaryHeap::new(),
            unread: Vec::new(),
            closed_loop_on: false,
            share,
            open_loop: OpenLoop::default(),
            polling: Polling::default(),
            now: 0,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            next_deadline_check: 0,
            // All deadlines are checked together from time to time, so that a request needs no timer.
            deadline_check_interval: (shortest_timeout.as_nanos() as Nanos / 20).clamp(1_000_000, 100_000_000),
        })
    }

    fn start_all(&mut self) {
        self.closed_loop_on = true;
        let now = self.clock.now();
        for index in 0..self.slots.len() as u32 {
            let slot = &mut self.slots[index as usize];
            if slot.client.is_idle() {
                let step = slot.client.start(self.script, now, &mut self.recorder);
                self.apply(index, step);
            }
        }
    }

    /// Sends the requests that are due, as long as connections are free, but not after `until`: at a rate that this
    /// thread cannot reach, there is always a further one.
    fn send_due(&mut self, until: Nanos) {
        let mut gave_up = false;
        while self.open_loop.is_on() {
            // After requests were given up, the next one is sent at the same time: at a rate that this thread cannot reach,
            // it would have to be given up, too, at any later time.
            if !gave_up {
                self.now = self.clock.now();
            }
            if self.now >= until || self.control.stopped() {
                return;
            }
            let slots = &self.slots;
            let is_free = |index, generation| {
                let slot: &Slot = &slots[index as usize];
                slot.generation == generation && slot.client.is_free()
            };
            let next = self.open_loop.next(self.now, self.script.timeout(), &self.recorder.due, is_free);
            gave_up = matches!(next, NextAction::Shed { .. });
            match next {
                NextAction::Nothing => return,
                NextAction::Shed { intended, count } => self.recorder.shed(intended, count),
                NextAction::Send { index, intended, lag } => {
                    self.recorder.lag(intended, lag);
                    let client = &mut self.slots[index as usize].client;
                    let step = client.take_request(intended, self.script, self.now, &mut self.recorder);
                    self.apply(index, step);
                }
            }
        }
    }

    fn in_flight(&self) -> u64 {
        self.slots.iter().filter(|slot| slot.client.in_flight()).count() as u64
    }

    fn established(&self) -> usize {
        self.slots.iter().filter(|slot| slot.client.is_connected()).count()
    }

    /// Establishes all connections, or tries each at least once, unless the load begins before that.
    fn open_all(&mut self, events: &mut [EpollEvent]) -> io::Result<()> {
        let mut next = 0;
        loop {
            let connecting = self.slots.iter().filter(|slot| slot.client.is_connecting()).count();
            for _ in connecting..MAX_CONNECTING.min(connecting + self.slots.len() - next) {
                self.open(next as u32);
                next += 1;
            }
            let settled = self.slots.iter().filter(|slot| slot.client.is_settled()).count();
            self.counters.settled(settled);
            if settled == self.slots.len() || self.control.started_or_stopped() {
                // The connections that were never tried are opened as soon as the load begins.
                let now = self.clock.now();
                self.retries.extend((next..self.slots.len()).map(|index| Reverse((now, index as u32))));
                return Ok(());
            }
            self.run_once(events, self.clock.now() + 5_000_000)?;
        }
    }

    /// Runs the event loop until `until`, or until the run is interrupted. Returns the time.
    fn run_until(&mut self, events: &mut [EpollEvent], until: Nanos) -> io::Result<Nanos> {
        loop {
            let now = self.run_once(events, until)?;
            self.counters.publish(&self.recorder);
            self.counters.publish_live(now, &self.recorder, || self.established());
            if now >= until || self.control.stopped() {
                return Ok(now);
            }
        }
    }

    /// One round of the event loop: waits for events, but not longer than `until`, and handles them.
    fn run_once(&mut self, events: &mut [EpollEvent], until: Nanos) -> io::Result<Nanos> {
        let count = match self.wait(events, until) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        for event in &events[..count] {
            let (index, generation) = (event.data() as u32, (event.data() >> 32) as u32);
            if self.slots[index as usize].generation == generation {
                self.handle_event(index, event.events());
            }
            if self.open_loop.due().is_some_and(|due| due <= self.now) {
                self.send_due(until);
            }
        }
        self.send_due(until);
        if !self.unread.is_empty() {
            for (index, generation, flags) in std::mem::take(&mut self.unread) {
                if self.slots[index as usize].generation == generation {
                    self.read(index, flags);
                }
            }
        }
        let now = self.clock.now();
        self.slicer.advance(now, &mut self.recorder);
        while let Some(&Reverse((due, index))) = self.retries.peek()
            && due <= now
        {
            self.retries.pop();
            self.open(index);
        }
        if now >= self.next_deadline_check {
            self.next_deadline_check = now + self.deadline_check_interval;
            for index in 0..self.slots.len() {
                let step = self.slots[index].client.tick(now, &mut self.recorder);
                if step != Step::Wait {
                    self.apply(index as u32, step);
                }
            }
        }
        Ok(now)
    }

    /// Waits for events until `until`, or until something else is due.
    fn wait(&mut self, events: &mut [EpollEvent], until: Nanos) -> nix::Result<usize> {
        let mut now = self.clock.now();
        if self.share.times.is_none() {
            let timeout = self.timeout(now, until);
            return self.epoll.wait(events, EpollTimeout::from(timeout.div_ceil(1_000_000) as u16));
        }
        loop {
            let timeout = self.timeout(now, until);
            let sleep = match self.open_loop.due() {
                Some(due) if self.polling.may_poll(now, || run_queue::waited().unwrap_or_default()) => {
                    timeout.min(due.saturating_sub(POLL_LEAD + now))
                }
                _ => timeout,
            };
            if sleep > 0 || timeout == 0 {
                return wait_precisely(&self.epoll, events, sleep);
            }
            let count = self.epoll.wait(events, EpollTimeout::ZERO)?;
            if count > 0 {
                return Ok(count);
            }
            let before = std::mem::replace(&mut now, self.clock.now());
            self.polling.found_nothing(now - before);
        }
    }

    /// How long to wait for events: until the next thing that is due.
    fn timeout(&self, now: Nanos, until: Nanos) -> Nanos {
        if !self.unread.is_empty() {
            return 0;
        }
        let retry = self.retries.peek().map_or(Nanos::MAX, |&Reverse((due, _))| due);
        let send = self.open_loop.due().unwrap_or(Nanos::MAX);
        until.min(retry).min(send).min(self.next_deadline_check).saturating_sub(now).min(LONGEST_SLEEP)
    }
}
