//! What a worker does on its sockets: from what epoll reports to what the client says, and on to the next system call.

use super::super::dial::{Dial, failure};
use super::Worker;
use crate::client::Step;
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt};
use std::cmp::Reverse;
use std::os::fd::AsRawFd;

/// Full reads from one connection before the others have their turn.
const TURN: usize = 16;
const READING: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
const READING_AND_WRITING: EpollFlags = READING.union(EpollFlags::EPOLLOUT);

impl Worker<'_> {
    #[inline]
    pub(super) fn ready(&mut self, index: u32, flags: EpollFlags) {
        let slot = &mut self.slots[index as usize];
        if slot.client.is_connecting() {
            return self.connected(index, flags);
        }
        if flags.intersects(READING.union(EpollFlags::EPOLLHUP).union(EpollFlags::EPOLLERR)) {
            self.read(index, flags);
        }
        let slot = &self.slots[index as usize];
        if flags.contains(EpollFlags::EPOLLOUT) && slot.client.is_sending() {
            self.apply(index, Step::Send);
        }
    }

    fn connected(&mut self, index: u32, flags: EpollFlags) {
        let slot = &mut self.slots[index as usize];
        let Some(socket) = &slot.socket else { return };
        if flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) {
            let errno = getsockopt(socket, sockopt::SocketError).map_or(Errno::ECONNREFUSED, Errno::from_raw);
            if errno != Errno::from_raw(0) {
                let step = slot.client.failed(failure(errno), &mut self.meter);
                return self.apply(index, step);
            }
        }
        let generation = slot.generation;
        let step = slot.client.connected(self.script, self.clock.now(), &mut self.meter);
        self.apply(index, step);
        // What came together with the connection has had its edge.
        if self.slots[index as usize].generation == generation && flags.intersects(READING & !EpollFlags::EPOLLET) {
            self.read(index, flags);
        }
    }

    #[inline]
    pub(super) fn read(&mut self, index: u32, flags: EpollFlags) {
        let closing = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        for _ in 0..TURN {
            let slot = &mut self.slots[index as usize];
            let Some(socket) = &slot.socket else { return };
            let (step, over) = match recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(read) => {
                    let now = self.clock.now();
                    self.now = now;
                    let short = read < self.buffer.len();
                    // The peer's end was reported before this read, so a short read has come to it.
                    let end = read == 0 || (short && closing && !flags.contains(EpollFlags::EPOLLERR));
                    let step = slot.client.received(&self.buffer[..read], end, self.script, now, &mut self.meter);
                    (step, short)
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => continue,
                Err(errno) => (slot.client.failed(failure(errno), &mut self.meter), true),
            };
            if step != Step::Wait {
                let generation = slot.generation;
                self.apply(index, step);
                if self.slots[index as usize].generation != generation {
                    return;
                }
            }
            if over && !(closing && flags.contains(EpollFlags::EPOLLERR)) {
                return;
            }
        }
        self.unfinished.push((index, self.slots[index as usize].generation, flags));
    }

    /// Does what the client said, and what follows from it.
    pub(super) fn apply(&mut self, index: u32, mut step: Step) {
        loop {
            step = match step {
                Step::Wait => return,
                Step::Send => self.send(index),
                Step::Free => {
                    self.open_loop.freed(index, self.slots[index as usize].generation, self.now);
                    return;
                }
                Step::Reopen(pause) => {
                    let slot = &mut self.slots[index as usize];
                    // Closing takes it out of the epoll set, too: nobody else has this description.
                    slot.socket = None;
                    slot.generation = slot.generation.wrapping_add(1);
                    if pause > 0 {
                        self.retries.push(Reverse((self.clock.now() + pause, index)));
                        return;
                    }
                    if self.is_opened_when_due(index) { Step::Free } else { self.dial(index) }
                }
            };
        }
    }

    #[inline]
    fn send(&mut self, index: u32) -> Step {
        let slot = &mut self.slots[index as usize];
        let Some(socket) = &slot.socket else { return Step::Wait };
        match send(socket.as_raw_fd(), slot.client.outgoing(self.script), MsgFlags::MSG_NOSIGNAL) {
            Ok(written) => slot.client.sent(written, self.script),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return slot.client.failed(failure(errno), &mut self.meter),
        }
        if slot.client.is_sending() && !slot.writes {
            return self.watch(index, READING_AND_WRITING);
        }
        Step::Wait
    }

    /// Whether the open loop opens this connection when it has a request for it, and not ahead.
    fn is_opened_when_due(&self, index: u32) -> bool {
        self.open_loop.is_on() && self.script.is_limited() && !self.slots[index as usize].client.in_flight()
    }

    pub(super) fn open(&mut self, index: u32) {
        let step = if self.is_opened_when_due(index) { Step::Free } else { self.dial(index) };
        self.apply(index, step);
    }

    fn dial(&mut self, index: u32) -> Step {
        let began = self.clock.now();
        let dial = self.dialer.dial(index as usize);
        let slot = &mut self.slots[index as usize];
        let socket = match dial {
            Dial::NotTried => return slot.client.not_opened(&mut self.meter),
            Dial::Failed(failure) => {
                slot.client.opening(self.load, self.script, began, &mut self.meter);
                return slot.client.failed(failure, &mut self.meter);
            }
            Dial::Begun(socket) => socket,
        };
        slot.client.opening(self.load, self.script, began, &mut self.meter);
        slot.writes = false;
        let descriptor = slot.socket.insert(socket).as_raw_fd();
        if !slot.client.in_flight() {
            return self.watch(index, READING_AND_WRITING);
        }
        // Over loopback the handshake is over when connect returns, "in progress" or not: so try to write at once, and
        // the socket need not be watched for writability.
        let now = self.clock.now();
        match send(descriptor, slot.client.outgoing(self.script), MsgFlags::MSG_NOSIGNAL) {
            Ok(written) => {
                let _ = slot.client.connected(self.script, now, &mut self.meter);
                slot.client.sent(written, self.script);
                let flags = if slot.client.is_sending() { READING_AND_WRITING } else { READING };
                self.watch(index, flags)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => self.watch(index, READING_AND_WRITING),
            Err(errno) => slot.client.failed(failure(errno), &mut self.meter),
        }
    }

    /// Has the kernel report what happens on the socket.
    fn watch(&mut self, index: u32, flags: EpollFlags) -> Step {
        let slot = &mut self.slots[index as usize];
        let Some(socket) = &slot.socket else { return Step::Wait };
        let mut event = EpollEvent::new(flags, u64::from(slot.generation) << 32 | u64::from(index));
        let result = match self.epoll.add(socket, event) {
            Err(Errno::EEXIST) => self.epoll.modify(socket, &mut event),
            result => result,
        };
        slot.writes = flags.contains(EpollFlags::EPOLLOUT);
        match result {
            Ok(()) => Step::Wait,
            Err(_) => slot.client.not_opened(&mut self.meter),
        }
    }
}
