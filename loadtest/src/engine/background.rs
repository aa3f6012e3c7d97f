//! The background load: idle, slow, resetting and busy connections, all driven by one thread.
//!
//! Nothing is measured here, so the thread works in ticks of ten milliseconds, which cost little. Only the busy clients
//! send their next request as soon as the last one is answered.

use super::clock::Nanos;
use super::control::Control;
use super::dial::{Dial, Dialer};
use super::load::Load;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use results::BackgroundLoad;
use results::{BackgroundGroup, BackgroundResults};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
enum BackgroundKind {
    Idle,
    SlowSender,
    SlowReader,
    Resetter,
    Busy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BackgroundPhase {
    Down,
    Connecting,
    Up,
}

struct BackgroundConnection {
    kind: BackgroundKind,
    phase: BackgroundPhase,
    socket: Option<OwnedFd>,
    generation: u32,
    /// Bytes of the request that were sent.
    sent: usize,
    tried: bool,
    /// The answer's status line says that the request succeeded.
    succeeded: bool,
}

/// The counters that this thread shares with the other threads.
#[derive(Default)]
pub struct BackgroundCounters {
    tried: AtomicU64,
    resets: AtomicU64,
    busy_answers: AtomicU64,
    groups: [GroupCounters; 5],
}

#[derive(Default)]
struct GroupCounters {
    established: AtomicU64,
    established_at_end: AtomicU64,
    cut_off: AtomicU64,
    failed: AtomicU64,
}

impl BackgroundCounters {
    /// Whether every connection has tried to connect at least once.
    pub fn all_tried(&self, load: &BackgroundLoad) -> bool {
        self.tried.load(Relaxed) >= load.total() as u64
    }

    /// The window has ended: remembers how many connections are established.
    pub fn remember_established(&self) {
        self.groups.iter().for_each(|group| group.established_at_end.store(group.established.load(Relaxed), Relaxed));
    }

    /// Returns what became of the connections that `load` asks for.
    pub fn results(&self, load: &BackgroundLoad) -> BackgroundResults {
        let group = |kind: BackgroundKind, asked: usize| {
            let counters = &self.groups[kind as usize];
            BackgroundGroup {
                asked: asked as u64,
                up: counters.established_at_end.load(Relaxed),
                cut_off: counters.cut_off.load(Relaxed),
                failed: counters.failed.load(Relaxed),
            }
        };
        BackgroundResults {
            idle: group(BackgroundKind::Idle, load.idle),
            slow_senders: group(BackgroundKind::SlowSender, load.slow_senders),
            slow_readers: group(BackgroundKind::SlowReader, load.slow_readers),
            resetters: group(BackgroundKind::Resetter, load.resetters),
            resets: self.resets.load(Relaxed),
            busy: group(BackgroundKind::Busy, load.busy),
            busy_answers: self.busy_answers.load(Relaxed),
        }
    }
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
        sent: 0,
        tried: false,
        succeeded: false,
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
        slow_reader_request: load.slow_reader_request,
        endless_head: format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", load.authority).into_bytes(),
        busy_request: load.busy_request,
    };
    let mut events = vec![EpollEvent::empty(); 1024];
    let (mut next, mut tick) = (control.clock.now(), 0);
    while !control.is_released() && !control.stopped() {
        let now = control.clock.now();
        let timeout = if driver.unread.is_empty() { next.saturating_sub(now).div_ceil(1_000_000) as u16 } else { 0 };
        match driver.epoll.wait(&mut events, EpollTimeout::from(timeout)) {
            Ok(count) => events[..count].iter().for_each(|event| driver.handle_event(*event, now)),
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
    Ok(())
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
    slow_reader_request: &'a [u8],
    endless_head: Vec<u8>,
    busy_request: &'a [u8],
}

impl BackgroundDriver<'_> {
    fn group(&self, index: u32) -> &GroupCounters {
        &self.counters.groups[self.connections[index as usize].kind as usize]
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
                (BackgroundPhase::Up, BackgroundKind::SlowSender) => self.send_bytes(index as u32, now),
                (BackgroundPhase::Up, BackgroundKind::SlowReader) => self.receive(index as u32, SLOW_READ, now),
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
        (connection.phase, connection.sent, connection.succeeded) = (BackgroundPhase::Connecting, 0, false);
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
                BackgroundPhase::Up if kind != BackgroundKind::SlowSender => self.send_bytes(index, now),
                BackgroundPhase::Up | BackgroundPhase::Down => {}
            }
        }
        let up = self.connections[index as usize].phase == BackgroundPhase::Up;
        if up
            && kind != BackgroundKind::SlowReader
            && event.events().intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP)
        {
            self.receive(index, usize::MAX, now);
        }
    }

    fn connected(&mut self, index: u32, now: Nanos) {
        self.connections[index as usize].phase = BackgroundPhase::Up;
        self.group(index).established.fetch_add(1, Relaxed);
        self.count_first_attempt(index);
        self.send_bytes(index, now);
        let connection = &mut self.connections[index as usize];
        if connection.kind == BackgroundKind::Resetter
            && let Some(socket) = connection.socket.take()
        {
            // With a linger time of zero, close sends a reset. socket(7)
            let _ = setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
            drop(socket);
            (connection.phase, connection.generation) = (BackgroundPhase::Down, connection.generation.wrapping_add(1));
            self.group(index).established.fetch_sub(1, Relaxed);
            self.counters.resets.fetch_add(1, Relaxed);
            self.reset_queue.push_back(index);
        }
    }

    /// Sends what the socket takes of this connection's request, or the next byte of a slow sender's.
    fn send_bytes(&mut self, index: u32, now: Nanos) {
        let connection = &mut self.connections[index as usize];
        let Some(socket) = &connection.socket else { return };
        let sent = connection.sent;
        let bytes = match connection.kind {
            BackgroundKind::Idle | BackgroundKind::Resetter => &self.request[sent..],
            BackgroundKind::SlowReader => &self.slow_reader_request[sent..],
            BackgroundKind::Busy => &self.busy_request[sent..],
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

    /// Reads up to this number of bytes.
    fn receive(&mut self, index: u32, bytes: usize, now: Nanos) {
        let mut buffer = [0; 16 * 1024];
        let room = bytes.min(buffer.len());
        for _ in 0..READS_PER_TURN {
            let Some(socket) = &self.connections[index as usize].socket else { return };
            match recv(socket.as_raw_fd(), &mut buffer[..room], MsgFlags::empty()) {
                Ok(0) => return self.close(index, now),
                Ok(_) if bytes != usize::MAX => return,
                Ok(n) if self.connections[index as usize].kind == BackgroundKind::Busy => {
                    let succeeds = |head: &[u8]| head.starts_with(b"HTTP/1.1 2") || head.starts_with(b"HTTP/1.1 3");
                    self.connections[index as usize].succeeded |= succeeds(&buffer[..n]);
                }
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return,
                Err(_) => return self.close(index, now),
            }
        }
        self.unread.push((index, self.connections[index as usize].generation));
    }

    /// The server has closed the connection, or it could not be opened.
    fn close(&mut self, index: u32, now: Nanos) {
        let succeeded = std::mem::take(&mut self.connections[index as usize].succeeded);
        let group = self.group(index);
        if succeeded {
            group.established.fetch_sub(1, Relaxed);
            self.counters.busy_answers.fetch_add(1, Relaxed);
        } else if self.connections[index as usize].phase == BackgroundPhase::Up {
            group.established.fetch_sub(1, Relaxed);
            group.cut_off.fetch_add(1, Relaxed);
        } else {
            group.failed.fetch_add(1, Relaxed);
        }
        self.count_first_attempt(index);
        let connection = &mut self.connections[index as usize];
        (connection.phase, connection.socket) = (BackgroundPhase::Down, None);
        connection.generation = connection.generation.wrapping_add(1);
        if succeeded {
            return self.open(index, now);
        }
        self.open_queue.push_back((now + BACK_OFF, index));
    }

    fn count_first_attempt(&mut self, index: u32) {
        if !std::mem::replace(&mut self.connections[index as usize].tried, true) {
            self.counters.tried.fetch_add(1, Relaxed);
        }
    }
}
