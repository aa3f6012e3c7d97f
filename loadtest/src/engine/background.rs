//! The background load: idle, slow, resetting and busy connections, all driven by one thread.
//!
//! A connection is up once the server has answered on it. That it is established says little: the kernel completes the
//! handshake of connections that wait in the backlog, of which the server knows nothing (listen(2)).
//!
//! Nothing is measured here, so the thread works in ticks of ten milliseconds, which cost little. Only the busy clients
//! send their next request as soon as the last one is answered.

mod counters;

use super::clock::Nanos;
use super::control::Control;
use super::dial::{Dial, Dialer};
use super::load::Load;
use super::response::{ParseProgress, Response};
use super::script::Script;
use counters::{BackgroundKind, GroupCounters};
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

pub use counters::BackgroundCounters;

const TICK: Nanos = 10_000_000;
/// A slow connection does something every this many ticks: four times a second.
const TICKS_PER_SLOW_STEP: usize = 25;
/// Connections opened in a tick. The limit keeps the background connections from taking the server away from the
/// measured clients.
const OPENED_PER_TICK: usize = 128;
/// The pause before a connection that the server closed or refused is opened again.
const BACK_OFF: Nanos = 100_000_000;
/// The most that a slow reader reads at a time, in bytes.
const SLOW_READ: usize = 1024;
/// Reads from one connection before the others have their turn: an answer may be endless.
const READS_PER_TURN: usize = 16;
/// Receive buffer of a slow reader in bytes; the kernel doubles it.
const SMALL_BUFFER: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
enum BackgroundPhase {
    Down,
    Connecting,
    Connected,
}

struct BackgroundConnection {
    kind: BackgroundKind,
    phase: BackgroundPhase,
    socket: Option<OwnedFd>,
    generation: u32,
    /// The path that it requests: its number in the script.
    path: u32,
    /// Bytes of the request that were sent.
    sent: usize,
    response: Response,
    /// The answer is complete; what comes after it is of no interest.
    complete: bool,
    /// It is among those that are up.
    up: bool,
    /// The first result is known.
    settled: bool,
}

/// Drives the background connections until the trial is over.
///
/// # Errors
/// The kernel gave no epoll instance, or epoll_wait failed.
pub fn run(load: &Load<'_>, control: &Control<'_>, counters: &BackgroundCounters) -> io::Result<()> {
    let kinds = [
        (BackgroundKind::Idle, load.background.idle),
        (BackgroundKind::SlowSender, load.background.slow_senders),
        (BackgroundKind::SlowReader, load.background.slow_readers),
        (BackgroundKind::Resetter, load.background.resetters),
        (BackgroundKind::Busy, load.background.busy),
    ];
    let connection = |kind| BackgroundConnection {
        kind,
        phase: BackgroundPhase::Down,
        socket: None,
        generation: 0,
        path: 0,
        sent: 0,
        response: Response::default(),
        complete: false,
        up: false,
        settled: false,
    };
    let connections: Vec<BackgroundConnection> =
        kinds.iter().flat_map(|&(kind, count)| std::iter::repeat_n(kind, count)).map(connection).collect();
    let open_queue = (0..connections.len() as u32).map(|index| (0, index)).collect();
    let mut driver = BackgroundDriver {
        counters,
        connections,
        open_queue,
        reset_queue: VecDeque::new(),
        unread: Vec::new(),
        dialer: Dialer::new(load.target, load.concurrency),
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        request: format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", load.authority).into_bytes(),
        slow_reader: load.slow_reader,
        endless_head: format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", load.authority).into_bytes(),
        busy: load.busy,
    };
    let mut events = vec![EpollEvent::empty(); 1024];
    let (mut next, mut tick) = (control.clock.now(), 0);
    while !control.is_released() && !control.stopped() {
        let now = control.clock.now();
        let timeout = if driver.unread.is_empty() { next.saturating_sub(now).div_ceil(1_000_000) as u16 } else { 0 };
        match driver.epoll.wait(&mut events, EpollTimeout::from(timeout)) {
            Ok(count) => {
                for event in &events[..count] {
                    driver.handle_event(*event, now);
                    thread::yield_now(); // a client thread on the same CPU measures, so it goes first
                }
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for (index, generation) in std::mem::take(&mut driver.unread) {
            if driver.connections[index as usize].generation == generation {
                driver.receive(index, usize::MAX, now);
            }
        }
        let now = control.clock.now();
        if now >= next {
            (next, tick) = (now + TICK, tick + 1);
            driver.tick(now, tick);
        }
    }
    driver.reset_idle();
    Ok(())
}

/// Closes the connection with a reset, which leaves nothing behind in the kernel: with a linger time of zero, close sends
/// one. socket(7)
fn reset(socket: OwnedFd) {
    let _ = setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
}

/// Drives all background connections in one epoll loop.
struct BackgroundDriver<'a> {
    counters: &'a BackgroundCounters,
    connections: Vec<BackgroundConnection>,
    /// The connections to open and when, in order of time, since the pause is the same for all.
    open_queue: VecDeque<(Nanos, u32)>,
    /// Resetters, which open their next connection at the next tick.
    reset_queue: VecDeque<u32>,
    /// Connections that may have more to read, although they had their turn: connection and generation.
    unread: Vec<(u32, u32)>,
    dialer: Dialer,
    epoll: Epoll,
    request: Vec<u8>,
    slow_reader: &'a Script,
    endless_head: Vec<u8>,
    busy: &'a Script,
}

impl BackgroundDriver<'_> {
    fn group(&self, index: u32) -> &GroupCounters {
        self.counters.group(self.connections[index as usize].kind)
    }

    /// Ends the idle connections at the end of the trial. Closed in order, thousands of them would take memory of the
    /// kernel for another minute (TIME_WAIT), in which the next trial reads it.
    fn reset_idle(&mut self) {
        let idle = self.connections.iter_mut().filter(|connection| connection.kind == BackgroundKind::Idle);
        idle.filter_map(|connection| connection.socket.take()).for_each(reset);
    }

    fn tick(&mut self, now: Nanos, tick: usize) {
        for index in std::mem::take(&mut self.reset_queue) {
            self.open(index, now);
        }
        for _ in 0..OPENED_PER_TICK {
            match self.open_queue.front() {
                Some(&(due, index)) if due <= now => {
                    self.open_queue.pop_front();
                    self.open(index, now);
                }
                _ => break,
            }
        }
        for index in (tick % TICKS_PER_SLOW_STEP..self.connections.len()).step_by(TICKS_PER_SLOW_STEP) {
            let connection = &self.connections[index];
            match (connection.phase, connection.kind) {
                (BackgroundPhase::Connected, BackgroundKind::SlowSender) => self.send_bytes(index as u32, now),
                (BackgroundPhase::Connected, BackgroundKind::SlowReader) => self.receive(index as u32, SLOW_READ, now),
                _ => {}
            }
        }
    }

    fn open(&mut self, index: u32, now: Nanos) {
        let socket = match self.dialer.dial(index as usize) {
            Dial::Begun(socket) => socket,
            Dial::Failed(_) | Dial::NotTried => return self.close(index, now),
        };
        let connection = &mut self.connections[index as usize];
        if connection.kind == BackgroundKind::SlowReader {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &SMALL_BUFFER);
        }
        (connection.phase, connection.sent, connection.complete) = (BackgroundPhase::Connecting, 0, false);
        connection.path = match connection.kind {
            BackgroundKind::SlowReader => self.slow_reader.next_path(),
            BackgroundKind::Busy => self.busy.next_path(),
            BackgroundKind::Idle | BackgroundKind::SlowSender | BackgroundKind::Resetter => 0,
        };
        connection.response.reset();
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, u64::from(connection.generation) << 32 | u64::from(index));
        let added = self.epoll.add(&socket, event);
        connection.socket = Some(socket);
        if added.is_err() {
            self.close(index, now);
        }
    }

    fn handle_event(&mut self, event: EpollEvent, now: Nanos) {
        let (index, generation) = (event.data() as u32, (event.data() >> 32) as u32);
        let connection = &self.connections[index as usize];
        if connection.generation != generation {
            return;
        }
        if event.events().intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) {
            return self.close(index, now);
        }
        let kind = connection.kind;
        if event.events().contains(EpollFlags::EPOLLOUT) {
            match connection.phase {
                BackgroundPhase::Connecting => self.connected(index, now),
                BackgroundPhase::Connected if kind != BackgroundKind::SlowSender => self.send_bytes(index, now),
                BackgroundPhase::Connected | BackgroundPhase::Down => {}
            }
        }
        let connected = self.connections[index as usize].phase == BackgroundPhase::Connected;
        if connected
            && kind != BackgroundKind::SlowReader
            && event.events().intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP)
        {
            self.receive(index, usize::MAX, now);
        }
    }

    fn connected(&mut self, index: u32, now: Nanos) {
        let connection = &mut self.connections[index as usize];
        connection.phase = BackgroundPhase::Connected;
        let kind = connection.kind;
        self.counters.group(kind).established.fetch_add(1, Relaxed);
        match kind {
            // Its request never ends, so no answer shows whether the server has accepted the connection.
            BackgroundKind::SlowSender => self.set_up(index, true),
            BackgroundKind::Resetter | BackgroundKind::Busy => self.settle(index),
            BackgroundKind::Idle | BackgroundKind::SlowReader => {} // until it is answered
        }
        self.send_bytes(index, now);
        let connection = &mut self.connections[index as usize];
        if connection.kind == BackgroundKind::Resetter
            && let Some(socket) = connection.socket.take()
        {
            reset(socket);
            self.counters.group(kind).established.fetch_sub(1, Relaxed);
            (connection.phase, connection.generation) = (BackgroundPhase::Down, connection.generation.wrapping_add(1));
            self.counters.resets.fetch_add(1, Relaxed);
            self.reset_queue.push_back(index);
        }
    }

    /// Sends what the socket takes of this connection's request, or the next byte of a slow sender's.
    fn send_bytes(&mut self, index: u32, now: Nanos) {
        let connection = &mut self.connections[index as usize];
        let Some(socket) = &connection.socket else { return };
        let (sent, path) = (connection.sent, connection.path);
        let bytes = match connection.kind {
            BackgroundKind::Idle | BackgroundKind::Resetter => &self.request[sent..],
            BackgroundKind::SlowReader => &self.slow_reader.request(path)[sent..],
            BackgroundKind::Busy => &self.busy.closing_request(path)[sent..],
            BackgroundKind::SlowSender => self.endless_head.get(sent..=sent).unwrap_or(b"a"),
        };
        if bytes.is_empty() {
            return;
        }
        match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            // If the socket took less than all, epoll tells when it takes more.
            Ok(count) => connection.sent += count,
            Err(nix::errno::Errno::EAGAIN) => {}
            Err(_) => self.close(index, now),
        }
    }

    /// Reads up to this number of bytes, or all that there is.
    fn receive(&mut self, index: u32, bytes: usize, now: Nanos) {
        let mut buffer = [0; 16 * 1024];
        let room = bytes.min(buffer.len());
        for _ in 0..READS_PER_TURN {
            let Some(socket) = &self.connections[index as usize].socket else { return };
            match recv(socket.as_raw_fd(), &mut buffer[..room], MsgFlags::empty()) {
                Ok(0) => {
                    let connection = &mut self.connections[index as usize];
                    if !connection.complete && connection.response.is_complete_at_eof() {
                        connection.complete = true;
                        self.counters.answers.fetch_add(1, Relaxed);
                    }
                    return self.close(index, now);
                }
                Ok(read) if !self.answer(index, &buffer[..read]) => return self.close(index, now),
                Ok(_) if bytes != usize::MAX => return,
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return,
                Err(_) => return self.close(index, now),
            }
        }
        self.unread.push((index, self.connections[index as usize].generation));
    }

    /// The next bytes of the answer have come. Returns whether to keep the connection: not if they are not HTTP, nor if
    /// the server does not close it after the answer although a busy client has asked for that.
    fn answer(&mut self, index: u32, bytes: &[u8]) -> bool {
        self.counters.bytes.fetch_add(bytes.len() as u64, Relaxed);
        let connection = &mut self.connections[index as usize];
        if connection.complete {
            return true;
        }
        let is_head = match connection.kind {
            BackgroundKind::SlowReader => self.slow_reader.is_head(),
            BackgroundKind::Busy => self.busy.is_head(),
            BackgroundKind::Idle | BackgroundKind::SlowSender | BackgroundKind::Resetter => false,
        };
        let progress = connection.response.feed(bytes, is_head, |_| {});
        connection.complete = matches!(progress, ParseProgress::Complete(_));
        self.counters.answers.fetch_add(u64::from(connection.complete), Relaxed);
        let is_up = match connection.kind {
            BackgroundKind::Idle => connection.complete,
            BackgroundKind::SlowReader => connection.response.status() > 0,
            // What counts is known when the connection is closed.
            BackgroundKind::SlowSender | BackgroundKind::Resetter | BackgroundKind::Busy => false,
        };
        let stays_open =
            connection.kind == BackgroundKind::Busy && connection.complete && !connection.response.closes();
        if is_up {
            self.set_up(index, true);
        }
        !matches!(progress, ParseProgress::Invalid(_)) && !stays_open
    }

    /// The connection has ended: the server has closed it, or it could not be opened, or it is not to be kept.
    fn close(&mut self, index: u32, now: Nanos) {
        let connection = &mut self.connections[index as usize];
        let connected = connection.phase == BackgroundPhase::Connected;
        let succeeded = connection.kind == BackgroundKind::Busy
            && connected
            && connection.complete
            && (200..400).contains(&connection.response.status());
        (connection.phase, connection.socket) = (BackgroundPhase::Down, None);
        connection.generation = connection.generation.wrapping_add(1);
        if connected {
            self.group(index).established.fetch_sub(1, Relaxed);
        }
        self.set_up(index, succeeded);
        if succeeded {
            self.counters.busy_answers.fetch_add(1, Relaxed);
            return self.open(index, now);
        }
        let group = self.group(index);
        let count = if connected { &group.cut_off } else { &group.failed };
        count.fetch_add(1, Relaxed);
        self.open_queue.push_back((now + BACK_OFF, index));
    }

    /// Notes whether the connection is up. Either is a first result.
    fn set_up(&mut self, index: u32, up: bool) {
        match (std::mem::replace(&mut self.connections[index as usize].up, up), up) {
            (false, true) => drop(self.group(index).up.fetch_add(1, Relaxed)),
            (true, false) => drop(self.group(index).up.fetch_sub(1, Relaxed)),
            _ => {}
        }
        self.settle(index);
    }

    fn settle(&mut self, index: u32) {
        if !std::mem::replace(&mut self.connections[index as usize].settled, true) {
            self.counters.settled.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
