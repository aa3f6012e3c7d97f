//! The socket operations of a client thread: it passes epoll's events to the client's state machine, and does the steps
//! that follow.

use super::super::client::Step;
use super::super::dial::{Dial, failure};
use super::Worker;
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt};
use std::cmp::Reverse;
use std::os::fd::AsRawFd;

/// Full reads from one connection before the other connections have their turn.
const READS_PER_TURN: usize = 16;
const READING: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
const READING_AND_WRITING: EpollFlags = READING.union(EpollFlags::EPOLLOUT);

impl Worker<'_> {
    #[inline]
    pub(super) fn handle_event(&mut self, index: u32, flags: EpollFlags) {
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
                let step = slot.client.failed(failure(errno), &mut self.recorder);
                return self.apply(index, step);
            }
        }
        let generation = slot.generation;
        let step = slot.client.connected(self.script, self.clock.now(), &mut self.recorder);
        self.apply(index, step);
        // Edge-triggered epoll does not report again what came together with the connection.
        if self.slots[index as usize].generation == generation && flags.intersects(READING & !EpollFlags::EPOLLET) {
            self.read(index, flags);
        }
    }

    #[inline]
    pub(super) fn read(&mut self, index: u32, flags: EpollFlags) {
        let closing = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        for _ in 0..READS_PER_TURN {
            let slot = &mut self.slots[index as usize];
            let Some(socket) = &slot.socket else { return };
            let (step, over) = match recv(socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(read) => {
                    let now = self.clock.now();
                    self.now = now;
                    self.slicer.advance(now, &mut self.recorder);
                    let short = read < self.buffer.len();
                    // The end of the stream was reported before this read, so a short read has reached it.
                    let end = read == 0 || (short && closing && !flags.contains(EpollFlags::EPOLLERR));
                    let step = slot.client.received(&self.buffer[..read], end, self.script, now, &mut self.recorder);
                    (step, short)
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => continue,
                Err(errno) => (slot.client.failed(failure(errno), &mut self.recorder), true),
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
        self.unread.push((index, self.slots[index as usize].generation, flags));
    }

    /// Does the step that the client asked for, and the steps that follow from it.
    pub(super) fn apply(&mut self, index: u32, mut step: Step) {
        loop {
            step = match step {
                Step::Wait => return,
                Step::Send => self.send(index),
                Step::Free => {
                    self.open_loop.add_free(index, self.slots[index as usize].generation, self.now);
                    return;
                }
                Step::Reopen(pause) => {
                    let slot = &mut self.slots[index as usize];
                    // Closing also removes the socket from the epoll set, because there is no other descriptor for it.
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
            Err(errno) => return slot.client.failed(failure(errno), &mut self.recorder),
        }
        if slot.client.is_sending() && !slot.watches_writability {
            return self.watch(index, READING_AND_WRITING);
        }
        Step::Wait
    }

    /// Whether the open loop opens this connection only when a request is due for it, and not ahead.
    fn is_opened_when_due(&self, index: u32) -> bool {
        self.open_loop.is_on()
            && self.script.per_connection().is_some()
            && !self.slots[index as usize].client.in_flight()
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
            Dial::NotTried => return slot.client.could_not_open(&mut self.recorder),
            Dial::Failed(failure) => {
                slot.client.opening(self.closed_loop_on, self.script, began, &mut self.recorder);
                return slot.client.failed(failure, &mut self.recorder);
            }
            Dial::Begun(socket) => socket,
        };
        slot.client.opening(self.closed_loop_on, self.script, began, &mut self.recorder);
        slot.watches_writability = false;
        let descriptor = slot.socket.insert(socket).as_raw_fd();
        if !slot.client.in_flight() {
            return self.watch(index, READING_AND_WRITING);
        }
        // Over loopback the handshake is complete when connect returns, even if it returns "in progress". So try to
        // write at once; then epoll need not report writability.
        let now = self.clock.now();
        match send(descriptor, slot.client.outgoing(self.script), MsgFlags::MSG_NOSIGNAL) {
            Ok(written) => {
                let _ = slot.client.connected(self.script, now, &mut self.recorder);
                slot.client.sent(written, self.script);
                let flags = if slot.client.is_sending() { READING_AND_WRITING } else { READING };
                self.watch(index, flags)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => self.watch(index, READING_AND_WRITING),
            Err(errno) => slot.client.failed(failure(errno), &mut self.recorder),
        }
    }

    /// Registers the socket with epoll for these events.
    fn watch(&mut self, index: u32, flags: EpollFlags) -> Step {
        let slot = &mut self.slots[index as usize];
        let Some(socket) = &slot.socket else { return Step::Wait };
        let mut event = EpollEvent::new(flags, u64::from(slot.generation) << 32 | u64::from(index));
        let result = match self.epoll.add(socket, event) {
            Err(Errno::EEXIST) => self.epoll.modify(socket, &mut event),
            result => result,
        };
        slot.watches_writability = flags.contains(EpollFlags::EPOLLOUT);
        match result {
            Ok(()) => Step::Wait,
            Err(_) => slot.client.could_not_open(&mut self.recorder),
        }
    }
}
