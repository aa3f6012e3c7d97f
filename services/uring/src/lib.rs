//! **uring**: completions: a program says what is to be done, the kernel does it and says that it is done.
//!
//! Each thread has a ring, and one io_uring_enter(2) for a whole batch: it submits every send, receive and accept that
//! the last batch led to, and returns with completions. The program never asks a socket whether it is ready.

mod accepts;
mod buffers;
mod chunk;
mod connection;
mod ring;

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use app::App;
use driver::{Calls, Helpers, Id, Sigterm, Timers, on_each_thread, stop_connection};
use http1::{Reply, Want};
use nix::errno::Errno;
use slotmap::SlotMap;
use supervisor::Model;

use accepts::{Accepts, Limit};
use chunk::Pool;
use connection::Connection;
use ring::{Completion, Op, Ring};

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is closed.
///
/// # Errors
/// `ErrorKind::Unsupported` where the machine does not permit io_uring, `ErrorKind::QuotaExceeded` where it has no memory for it.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let limit = Limit::new(app.settings().max_connections);
    let threads = app.settings().threads;
    on_each_thread(threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let accepts = Accepts::new(&listener, calls, &limit, threads == 1)?;
        // Never freed: if the loop fails, the kernel may still write into memory that the loop owns.
        Box::leak(Box::new(Loop::new(app, accepts, Ring::new(calls)?, Pool::new(calls)?)?)).run()
    })
}

/// Chunks of files that are sent in one batch at most. With larger batches the disk has nothing to do while the kernel sends what
/// it has read.
const CHUNKS: usize = 8;

struct Loop<'a> {
    app: App,
    ring: Ring,
    pool: Pool,
    accepts: Accepts<'a>,
    connections: SlotMap<Id, Connection>,
    deadlines: Timers<Id>,
    sleeps: Timers<Id>,
    helpers: Helpers<Id, Reply>,
    sigterm: Sigterm,
    stopping: bool,
    now: Instant,
    /// A time before the last io_uring_enter(2) began, so every event up to it is known. Deadlines are judged by it: an event
    /// that came later may not be known yet, even if the process was stopped for long after the call.
    seen_until: Instant,
}

impl<'a> Loop<'a> {
    fn new(app: App, accepts: Accepts<'a>, ring: Ring, pool: Pool) -> io::Result<Loop<'a>> {
        Ok(Loop {
            app,
            ring,
            pool,
            accepts,
            connections: SlotMap::with_key(),
            deadlines: Timers::default(),
            sleeps: Timers::default(),
            helpers: Helpers::new()?,
            sigterm: Sigterm::new()?,
            stopping: false,
            now: Instant::now(),
            seen_until: Instant::now(),
        })
    }

    /// The loop: submit what is to be done, wait until some of it is done, and see what is to be done then.
    fn run(&mut self) -> io::Result<()> {
        self.ring.watch(&self.sigterm, Op::Sigterm)?;
        self.ring.watch(&self.helpers, Op::Helpers)?;
        self.accept()?;
        let (mut completions, mut chunks) = (Vec::new(), VecDeque::new());
        while !self.is_finished() {
            let timeout = if chunks.is_empty() { self.timeout() } else { Some(Duration::ZERO) };
            self.ring.submit_and_wait(timeout)?; // io_uring_enter(2)
            self.seen_until = std::mem::replace(&mut self.now, Instant::now());
            self.ring.completions(&mut completions);
            for completion in completions.drain(..) {
                match completion.op {
                    Op::Accept => self.accepts.completed(&completion, self.now)?,
                    Op::Receive => self.received(completion)?,
                    Op::Send => self.sent(completion)?,
                    Op::Read => chunks.push_back(completion),
                    Op::Helpers => self.finish_jobs()?,
                    Op::Sigterm => self.stop()?,
                    Op::Cancel | Op::Close => {} // only their failure is reported, and it does not matter
                }
            }
            for completion in chunks.drain(..chunks.len().min(CHUNKS)) {
                self.file_read(completion)?;
            }
            self.run_timers()?;
            self.accept()?;
        }
        self.ring.submit_and_wait(Some(Duration::ZERO)) // submits the last closes
    }

    /// Serves the connections that are accepted and have a permit, and goes on accepting while there are permits.
    fn accept(&mut self) -> io::Result<()> {
        while let Some(socket) = self.accepts.next(self.now)? {
            self.serve(socket)?;
        }
        self.accepts.submit(&mut self.ring, self.now)
    }

    fn serve(&mut self, socket: TcpStream) -> io::Result<()> {
        let mut conn = self.app.connect(self.now);
        if self.stopping {
            stop_connection(&mut conn, &socket, self.now);
        }
        let id = self.connections.insert(Connection::new(socket, conn));
        self.advance(id)
    }

    /// Does what a connection wants, up to the next operation that takes time.
    fn advance(&mut self, id: Id) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if connection.closing || connection.broken {
            return self.close(id);
        }
        loop {
            match connection.conn.want() {
                Want::Close => return self.close(id),
                Want::Pending => break,
                _ if connection.is_sending => break, // the kernel has the bytes already
                Want::Read => match connection.take_early() {
                    Some(bytes) => connection.conn.received(&bytes, self.now),
                    None => {
                        connection.receive(id, &mut self.ring)?;
                        break;
                    }
                },
                Want::Write { bytes, more } => {
                    // SAFETY: the bytes stay in the `Conn` until `sent`, and the `Conn` stays until no operation is in progress.
                    unsafe { self.ring.send(id, &connection.socket, bytes, more)? };
                    connection.is_sending = true;
                }
                Want::SendFile(range) => {
                    let (chunk, socket) = (&mut connection.chunk, &connection.socket);
                    // SAFETY: the chunk stays in the connection, unchanged, while it `is_sending`.
                    let reads = unsafe { chunk.send_or_read(id, socket, range, &mut self.ring, &mut self.pool)? };
                    connection.awaits_file = reads;
                    connection.is_sending = true;
                }
                Want::Sleep(until) => {
                    if connection.sleeps_until.replace(until) != Some(until) {
                        self.sleeps.set(id, until);
                    }
                    connection.watch_for_break(id, &mut self.ring)?;
                    break;
                }
                Want::Block(job) => {
                    if self.helpers.run(id, || job.run()).is_err() {
                        return self.close(id); // no thread for it: that costs this connection alone
                    }
                    break;
                }
                Want::Shut => {
                    let _ = connection.socket.shutdown(Shutdown::Write); // if the peer is gone, the next receive says so
                    connection.conn.shut(self.now);
                }
            }
        }
        if !connection.awaits_file {
            self.deadlines.set_for_deadline(id, connection.conn.deadline(), &mut connection.timer);
        }
        Ok(())
    }

    /// The kernel has received bytes, or the end of the stream. Most bytes go straight from the provided buffer into the `Conn`.
    fn received(&mut self, completion: Completion) -> io::Result<()> {
        let id = completion.id;
        let Some(connection) = self.connections.get_mut(id) else {
            completion.buffer.into_iter().for_each(|buffer| self.ring.give_back(buffer));
            return Ok(());
        };
        connection.is_receiving &= completion.more;
        match (completion.result, completion.buffer) {
            (Ok(len), Some(buffer)) => {
                let bytes = self.ring.received(buffer, len);
                if connection.can_take_bytes() {
                    connection.conn.received(bytes, self.now);
                } else {
                    connection.keep_early(bytes);
                }
                self.ring.give_back(buffer);
                if connection.has_too_much_early() {
                    self.ring.cancel(Op::Receive, id)?;
                }
            }
            (Ok(_), None) => connection.peer_ended = true,
            // All provided buffers were in use, which ended the receive: `advance` submits another.
            (Err(Errno::ENOBUFS), _) => self.ring.add_buffer(),
            // The receive was cancelled, or has to be submitted again: `advance` does that if it is wanted.
            (Err(Errno::ECANCELED | Errno::EINTR | Errno::EAGAIN), _) => {}
            (Err(_), _) => connection.broken = true,
        }
        self.advance(id)
    }

    /// The socket has taken bytes.
    fn sent(&mut self, completion: Completion) -> io::Result<()> {
        let id = completion.id;
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.is_sending = false;
        match completion.result {
            Ok(n) => {
                connection.chunk.sent(n, &mut self.pool);
                connection.conn.sent(n, self.now);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => connection.broken = true,
        }
        self.advance(id)
    }

    /// The kernel has read bytes of a file; none if the file has shrunk.
    fn file_read(&mut self, completion: Completion) -> io::Result<()> {
        let id = completion.id;
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.is_sending = false;
        connection.awaits_file = false;
        connection.conn.file_ready(self.now); // from now on the peer has its time to take the bytes
        let Want::SendFile(range) = connection.conn.want() else { return self.advance(id) };
        match completion.result {
            Ok(n) if connection.chunk.filled(n, range, &mut self.pool) => {}
            Ok(_) => connection.conn.sent(0, self.now), // the file has shrunk
            Err(errno) => connection.broken = !connection.chunk.failed(errno, range.file, &mut self.pool),
        }
        self.advance(id)
    }

    /// Cancels the operations in progress, and closes the connection when none is left: until then the kernel may use its
    /// memory.
    fn close(&mut self, id: Id) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        if !std::mem::replace(&mut connection.closing, true) {
            connection.cancel(id, &mut self.ring)?;
        }
        let in_progress = connection.is_receiving || connection.is_sending;
        if !in_progress && let Some(mut connection) = self.connections.remove(id) {
            connection.chunk.free(&mut self.pool);
            self.ring.close(connection.socket.into())?;
            self.accepts.closed();
        }
        Ok(())
    }

    /// Sees to the connections whose deadline or sleep is over.
    fn run_timers(&mut self) -> io::Result<()> {
        while let Some((when, id)) = self.deadlines.pop(self.seen_until) {
            if let Some(connection) = self.connections.get_mut(id)
                && connection.timer == Some(when)
            {
                connection.timer = None;
                if !connection.awaits_file {
                    connection.conn.expired(self.seen_until);
                    self.advance(id)?;
                }
            }
        }
        while let Some((_, id)) = self.sleeps.pop(self.now) {
            // (While output is being sent there is no sleep to end: `advance` sets the timer when it comes to the sleep.)
            if let Some(connection) = self.connections.get_mut(id)
                && !connection.is_sending
            {
                connection.sleeps_until = None;
                connection.conn.woke(self.now);
                self.advance(id)?;
            }
        }
        Ok(())
    }

    /// Hands the replies of finished jobs to their connections.
    fn finish_jobs(&mut self) -> io::Result<()> {
        while let Some((id, reply)) = self.helpers.finished() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.conn.done(reply, self.now);
                self.advance(id)?;
            }
        }
        self.ring.watch(&self.helpers, Op::Helpers)
    }

    /// SIGTERM has come: accepts what is in the backlog, closes idle connections, and finishes the others.
    fn stop(&mut self) -> io::Result<()> {
        self.stopping = true;
        self.accepts.drain();
        let ids: Vec<_> = self.connections.keys().collect();
        for id in ids {
            let connection = &mut self.connections[id];
            stop_connection(&mut connection.conn, &connection.socket, self.now);
            self.advance(id)?;
        }
        Ok(())
    }

    /// How long the loop may wait for a completion; `None` is without end.
    fn timeout(&self) -> Option<Duration> {
        let timers = [self.deadlines.timeout(self.now), self.sleeps.timeout(self.now)];
        timers.into_iter().chain([self.accepts.timeout(self.now)]).flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.stopping && self.accepts.is_drained() && self.connections.is_empty()
    }
}
