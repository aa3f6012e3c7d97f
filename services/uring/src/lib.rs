//! **uring**: completions: we say what is to be done, the kernel does it and says that it is done.
//!
//! Each thread has a ring, and one io_uring_enter(2) for a whole batch: it submits every send, receive and accept that
//! the last batch led to, and comes back with what is completed. Nobody asks a socket whether it is ready.

mod buffers;
mod peer;
mod ring;

use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use app::App;
use driver::{Arrivals, Calls, HELPERS, Helpers, Places, STOP, Stop, Timers, on_each_thread};
use http::Want;
use nix::errno::Errno;
use slotmap::{DefaultKey, Key, KeyData, SlotMap};
use supervisor::Model;

use peer::Peer;
use ring::{Completion, Op, Ring};

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is finished.
///
/// # Errors
/// `ErrorKind::Unsupported` where the machine does not permit io_uring.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let places = Places::new(app.settings().max_connections);
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let arrivals = Arrivals::new(&listener, calls, &places)?;
        // Never freed: should the loop fail, the kernel may still be writing into what is the loop's.
        Box::leak(Box::new(Loop::new(app, arrivals, Ring::new(calls)?)?)).run()
    })
}

/// Is an accept under way?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepting {
    No,
    Yes,
    Ending,
}

struct Loop<'a> {
    app: App,
    ring: Ring,
    peers: SlotMap<DefaultKey, Peer>,
    arrivals: Arrivals<'a>,
    accepting: Accepting,
    /// Accepted above the limit, before the accept could be ended: they wait for a place.
    waiting: VecDeque<TcpStream>,
    deadlines: Timers,
    sleeps: Timers,
    helpers: Helpers,
    stop: Stop,
    stopping: bool,
    now: Instant,
}

impl<'a> Loop<'a> {
    fn new(app: App, arrivals: Arrivals<'a>, ring: Ring) -> io::Result<Loop<'a>> {
        Ok(Loop {
            app,
            ring,
            peers: SlotMap::new(),
            arrivals,
            accepting: Accepting::No,
            waiting: VecDeque::new(),
            deadlines: Timers::default(),
            sleeps: Timers::default(),
            helpers: Helpers::new()?,
            stop: Stop::new()?,
            stopping: false,
            now: Instant::now(),
        })
    }

    /// The loop: submit what is to be done, wait until some of it is, and see what is to be done then.
    fn run(&mut self) -> io::Result<()> {
        self.ring.watch(&self.stop, STOP)?;
        self.ring.watch(&self.helpers, HELPERS)?;
        let mut completions = Vec::new();
        self.welcome()?;
        while !self.is_finished() {
            self.ring.submit_and_wait(self.pause())?;
            self.now = Instant::now();
            self.ring.completions(&mut completions);
            for completion in completions.drain(..) {
                match (completion.op, completion.key) {
                    (Op::Accept, _) => self.accepted(completion)?,
                    (Op::Readable, STOP) => self.stop()?,
                    (Op::Readable, _) => self.finish_jobs()?,
                    (Op::Receive, key) => self.received(key, completion)?,
                    (Op::Send, key) => self.sent(key, completion)?,
                    (Op::Read, key) => self.read(key, completion)?,
                    (Op::End, _) => {}
                }
            }
            self.timers()?;
            self.welcome()?;
        }
        self.ring.submit_and_wait(Some(Duration::ZERO)) // the last descriptors are closed
    }

    /// Does what a connection wants, up to the next thing that takes time.
    fn advance(&mut self, key: u64) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else { return Ok(()) };
        if peer.closing || peer.broken {
            return self.close(key);
        }
        loop {
            match peer.conn.want() {
                Want::Close => return self.close(key),
                Want::Pending => break,
                _ if peer.moving => break, // the kernel has the bytes already
                Want::Read => match peer.held() {
                    Some(bytes) => peer.conn.received(&bytes, self.now),
                    None => {
                        peer.receive(key, &mut self.ring)?;
                        break;
                    }
                },
                Want::Write { bytes, more } => {
                    // SAFETY: they stay in the connection until `sent`, and it stays until nothing is under way.
                    unsafe { self.ring.send(key, &peer.socket, bytes, more)? };
                    peer.moving = true;
                }
                Want::SendFile(range) => {
                    // SAFETY: the chunk stays in the peer, untouched, while it is `moving`.
                    unsafe { peer.chunk.send_or_read(key, &peer.socket, range, &mut self.ring)? };
                    peer.moving = true;
                }
                Want::Sleep(until) => {
                    self.sleeps.set(key, until);
                    break;
                }
                Want::Block(job) => {
                    if self.helpers.run(key, || job.run()).is_err() {
                        return self.close(key); // no thread for it: that costs this connection alone
                    }
                    break;
                }
                Want::Shut => {
                    let _ = peer.socket.shutdown(std::net::Shutdown::Write); // a peer that is gone is seen by the read
                    peer.conn.shut(self.now);
                }
            }
        }
        self.deadlines.remind(key, peer.conn.deadline(), &mut peer.reminder);
        Ok(())
    }

    /// Bytes have come, or the end of them. Most go straight from the kernel's buffer into the connection.
    fn received(&mut self, key: u64, completion: Completion) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else {
            completion.buffer.into_iter().for_each(|buffer| self.ring.give_back(buffer));
            return Ok(());
        };
        peer.receiving &= completion.more;
        match (completion.result, completion.buffer) {
            (Ok(len), Some(buffer)) => {
                let bytes = self.ring.received(buffer, len);
                if peer.wants_read() {
                    peer.conn.received(bytes, self.now);
                } else {
                    peer.hold(bytes);
                }
                self.ring.give_back(buffer);
                if peer.holds_too_much() {
                    self.ring.end(Op::Receive, key)?;
                }
            }
            (Ok(_), None) => peer.ended = true,
            // The buffers were all in use, which ended the receive: `advance` begins another.
            (Err(Errno::ENOBUFS), _) => self.ring.add_buffer(),
            // We have ended it, or it is to be tried again.
            (Err(Errno::ECANCELED | Errno::EINTR | Errno::EAGAIN), _) => {}
            (Err(_), _) => peer.broken = true,
        }
        self.advance(key)
    }

    /// The socket has taken bytes.
    fn sent(&mut self, key: u64, completion: Completion) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else { return Ok(()) };
        peer.moving = false;
        match completion.result {
            Ok(n) => {
                peer.chunk.sent(n);
                peer.conn.sent(n, self.now);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => peer.broken = true,
        }
        self.advance(key)
    }

    /// A file has given bytes; or none, if it has shrunk.
    fn read(&mut self, key: u64, completion: Completion) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else { return Ok(()) };
        peer.moving = false;
        match completion.result {
            Ok(0) => peer.conn.sent(0, self.now),
            Ok(n) => peer.chunk.filled(n),
            Err(errno) => {
                peer.chunk.filled(0);
                peer.broken = !matches!(errno, Errno::EINTR | Errno::EAGAIN);
            }
        }
        self.advance(key)
    }

    /// Ends what is under way, and closes when nothing is any more: only then may the kernel no longer touch what is
    /// the peer's.
    fn close(&mut self, key: u64) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(of(key)) else { return Ok(()) };
        if !std::mem::replace(&mut peer.closing, true) {
            peer.end(key, &mut self.ring)?;
        }
        if !peer.receiving
            && !peer.moving
            && let Some(peer) = self.peers.remove(of(key))
        {
            self.ring.close(peer.socket.into())?;
            self.arrivals.closed();
        }
        Ok(())
    }

    fn accepted(&mut self, completion: Completion) -> io::Result<()> {
        if !completion.more {
            self.accepting = Accepting::No;
        }
        match completion.result {
            Ok(descriptor) => {
                // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
                let socket = unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) };
                self.waiting.push_back(socket.into());
                self.app.counters().queued();
            }
            Err(Errno::ECANCELED) => {}
            Err(errno) => self.arrivals.failed(errno.into(), self.now)?,
        }
        Ok(())
    }

    /// Takes in those for whom there is a place, and accepts as long as there is one.
    fn welcome(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() && self.arrivals.take_place(self.now) {
            if let Some(socket) = self.waiting.pop_front() {
                self.app.counters().dequeued();
                self.arrivals.arrived();
                self.take_in(socket)?;
            }
        }
        self.arrivals.wait(self.waiting.len());
        let full = !self.arrivals.has_place(self.now);
        match self.accepting {
            Accepting::Yes if full || self.stopping => {
                self.ring.end(Op::Accept, 0)?;
                self.accepting = Accepting::Ending;
            }
            // The last ones in the queue are fetched by hand: a completion cannot say that there are no more.
            Accepting::No if self.stopping && self.waiting.is_empty() => {
                while let Some(socket) = self.arrivals.next(self.now)? {
                    self.take_in(socket)?;
                }
            }
            Accepting::No if !full && self.arrivals.is_watched(self.now) => {
                // Rings that share a listener queue up for it. An accept that goes on stays first in that queue, and
                // its ring gets nearly all connections; one that is for once goes to the end when it is submitted.
                let alone = self.app.settings().threads == 1;
                self.ring.accept(&self.arrivals, alone)?;
                self.accepting = Accepting::Yes;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_in(&mut self, socket: TcpStream) -> io::Result<()> {
        let mut conn = self.app.connect(self.now);
        if self.stopping {
            driver::stop(&mut conn, &socket, self.now);
        }
        let key = self.peers.insert(Peer::new(socket, conn)).data().as_ffi();
        self.advance(key)
    }

    /// Sees to those whose time has come.
    fn timers(&mut self) -> io::Result<()> {
        while let Some((when, key)) = self.deadlines.pop(self.now) {
            if let Some(peer) = self.peers.get_mut(of(key))
                && peer.reminder == Some(when)
            {
                peer.reminder = None;
                peer.conn.expired(self.now);
                self.advance(key)?;
            }
        }
        while let Some((_, key)) = self.sleeps.pop(self.now) {
            if let Some(peer) = self.peers.get_mut(of(key))
                && !peer.moving
            {
                peer.conn.woke(self.now);
                self.advance(key)?;
            }
        }
        Ok(())
    }

    fn finish_jobs(&mut self) -> io::Result<()> {
        while let Some((key, reply)) = self.helpers.done() {
            if let Some(peer) = self.peers.get_mut(of(key)) {
                peer.conn.done(reply, self.now);
                self.advance(key)?;
            }
        }
        self.ring.watch(&self.helpers, HELPERS)
    }

    fn stop(&mut self) -> io::Result<()> {
        self.stopping = true;
        self.arrivals.stop();
        let keys: Vec<_> = self.peers.keys().collect();
        for key in keys {
            let peer = &mut self.peers[key];
            driver::stop(&mut peer.conn, &peer.socket, self.now);
            self.advance(key.data().as_ffi())?;
        }
        Ok(())
    }

    fn pause(&self) -> Option<Duration> {
        let draining = self.stopping && self.accepting == Accepting::No && !self.arrivals.is_over();
        if draining && self.arrivals.is_watched(self.now) {
            return Some(Duration::ZERO);
        }
        let pauses = [self.deadlines.pause(self.now), self.sleeps.pause(self.now), self.arrivals.pause(self.now)];
        pauses.into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.stopping && self.arrivals.is_over() && self.waiting.is_empty() && self.peers.is_empty()
    }
}

fn of(key: u64) -> DefaultKey {
    KeyData::from_ffi(key).into()
}
