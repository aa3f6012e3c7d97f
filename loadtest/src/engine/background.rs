//! The background load: idle, slow, resetting and busy connections, all driven by one thread.
//!
//! Nothing is measured here, so the thread works in ticks of ten milliseconds, which cost little. Only the busy clients
//! send their next request as soon as the last one is answered.

use super::Load;
use super::control::Control;
use super::dial::{Dial, Dialer};
use crate::pace::{BackgroundGroup, BackgroundResults};
use crate::plan::BackgroundLoad;
use crate::recorder::Nanos;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const BEAT: Nanos = 10_000_000;
/// A slow connection does something every this many ticks: four times a second.
const SLOW: usize = 25;
/// Connections opened in a tick. The limit keeps the background connections from taking the server away from the
/// measured clients.
const OPENED_A_BEAT: usize = 128;
/// The pause before a connection that the server closed or refused is opened again.
const BACK_OFF: Nanos = 100_000_000;
/// The most that a slow reader reads at a time, in bytes.
const SIP: usize = 1024;
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
    herds: [GroupCounters; 5],
}

#[derive(Default)]
struct GroupCounters {
    up: AtomicU64,
    up_at_end: AtomicU64,
    cut_off: AtomicU64,
    failed: AtomicU64,
}

impl BackgroundCounters {
    /// Whether every connection has tried to connect at least once.
    pub fn is_settled(&self, crowd: &BackgroundLoad) -> bool {
        self.tried.load(Relaxed) >= crowd.total() as u64
    }

    /// The window has ended: remembers how many connections are established.
    pub fn keep_up(&self) {
        self.herds.iter().for_each(|herd| herd.up_at_end.store(herd.up.load(Relaxed), Relaxed));
    }

    /// Returns what became of the connections that `load` asks for.
    pub fn seen(&self, crowd: &BackgroundLoad) -> BackgroundResults {
        let herd = |kind: BackgroundKind, asked: usize| {
            let tally = &self.herds[kind as usize];
            BackgroundGroup {
                asked: asked as u64,
                up: tally.up_at_end.load(Relaxed),
                cut_off: tally.cut_off.load(Relaxed),
                failed: tally.failed.load(Relaxed),
            }
        };
        BackgroundResults {
            idle: herd(BackgroundKind::Idle, crowd.idle),
            slow_senders: herd(BackgroundKind::SlowSender, crowd.slow_senders),
            slow_readers: herd(BackgroundKind::SlowReader, crowd.slow_readers),
            resetters: herd(BackgroundKind::Resetter, crowd.resetters),
            resets: self.resets.load(Relaxed),
            busy: herd(BackgroundKind::Busy, crowd.busy),
            busy_answers: self.busy_answers.load(Relaxed),
        }
    }
}

/// Drives the background connections until the trial is over.
///
/// # Errors
/// The kernel gave no epoll instance, or epoll_wait failed.
pub fn run(load: &Load<'_>, control: &Control<'_>, tally: &BackgroundCounters) -> io::Result<()> {
    let kinds = [
        (BackgroundKind::Idle, load.background.idle),
        (BackgroundKind::SlowSender, load.background.slow_senders),
        (BackgroundKind::SlowReader, load.background.slow_readers),
        (BackgroundKind::Resetter, load.background.resetters),
        (BackgroundKind::Busy, load.background.busy),
    ];
    let member = |kind| BackgroundConnection {
        kind,
        phase: BackgroundPhase::Down,
        socket: None,
        generation: 0,
        sent: 0,
        tried: false,
        succeeded: false,
    };
    let members: Vec<BackgroundConnection> =
        kinds.iter().flat_map(|&(kind, count)| std::iter::repeat_n(kind, count)).map(member).collect();
    let reopen = (0..members.len() as u32).map(|index| (0, index)).collect();
    let mut crowd = BackgroundDriver {
        tally,
        members,
        reopen,
        again: VecDeque::new(),
        dialer: Dialer::new(load.target, load.concurrency),
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        ask: format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", load.authority).into_bytes(),
        ask_much: format!("GET /files/1m HTTP/1.1\r\nHost: {}\r\n\r\n", load.authority).into_bytes(),
        endless: format!("GET / HTTP/1.1\r\nHost: {}\r\nX-Slow: ", load.authority).into_bytes(),
        busy_request: load.busy_request,
    };
    let mut events = vec![EpollEvent::empty(); 1024];
    let (mut next, mut beat) = (control.clock.now(), 0);
    while !control.is_released() && !control.stopped() {
        let now = control.clock.now();
        let timeout = next.saturating_sub(now).div_ceil(1_000_000) as u16;
        match crowd.epoll.wait(&mut events, EpollTimeout::from(timeout)) {
            Ok(count) => events[..count].iter().for_each(|event| crowd.ready(*event, now)),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let now = control.clock.now();
        if now >= next {
            (next, beat) = (now + BEAT, beat + 1);
            crowd.beat(now, beat);
        }
    }
    Ok(())
}

/// Drives all background connections in one epoll loop.
struct BackgroundDriver<'a> {
    tally: &'a BackgroundCounters,
    members: Vec<BackgroundConnection>,
    /// The connections to open and when, in order of time, since the pause is the same for all.
    reopen: VecDeque<(Nanos, u32)>,
    /// Resetters, which open their next connection at the next tick.
    again: VecDeque<u32>,
    dialer: Dialer,
    epoll: Epoll,
    ask: Vec<u8>,
    ask_much: Vec<u8>,
    endless: Vec<u8>,
    busy_request: &'a [u8],
}

impl BackgroundDriver<'_> {
    fn herd(&self, index: u32) -> &GroupCounters {
        &self.tally.herds[self.members[index as usize].kind as usize]
    }

    fn beat(&mut self, now: Nanos, beat: usize) {
        for index in std::mem::take(&mut self.again) {
            self.open(index, now);
        }
        for _ in 0..OPENED_A_BEAT {
            match self.reopen.front() {
                Some(&(due, index)) if due <= now => {
                    self.reopen.pop_front();
                    self.open(index, now);
                }
                _ => break,
            }
        }
        for index in (beat % SLOW..self.members.len()).step_by(SLOW) {
            let member = &self.members[index];
            match (member.phase, member.kind) {
                (BackgroundPhase::Up, BackgroundKind::SlowSender) => self.say(index as u32, now),
                (BackgroundPhase::Up, BackgroundKind::SlowReader) => self.hear(index as u32, SIP, now),
                _ => {}
            }
        }
    }

    fn open(&mut self, index: u32, now: Nanos) {
        let socket = match self.dialer.dial(index as usize) {
            Dial::Begun(socket) => socket,
            Dial::Failed(_) | Dial::NotTried => return self.close(index, now),
        };
        let member = &mut self.members[index as usize];
        if member.kind == BackgroundKind::SlowReader {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &SMALL_BUFFER);
        }
        (member.phase, member.sent, member.succeeded) = (BackgroundPhase::Connecting, 0, false);
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let event = EpollEvent::new(flags, u64::from(member.generation) << 32 | u64::from(index));
        let added = self.epoll.add(&socket, event);
        member.socket = Some(socket);
        if added.is_err() {
            self.close(index, now);
        }
    }

    fn ready(&mut self, event: EpollEvent, now: Nanos) {
        let (index, generation) = (event.data() as u32, (event.data() >> 32) as u32);
        let member = &self.members[index as usize];
        if member.generation != generation {
            return;
        }
        if event.events().intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) {
            return self.close(index, now);
        }
        let kind = member.kind;
        if member.phase == BackgroundPhase::Connecting && event.events().contains(EpollFlags::EPOLLOUT) {
            self.connected(index, now);
        }
        let up = self.members[index as usize].phase == BackgroundPhase::Up;
        if up
            && kind != BackgroundKind::SlowReader
            && event.events().intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP)
        {
            self.hear(index, usize::MAX, now);
        }
    }

    fn connected(&mut self, index: u32, now: Nanos) {
        self.members[index as usize].phase = BackgroundPhase::Up;
        self.herd(index).up.fetch_add(1, Relaxed);
        self.tried(index);
        self.say(index, now);
        let member = &mut self.members[index as usize];
        if member.kind == BackgroundKind::Resetter
            && let Some(socket) = member.socket.take()
        {
            // With a linger time of zero, close sends a reset. socket(7)
            let _ = setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
            drop(socket);
            (member.phase, member.generation) = (BackgroundPhase::Down, member.generation.wrapping_add(1));
            self.herd(index).up.fetch_sub(1, Relaxed);
            self.tally.resets.fetch_add(1, Relaxed);
            self.again.push_back(index);
        }
    }

    /// Sends the request of this connection, or the next byte of it.
    fn say(&mut self, index: u32, now: Nanos) {
        let member = &mut self.members[index as usize];
        let Some(socket) = &member.socket else { return };
        let words = match member.kind {
            BackgroundKind::Idle | BackgroundKind::Resetter => &self.ask[..],
            BackgroundKind::SlowReader => &self.ask_much[..],
            BackgroundKind::Busy => self.busy_request,
            BackgroundKind::SlowSender => self.endless.get(member.sent..=member.sent).unwrap_or(b"a"),
        };
        let result = send(socket.as_raw_fd(), words, MsgFlags::MSG_NOSIGNAL);
        member.sent += 1;
        if result.is_err_and(|errno| errno != nix::errno::Errno::EAGAIN) {
            self.close(index, now);
        }
    }

    /// Reads up to this number of bytes.
    fn hear(&mut self, index: u32, bytes: usize, now: Nanos) {
        let mut buffer = [0; 16 * 1024];
        let room = bytes.min(buffer.len());
        loop {
            let Some(socket) = &self.members[index as usize].socket else { return };
            match recv(socket.as_raw_fd(), &mut buffer[..room], MsgFlags::empty()) {
                Ok(0) => return self.close(index, now),
                Ok(_) if bytes != usize::MAX => return,
                Ok(n) if self.members[index as usize].kind == BackgroundKind::Busy => {
                    let succeeds = |head: &[u8]| head.starts_with(b"HTTP/1.1 2") || head.starts_with(b"HTTP/1.1 3");
                    self.members[index as usize].succeeded |= succeeds(&buffer[..n]);
                }
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return,
                Err(_) => return self.close(index, now),
            }
        }
    }

    /// The server has closed the connection, or it could not be opened.
    fn close(&mut self, index: u32, now: Nanos) {
        let succeeded = std::mem::take(&mut self.members[index as usize].succeeded);
        let herd = self.herd(index);
        if succeeded {
            herd.up.fetch_sub(1, Relaxed);
            self.tally.busy_answers.fetch_add(1, Relaxed);
        } else if self.members[index as usize].phase == BackgroundPhase::Up {
            herd.up.fetch_sub(1, Relaxed);
            herd.cut_off.fetch_add(1, Relaxed);
        } else {
            herd.failed.fetch_add(1, Relaxed);
        }
        self.tried(index);
        let member = &mut self.members[index as usize];
        (member.phase, member.socket) = (BackgroundPhase::Down, None);
        member.generation = member.generation.wrapping_add(1);
        if succeeded {
            return self.open(index, now);
        }
        self.reopen.push_back((now + BACK_OFF, index));
    }

    fn tried(&mut self, index: u32) {
        if !std::mem::replace(&mut self.members[index as usize].tried, true) {
            self.tally.tried.fetch_add(1, Relaxed);
        }
    }
}
