use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use http::{Conn, FileRange, Handler, Job, Reply, Want};
use slotmap::{DefaultKey, Key, KeyData, SlotMap};

use crate::alike::{BUFFER, TURN};
use crate::arrivals::Arrivals;
use crate::hearing::stop;
use crate::helpers::Helpers;
use crate::syscalls::Calls;
use crate::timers::Timers;

/// What the kernel said of a socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readiness {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// The peer has closed its side, or the connection is broken: read on until that is seen.
    pub hung_up: bool,
}

/// What a socket is to be watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: it is closed, or its connection waits for something else.
    Nothing,
    /// Until it is readable.
    Reads,
    /// Until it is writable.
    Writes,
}

/// How a kernel that watches sockets speaks of them: epoll(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once for each change, whatever it was last asked for: so it need hardly ever be told anything new.
    Edge,
    /// Again and again, for as long as it is so: so it must be told what is of no interest now.
    Level,
}

/// How the files go out to the connections of a loop.
pub trait SendFile {
    /// Sends some of the file to the socket, and says how many bytes; 0 if the file has shrunk.
    ///
    /// `None`: that takes time. The loop gives the connection a turn when it is worth asking again.
    fn send(&mut self, key: u64, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>>;

    /// The connection is closed.
    fn gone(&mut self, _key: u64) {}
}

/// The kernel's way, which waits for the disk.
impl SendFile for Calls {
    fn send(&mut self, _key: u64, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        self.sendfile(socket, range).map(Some)
    }
}

// What an event is about, where it is no connection: keys that [`Peers`] never gives out.
/// Somebody arrives.
pub const LISTENER: u64 = 0;
/// [`Stop`](crate::Stop).
pub const STOP: u64 = 1;
/// [`Helpers`]: a job is done.
pub const HELPERS: u64 = 2;
/// What [`SendFile`] has begun, where that takes time: a read is complete.
pub const READS: u64 = 3;

/// The connections of one event loop that learns readiness: all but the question which sockets are ready.
///
/// Connections are known by keys, never by descriptor: a descriptor is used again as soon as it is closed, and an
/// event that was under way would then hit a stranger. A key below 2^32 is never given out.
pub struct Peers<'a, H, F = Calls> {
    arrivals: Arrivals<'a>,
    connect: Box<dyn Fn(u64, Instant) -> Conn<H> + 'a>,
    calls: Calls,
    files: F,
    trigger: Trigger,
    peers: SlotMap<DefaultKey, Peer<H>>,
    deadlines: Timers,
    sleeps: Timers,
    helpers: Helpers,
    again: Vec<u64>,
    changes: Vec<(RawFd, u64, Watch)>,
    buffer: Box<[u8]>,
    now: Instant,
    /// When the loop last knew of everything that had happened.
    waited: Instant,
    stopping: bool,
}

struct Peer<H> {
    socket: TcpStream,
    conn: Conn<H>,
    ready: Readiness,
    /// Its one entry in `deadlines`.
    reminder: Option<Instant>,
    /// What its socket is watched for, as far as the loop was told.
    watched: Watch,
    /// It stands in `again`.
    again: bool,
    /// The next piece of its file is not here yet, which is no fault of the peer's: it has no deadline.
    awaits_piece: bool,
}

enum Pause {
    For(Watch),
    Until(Instant),
    Job(Job),
    Again,
    Gone,
}

impl<'a, H: Handler, F: SendFile> Peers<'a, H, F> {
    /// None yet; each that arrives gets a `Conn` from `connect`, which is told its key.
    pub fn new(
        arrivals: Arrivals<'a>,
        files: F,
        trigger: Trigger,
        connect: impl Fn(u64, Instant) -> Conn<H> + 'a,
    ) -> io::Result<Peers<'a, H, F>> {
        Ok(Peers {
            calls: arrivals.calls(),
            arrivals,
            connect: Box::new(connect),
            files,
            trigger,
            peers: SlotMap::new(),
            deadlines: Timers::default(),
            sleeps: Timers::default(),
            helpers: Helpers::new()?,
            again: Vec::new(),
            changes: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            now: Instant::now(),
            waited: Instant::now(),
            stopping: false,
        })
    }

    /// Those who arrive.
    pub fn arrivals(&self) -> &Arrivals<'a> {
        &self.arrivals
    }

    /// Is the listener to be watched now?
    pub fn accepts(&self) -> bool {
        self.arrivals.is_watched(self.now)
    }

    /// Has SIGTERM come, and may there still be somebody in the queue?
    fn is_draining(&self) -> bool {
        self.stopping && !self.arrivals.is_over()
    }

    /// How the files go out.
    pub fn files(&mut self) -> &mut F {
        &mut self.files
    }

    /// The threads that do what blocks; readable when [`finish_jobs`](Peers::finish_jobs) has something to do.
    pub fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    /// Takes in who has arrived.
    pub fn accept(&mut self) -> io::Result<()> {
        let most = self.arrivals.round();
        for _ in 0..most {
            let Some(socket) = self.arrivals.next(self.now)? else { break };
            let ready = Readiness { readable: most > 1, writable: true, hung_up: false };
            let fd = socket.as_raw_fd();
            let Peers { connect, now, stopping, .. } = self;
            let key = self.peers.insert_with_key(|key| {
                let mut conn = connect(key.data().as_ffi(), *now);
                if *stopping {
                    stop(&mut conn, &socket, *now);
                }
                Peer { socket, conn, ready, reminder: None, watched: Watch::Reads, again: false, awaits_piece: false }
            });
            let key = key.data().as_ffi();
            self.changes.push((fd, key, Watch::Reads));
            self.turn(key, ready)?;
        }
        Ok(())
    }

    /// Tells what is to be watched from now on, each time that this changes: descriptor, key, and for what.
    ///
    /// To be called before the loop waits. On [`Trigger::Edge`], `Watch::Writes` is for reads as well, and comes once in
    /// a connection's life, since most never have to wait until they can write; a closed descriptor is not told of.
    pub fn changes(&mut self, mut tell: impl FnMut(RawFd, u64, Watch) -> io::Result<()>) -> io::Result<()> {
        for (fd, key, watch) in self.changes.drain(..) {
            if watch == Watch::Nothing || self.peers.contains_key(of(key)) {
                tell(fd, key, watch)?;
            }
        }
        Ok(())
    }

    /// Drives one connection as far as it goes without blocking.
    pub fn turn(&mut self, key: u64, ready: Readiness) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else { return Ok(()) };
        peer.ready.readable |= ready.readable;
        peer.ready.writable |= ready.writable;
        peer.ready.hung_up |= ready.hung_up;
        let watch = match peer.advance(key, &mut self.files, self.calls, &mut self.buffer, &mut self.now) {
            Pause::Gone => {
                self.remove(key);
                return Ok(());
            }
            Pause::For(watch) => watch,
            Pause::Until(when) => {
                self.sleeps.set(key, when);
                Watch::Nothing
            }
            Pause::Job(job) => {
                if self.helpers.run(key, || job.run()).is_err() {
                    self.remove(key); // no thread for it: that costs this connection alone
                    return Ok(());
                }
                Watch::Nothing
            }
            Pause::Again => {
                if !std::mem::replace(&mut peer.again, true) {
                    self.again.push(key);
                }
                peer.watched
            }
        };
        if watch != peer.watched && (self.trigger == Trigger::Level || watch == Watch::Writes) {
            peer.watched = watch;
            self.changes.push((peer.socket.as_raw_fd(), key, watch));
        }
        if !peer.awaits_piece {
            self.deadlines.remind(key, peer.conn.deadline(), &mut peer.reminder);
        }
        Ok(())
    }

    fn remove(&mut self, key: u64) {
        if let Some(peer) = self.peers.remove(of(key)) {
            if self.trigger == Trigger::Level && peer.watched != Watch::Nothing {
                self.changes.push((peer.socket.as_raw_fd(), key, Watch::Nothing));
            }
            self.files.gone(key);
            self.arrivals.closed();
        }
    }

    /// How long the loop may wait for events; `None` is forever.
    pub fn pause(&self) -> Option<Duration> {
        if !self.again.is_empty() || (self.is_draining() && self.accepts()) {
            return Some(Duration::ZERO);
        }
        let pauses = [self.deadlines.pause(self.now), self.sleeps.pause(self.now), self.arrivals.pause(self.now)];
        pauses.into_iter().flatten().min()
    }

    /// The loop has waited: time has passed.
    pub fn waited(&mut self) {
        self.now = Instant::now();
        self.waited = self.now;
    }

    /// Gives a turn to those whose time has come: deadlines, sleeps, unfinished turns. While stopping, takes in who is
    /// still in the queue.
    pub fn work(&mut self) -> io::Result<()> {
        if self.is_draining() {
            self.accept()?;
        }
        let mut keys = std::mem::take(&mut self.again);
        for &key in &keys {
            if let Some(peer) = self.peers.get_mut(of(key)) {
                peer.again = false;
            }
        }
        while let Some((when, key)) = self.deadlines.pop(self.waited) {
            if let Some(peer) = self.peers.get_mut(of(key))
                && peer.reminder == Some(when)
            {
                peer.reminder = None;
                if !peer.awaits_piece {
                    // By the time of the last wait: what has come since then is not known yet, and may be in time.
                    peer.conn.expired(self.waited);
                    keys.push(key);
                }
            }
        }
        while let Some((_, key)) = self.sleeps.pop(self.now) {
            if let Some(peer) = self.peers.get_mut(of(key)) {
                peer.conn.woke(self.now);
                keys.push(key);
            }
        }
        self.turns(keys)
    }

    /// Gives a turn to those whose job is done: the helpers are readable.
    pub fn finish_jobs(&mut self) -> io::Result<()> {
        while let Some((key, reply)) = self.helpers.done() {
            self.done(key, reply)?;
        }
        Ok(())
    }

    /// The reply that a connection waits for, as [`Want::Pending`], is here.
    pub fn done(&mut self, key: u64, reply: Reply) -> io::Result<()> {
        if let Some(peer) = self.peers.get_mut(of(key)) {
            peer.conn.done(reply, self.now);
        }
        self.turn(key, Readiness::default())
    }

    fn turns(&mut self, keys: Vec<u64>) -> io::Result<()> {
        keys.into_iter().try_for_each(|key| self.turn(key, Readiness::default()))
    }

    /// SIGTERM has come: the queue is taken dry, who is idle is closed, and the rest is finished.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.arrivals.stop();
            for (key, peer) in &mut self.peers {
                stop(&mut peer.conn, &peer.socket, self.now);
                if !std::mem::replace(&mut peer.again, true) {
                    self.again.push(key.data().as_ffi());
                }
            }
        }
    }

    /// Has it stopped, and is everybody gone?
    pub fn is_finished(&self) -> bool {
        self.stopping && self.arrivals.is_over() && self.peers.is_empty()
    }
}

fn of(key: u64) -> DefaultKey {
    KeyData::from_ffi(key).into()
}

impl<H: Handler> Peer<H> {
    fn advance(
        &mut self,
        key: u64,
        files: &mut impl SendFile,
        calls: Calls,
        buffer: &mut [u8],
        now: &mut Instant,
    ) -> Pause {
        for _ in 0..TURN {
            let done = match self.conn.want() {
                Want::Read if !self.ready.readable => return Pause::For(Watch::Reads),
                Want::Write { .. } | Want::SendFile(_) if !self.ready.writable => return Pause::For(Watch::Writes),
                Want::Read => calls.read(&self.socket, buffer).map(|n| {
                    // A short read has emptied the socket: another would only say EAGAIN, at 310 ns.
                    self.ready.readable = n == buffer.len() || self.ready.hung_up;
                    self.conn.received(&buffer[..n], *now);
                }),
                Want::Write { bytes, more } => calls.write(&self.socket, bytes, more).map(|n| {
                    *now = Instant::now();
                    self.conn.sent(n, *now);
                }),
                Want::SendFile(range) => {
                    let sent = files.send(key, &self.socket, range);
                    *now = Instant::now();
                    let waited = std::mem::replace(&mut self.awaits_piece, matches!(sent, Ok(None)));
                    if waited && !self.awaits_piece {
                        self.conn.file_ready(*now);
                    }
                    match sent {
                        Ok(None) => return Pause::For(Watch::Nothing),
                        Ok(Some(n)) => {
                            self.conn.sent(n, *now);
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Want::Sleep(until) => return Pause::Until(until),
                Want::Block(job) => return Pause::Job(job),
                Want::Pending => return Pause::For(Watch::Nothing),
                Want::Shut => self.socket.shutdown(Shutdown::Write).map(|()| self.conn.shut(*now)),
                Want::Close => return Pause::Gone,
            };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.conn.want() {
                    Want::Read => self.ready.readable = false,
                    _ => self.ready.writable = false,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Pause::Gone, // a broken peer costs its own connection
            }
        }
        Pause::Again
    }
}
