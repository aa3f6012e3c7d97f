//! One thread of the load: an edge-triggered epoll loop over its share of the connections.
//!
//! What a request costs here: one `recv`, one `send`, and its part of an `epoll_wait`. A short read ends the turn, for
//! it has emptied the socket (epoll(7), question 9); no `epoll_ctl` per request, no allocation, no timer.
//!
//! The clock is read once per answer, right after the `recv` that brought it. That reading ends the request's latency
//! and begins the next request, whose `send` follows within the few hundred nanoseconds of parsing and counting. So
//! latency is from (just before) the `send` to (just after) the last `recv` in this thread, true to about a
//! microsecond, and the time an event waits behind others of its batch is in it, as it is for any client.

mod sockets;

use super::clock::{Clock, thread_cpu};
use super::control::{Control, Lane};
use super::dial::Dialer;
use super::open_loop::{Next, OpenLoop};
use super::pacer::Pacer;
use super::polling::{LEAD, Polling};
use super::run_queue;
use super::wait::{be_punctual, wait_precisely};
use crate::class::Class;
use crate::client::{Client, Script, Step};
use crate::meter::{Meter, Nanos};
use crate::schedule::Times;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

const EVENTS: usize = 1024;
const BUFFER: usize = 64 * 1024;
/// Connections of one thread that are being established at a time while the load is not on yet.
const OPENING: usize = 128;
/// The longest sleep, so that a request to stop is seen soon.
const NAP: Nanos = 20_000_000;

/// What one thread measured.
pub struct Measured {
    pub meter: Meter,
    /// Length of the window in this thread.
    pub window: Duration,
    /// The window was cut short.
    pub interrupted: bool,
    /// CPU time of this thread in the window, without that of polling in vain.
    pub cpu: Duration,
    /// Time that this thread polled in vain in the window, since its next request was due too soon for a sleep.
    pub polled: Duration,
    /// Time in which this thread was ready to run in the window and had no CPU.
    pub waited: Duration,
    /// Connections that were established when the window ended.
    pub established: usize,
    /// Answers that each connection got in the window.
    pub served: Vec<u32>,
    /// Requests that were due in the window and still waited for a connection at its end.
    pub unsent: u64,
}

/// Which part of the load a thread has.
#[derive(Clone, Copy)]
pub struct Share {
    /// Number of this thread, from 0.
    pub index: usize,
    /// Threads in all.
    pub threads: usize,
    /// Connections of this thread.
    pub connections: usize,
    /// Connections of the threads before it.
    pub before: usize,
    /// Intended times, in an open loop.
    pub times: Option<Times>,
}

struct Slot {
    client: Client,
    socket: Option<OwnedFd>,
    /// Counts the sockets that this slot had: an event carries it, so that one of a closed socket is told from one of
    /// its successor.
    generation: u32,
    /// Writability is reported, too.
    writes: bool,
}

/// The loop's state.
pub struct Worker<'a> {
    script: &'a Script,
    control: &'a Control<'a>,
    lane: &'a Lane,
    clock: Clock,
    dialer: Dialer,
    epoll: Epoll,
    slots: Vec<Slot>,
    meter: Meter,
    /// When to open a connection again, and which.
    retries: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// Connections with more to read, whose turn was over: slot, generation, and what was reported of it.
    unfinished: Vec<(u32, u32, EpollFlags)>,
    /// The load of a closed loop is on: a new connection carries a request at once.
    load: bool,
    share: Share,
    open_loop: OpenLoop,
    polling: Polling,
    /// The last reading of the clock.
    now: Nanos,
    buffer: Box<[u8]>,
    next_sweep: Nanos,
    sweep_every: Nanos,
}

impl<'a> Worker<'a> {
    pub fn new(
        script: &'a Script,
        control: &'a Control<'a>,
        lane: &'a Lane,
        target: SocketAddr,
        share: Share,
        shortest_timeout: Duration,
    ) -> io::Result<Worker<'a>> {
        let slot = || Slot { client: Client::default(), socket: None, generation: 0, writes: false };
        Ok(Worker {
            script,
            control,
            lane,
            clock: control.clock,
            dialer: Dialer::new(target, share.before),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            slots: std::iter::repeat_with(slot).take(share.connections).collect(),
            meter: Meter::default(),
            retries: BinaryHeap::new(),
            unfinished: Vec::new(),
            load: false,
            share,
            open_loop: OpenLoop::default(),
            polling: Polling::default(),
            now: 0,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            next_sweep: 0,
            // Deadlines are looked at together now and then, which costs a request nothing.
            sweep_every: (shortest_timeout.as_nanos() as Nanos / 20).clamp(1_000_000, 100_000_000),
        })
    }

    /// Opens the connections, loads the target, and answers with what the window measured; `None` if it was stopped
    /// before the window began.
    pub fn run(mut self) -> io::Result<Option<Measured>> {
        let mut events = vec![EpollEvent::empty(); EVENTS];
        self.open_all(&mut events)?;
        let Some(window) = self.control.wait_for_start() else { return Ok(None) };
        match self.share.times {
            None => self.start_all(),
            Some(times) => {
                be_punctual();
                self.open_loop.begin(Pacer::new(times, window.go, self.share.index, self.share.threads));
            }
        }
        let mut now = self.turns(&mut events, window.begin)?;
        if self.control.stopped() {
            return Ok(None);
        }
        let begin = now;
        let (cpu, waited, polled) = (thread_cpu(), run_queue::waited(), self.polling.in_vain());
        self.lane.keep_total(&self.meter.ends);
        self.meter.begin_window(self.in_flight());
        self.slots.iter_mut().for_each(|slot| slot.client.forget_served());
        now = self.turns(&mut events, window.end)?;
        let (cpu, waited) = (thread_cpu() - cpu, run_queue::waited().saturating_sub(waited));
        let polled = self.polling.in_vain() - polled;
        let unsent = self.open_loop.unsent(now);
        self.meter.started += unsent;
        self.meter.ends[Class::AbortedAtEnd] += self.in_flight() + unsent;
        self.meter.check()?;
        let established = self.established();
        let measured = Measured {
            meter: std::mem::take(&mut self.meter),
            window: Duration::from_nanos(now - begin),
            interrupted: now < window.end,
            cpu: cpu.saturating_sub(polled),
            polled,
            waited,
            established,
            served: self.slots.iter().map(|slot| slot.client.served()).collect(),
            unsent,
        };
        self.control.finish();
        Ok(Some(measured))
    }

    fn start_all(&mut self) {
        self.load = true;
        let now = self.clock.now();
        for index in 0..self.slots.len() as u32 {
            let slot = &mut self.slots[index as usize];
            if slot.client.is_idle() {
                let step = slot.client.start(self.script, now, &mut self.meter);
                self.apply(index, step);
            }
        }
    }

    /// Sends the requests that are due, as far as connections are free.
    fn send_due(&mut self) {
        while self.open_loop.is_on() {
            self.now = self.clock.now();
            let slots = &self.slots;
            let is_free = |index, generation| {
                let slot: &Slot = &slots[index as usize];
                slot.generation == generation && slot.client.is_free()
            };
            match self.open_loop.next(self.now, self.script.timeout(), is_free) {
                Next::Nothing => return,
                Next::Shed => self.meter.shed(),
                Next::Send { index, intended, lag } => {
                    self.meter.lag.saturating_record(lag);
                    let client = &mut self.slots[index as usize].client;
                    let step = client.take(intended, self.script, self.now, &mut self.meter);
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
            for _ in connecting..OPENING.min(connecting + self.slots.len() - next) {
                self.open(next as u32);
                next += 1;
            }
            let settled = self.slots.iter().filter(|slot| slot.client.is_settled()).count();
            self.lane.settled(settled);
            if settled == self.slots.len() || self.control.started_or_stopped() {
                // Those that were never tried open as soon as the load is on.
                let now = self.clock.now();
                self.retries.extend((next..self.slots.len()).map(|index| Reverse((now, index as u32))));
                return Ok(());
            }
            self.turn(events, self.clock.now() + 5_000_000)?;
        }
    }

    /// Turns until `until`, or until stopped; answers with the time.
    fn turns(&mut self, events: &mut [EpollEvent], until: Nanos) -> io::Result<Nanos> {
        loop {
            let now = self.turn(events, until)?;
            self.lane.publish(&self.meter.ends);
            self.lane.tell(now, &self.meter, || self.established());
            if now >= until || self.control.stopped() {
                return Ok(now);
            }
        }
    }

    /// Waits for events, but not longer than `until`, and handles them.
    fn turn(&mut self, events: &mut [EpollEvent], until: Nanos) -> io::Result<Nanos> {
        let count = match self.wait(events, until) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        for event in &events[..count] {
            let (index, generation) = (event.data() as u32, (event.data() >> 32) as u32);
            if self.slots[index as usize].generation == generation {
                self.ready(index, event.events());
            }
            if self.open_loop.due().is_some_and(|due| due <= self.now) {
                self.send_due();
            }
        }
        self.send_due();
        if !self.unfinished.is_empty() {
            for (index, generation, flags) in std::mem::take(&mut self.unfinished) {
                if self.slots[index as usize].generation == generation {
                    self.read(index, flags);
                }
            }
        }
        let now = self.clock.now();
        while let Some(&Reverse((due, index))) = self.retries.peek()
            && due <= now
        {
            self.retries.pop();
            self.open(index);
        }
        if now >= self.next_sweep {
            self.next_sweep = now + self.sweep_every;
            for index in 0..self.slots.len() {
                let step = self.slots[index].client.tick(now, &mut self.meter);
                if step != Step::Wait {
                    self.apply(index as u32, step);
                }
            }
        }
        Ok(now)
    }

    /// Waits for events, but not longer than `until` and until the next thing is due.
    fn wait(&mut self, events: &mut [EpollEvent], until: Nanos) -> nix::Result<usize> {
        let mut now = self.clock.now();
        if self.share.times.is_none() {
            let patience = self.patience(now, until);
            return self.epoll.wait(events, EpollTimeout::from(patience.div_ceil(1_000_000) as u16));
        }
        loop {
            let patience = self.patience(now, until);
            let sleep = match self.open_loop.due() {
                Some(due) if self.polling.is_welcome(now, run_queue::waited) => {
                    patience.min(due.saturating_sub(LEAD + now))
                }
                _ => patience,
            };
            if sleep > 0 || patience == 0 {
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
    fn patience(&self, now: Nanos, until: Nanos) -> Nanos {
        if !self.unfinished.is_empty() {
            return 0;
        }
        let retry = self.retries.peek().map_or(Nanos::MAX, |&Reverse((due, _))| due);
        let send = self.open_loop.due().unwrap_or(Nanos::MAX);
        until.min(retry).min(send).min(self.next_sweep).saturating_sub(now).min(NAP)
    }
}
