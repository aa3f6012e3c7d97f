//! All connections of an event loop that learns readiness.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use http1::{Conn, Handler, Reply};
use slotmap::SlotMap;

use crate::acceptor::Acceptor;
use crate::common::READ_BUFFER;
use crate::connection::{Connection, Next};
use crate::files::SendFile;
use crate::helpers::Helpers;
use crate::poller::{Id, Interest, Key, Poller, Readiness, Trigger};
use crate::signals::Sigterm;
use crate::syscalls::Calls;
use crate::timers::Timers;
use crate::ttl::stop_connection;

/// The connections of one event loop. It does everything for them except to find out which sockets are ready: the [`Poller`]
/// does that, and the loop passes it to each function that may have to tell it something.
pub struct Connections<'a, H, F = Calls> {
    acceptor: Acceptor<'a>,
    connect: Box<dyn Fn(Id, Instant) -> Conn<H> + 'a>,
    files: F,
    calls: Calls,
    connections: SlotMap<Id, Connection<H>>,
    deadlines: Timers<Id>,
    sleeps: Timers<Id>,
    helpers: Helpers<Id, Reply>,
    sigterm: Sigterm,
    /// Connections that have used up their turn.
    unfinished: Vec<Id>,
    read_buffer: Box<[u8]>,
    now: Instant,
    /// A time before the last wait began, so every event up to it is known. Deadlines are judged by it: an event that came
    /// later may not be known yet, even if the process was stopped for long after the wait.
    seen_until: Instant,
    /// The poller watches the listener.
    is_listening: bool,
    stopping: bool,
}

impl<'a, H: Handler, F: SendFile> Connections<'a, H, F> {
    /// Has no connection yet; `connect` makes the `Conn` of each one that is accepted.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new(
        acceptor: Acceptor<'a>,
        files: F,
        connect: impl Fn(Id, Instant) -> Conn<H> + 'a,
    ) -> io::Result<Connections<'a, H, F>> {
        Ok(Connections {
            calls: acceptor.calls(),
            acceptor,
            connect: Box::new(connect),
            files,
            connections: SlotMap::with_key(),
            deadlines: Timers::default(),
            sleeps: Timers::default(),
            helpers: Helpers::new()?,
            sigterm: Sigterm::new()?,
            unfinished: Vec::new(),
            read_buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            now: Instant::now(),
            seen_until: Instant::now(),
            is_listening: false,
            stopping: false,
        })
    }

    /// Watches the loop's own descriptors: the listener, SIGTERM, and the helper threads' eventfd.
    ///
    /// # Errors
    /// The poller's; this holds for all functions that take it.
    pub fn watch_own(&mut self, poller: &mut impl Poller) -> io::Result<()> {
        poller.watch(self.sigterm.as_fd(), Key::Stop, Interest::Read)?;
        poller.watch(self.helpers.as_fd(), Key::Helpers, Interest::Read)?;
        self.listen(poller)
    }

    /// Watches the listener, unless the acceptor backs off or is drained.
    fn listen(&mut self, poller: &mut impl Poller) -> io::Result<()> {
        let listen = self.acceptor.is_listening(self.now);
        if listen == std::mem::replace(&mut self.is_listening, listen) {
            return Ok(());
        }
        match listen {
            true => poller.watch(self.acceptor.as_fd(), Key::Listener, Interest::Read),
            false => poller.forget(self.acceptor.as_fd()),
        }
    }

    /// How the loop sends files.
    pub fn files(&mut self) -> &mut F {
        &mut self.files
    }

    /// Accepts what has arrived, one batch of it.
    pub fn accept<P: Poller>(&mut self, poller: &mut P) -> io::Result<()> {
        let batch = self.acceptor.begin_batch(self.now);
        let mut has_accepted = false;
        for _ in 0..batch {
            let Some(socket) = self.acceptor.accept(self.now)? else { break };
            has_accepted = true;
            let readiness = Readiness { readable: batch > 1, writable: true, ..Readiness::default() };
            let Connections { connect, now, stopping, .. } = self;
            let id = self.connections.insert_with_key(|id| {
                let mut conn = connect(id, *now);
                if *stopping {
                    stop_connection(&mut conn, &socket, *now);
                }
                Connection::new(socket, conn, readiness)
            });
            self.advance(id, readiness, poller)?;
        }
        // The kernel keeps the queue of the loops that wait for a listener, and wakes the first idle one: without this, the same
        // loop again and again. (poll(2) and select(2) join the queue anew with each wait.)
        if has_accepted && P::TRIGGER == Trigger::Edge && self.is_listening && self.acceptor.is_shared() {
            poller.forget(self.acceptor.as_fd())?;
            poller.watch(self.acceptor.as_fd(), Key::Listener, Interest::Read)?; // at the end of the queue
        }
        Ok(()) // if it backs off now, `run_timers` tells the poller, unless a connection closes before
    }

    /// Drives one connection as far as it goes without waiting, and tells the poller what it waits for then.
    pub fn advance(&mut self, id: Id, readiness: Readiness, poller: &mut impl Poller) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.readiness.readable |= readiness.readable;
        connection.readiness.writable |= readiness.writable;
        if readiness.hung_up {
            connection.readiness.hung_up = true;
            connection.readiness.broken |= readiness.broken;
        }
        let next = connection.advance(id, &mut self.files, self.calls, &mut self.read_buffer, &mut self.now);
        let interest = match next {
            Next::Ready(interest) => Some(interest),
            Next::Event => None,
            Next::Sleep(until) => {
                if connection.sleeps_until.replace(until) != Some(until) {
                    self.sleeps.set(id, until);
                }
                Some(Interest::Break)
            }
            Next::Run(job) => {
                connection.runs_job = true;
                if self.helpers.run(id, || job.run()).is_err() {
                    return self.close(id, poller); // no thread for it: that costs this connection alone
                }
                None
            }
            Next::Turn => {
                if !std::mem::replace(&mut connection.is_unfinished, true) {
                    self.unfinished.push(id);
                }
                connection.interest
            }
            Next::Close => return self.close(id, poller),
        };
        if !connection.awaits_file {
            self.deadlines.set_for_deadline(id, connection.conn.deadline(), &mut connection.timer);
        }
        watch(connection, id, interest, poller)
    }

    /// Drives a connection further because something other than its socket is ready.
    pub fn resume(&mut self, id: Id, poller: &mut impl Poller) -> io::Result<()> {
        self.advance(id, Readiness::default(), poller)
    }

    fn close(&mut self, id: Id, poller: &mut impl Poller) -> io::Result<()> {
        let Some(connection) = self.connections.remove(id) else { return Ok(()) };
        if connection.interest.is_some() {
            poller.forget_closing(connection.socket.as_fd())?;
        }
        drop(connection);
        self.files.closed(id);
        self.acceptor.closed();
        self.listen(poller) // there is a permit again
    }

    /// How long the loop may wait for events; `None` is without end.
    pub fn timeout(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() || (self.is_draining() && self.acceptor.is_listening(self.now)) {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.timeout(self.now);
        [deadline, self.sleeps.timeout(self.now), self.acceptor.timeout(self.now)].into_iter().flatten().min()
    }

    /// The loop has waited until now.
    pub fn set_now(&mut self, now: Instant) {
        self.seen_until = self.now;
        self.now = now;
    }

    /// Sees to the connections whose deadline or sleep is over or whose turn was cut short, and to the listener.
    pub fn run_timers(&mut self, poller: &mut impl Poller) -> io::Result<()> {
        if self.is_draining() {
            self.accept(poller)?;
        }
        for id in std::mem::take(&mut self.unfinished) {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.is_unfinished = false;
                self.resume(id, poller)?;
            }
        }
        while let Some((when, id)) = self.deadlines.pop(self.seen_until) {
            if let Some(connection) = self.connections.get_mut(id)
                && connection.timer == Some(when)
            {
                connection.timer = None;
                if !connection.awaits_file {
                    connection.conn.expired(self.seen_until);
                    self.resume(id, poller)?;
                }
            }
        }
        // Collected first: a sleep of no time that begins meanwhile waits for the next round.
        let slept: Vec<_> = std::iter::from_fn(|| self.sleeps.pop(self.now)).collect();
        for (_, id) in slept {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.sleeps_until = None;
                connection.conn.woke(self.now);
                self.resume(id, poller)?;
            }
        }
        self.listen(poller)
    }

    /// Hands the replies of finished jobs to their connections: the helper threads' eventfd is readable.
    pub fn finish_jobs(&mut self, poller: &mut impl Poller) -> io::Result<()> {
        while let Some((id, reply)) = self.helpers.finished() {
            self.reply(id, reply, poller)?;
        }
        Ok(())
    }

    /// Hands a reply to the connection that waits for it ([`Want::Pending`](http1::Want::Pending)).
    pub fn reply(&mut self, id: Id, reply: Reply, poller: &mut impl Poller) -> io::Result<()> {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.runs_job = false;
            connection.conn.done(reply, self.now);
        }
        self.resume(id, poller)
    }

    /// SIGTERM has come: accepts what is in the backlog, closes idle connections, and finishes the others.
    pub fn stop(&mut self, poller: &mut impl Poller) -> io::Result<()> {
        if std::mem::replace(&mut self.stopping, true) {
            return Ok(());
        }
        self.acceptor.drain();
        for (id, connection) in &mut self.connections {
            stop_connection(&mut connection.conn, &connection.socket, self.now);
            if !std::mem::replace(&mut connection.is_unfinished, true) {
                self.unfinished.push(id);
            }
        }
        poller.forget(self.sigterm.as_fd()) // the descriptor stays readable
    }

    /// Has SIGTERM come, and may there still be a connection in the backlog?
    fn is_draining(&self) -> bool {
        self.stopping && !self.acceptor.is_drained()
    }

    /// Has SIGTERM come, and is every connection closed?
    pub fn is_finished(&self) -> bool {
        self.stopping && self.acceptor.is_drained() && self.connections.is_empty()
    }
}

/// Tells the poller what a connection waits for, where the kernel has to know.
///
/// Edge-triggered, an interest only grows: most connections are watched for reads once, and never again for anything.
fn watch<H, P: Poller>(
    connection: &mut Connection<H>,
    id: Id,
    interest: Option<Interest>,
    poller: &mut P,
) -> io::Result<()> {
    let watched = connection.interest;
    connection.interest = match P::TRIGGER {
        Trigger::Edge => interest.max(watched), // None < Break < Read < Write
        Trigger::Level => interest,
    };
    if connection.interest == watched {
        return Ok(());
    }
    let (fd, key) = (connection.socket.as_fd(), Key::Connection(id));
    match (watched, connection.interest) {
        (_, None) => poller.forget(fd),
        (None, Some(interest)) => poller.watch(fd, key, interest),
        (Some(_), Some(interest)) => poller.change(fd, key, interest),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::BorrowedFd;

    use http1::{Answer, Request, Served};
    use scoreboard::Scoreboard;

    use super::*;
    use crate::permits::Permits;
    use crate::poller::Event;

    /// Every request sleeps for an hour.
    struct Sleeps;

    impl Handler for Sleeps {
        fn answer(&mut self, _: &Request<'_>, _: Instant) -> Answer {
            Answer::Sleep(Duration::from_secs(3600), Reply::text("late"))
        }

        fn date(&mut self, _: Instant) -> [u8; 29] {
            *b"Sun, 06 Nov 1994 08:49:37 GMT"
        }

        fn served(&mut self, _: Served) {}
    }

    /// Keeps what the last descriptor is watched for, and never finds anything ready.
    #[derive(Default)]
    struct Watched(Option<Interest>);

    impl Poller for Watched {
        const TRIGGER: Trigger = Trigger::Level;

        fn watch(&mut self, _: BorrowedFd<'_>, _: Key, interest: Interest) -> io::Result<()> {
            self.0 = Some(interest);
            Ok(())
        }

        fn change(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
            self.watch(fd, key, interest)
        }

        fn forget(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
            self.0 = None;
            Ok(())
        }

        fn forget_closing(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
            self.forget(fd)
        }

        fn wait(&mut self, _: Option<Duration>, _: &mut Vec<Event>) -> io::Result<()> {
            Ok(())
        }
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const READABLE: Readiness = Readiness { readable: true, writable: false, hung_up: false, broken: false };

    /// Calls `body` with the connections of a loop and the one peer that it has accepted, and with the loop's permit.
    fn with_a_peer(body: impl FnOnce(&mut Connections<'_, Sleeps>, Id, TcpStream, &Permits)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let calls = Calls(Box::leak(Box::new(Scoreboard::map().unwrap())).claim());
        let permits = Permits::new(1);
        let acceptor = Acceptor::new(&listener, calls, &permits).unwrap();
        let limits = Box::leak(Box::default());
        let mut connections = Connections::new(acceptor, calls, |_, now| Conn::new(Sleeps, limits, now)).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        connections.accept(&mut Watched::default()).unwrap();
        let id = connections.connections.keys().next().unwrap();
        body(&mut connections, id, peer, &permits);
    }

    /// Sends a request, and returns when the kernel has it for the server.
    fn send(mut peer: &TcpStream, socket: &TcpStream) {
        peer.write_all(REQUEST).unwrap();
        wait_until(|| socket.peek(&mut [0; REQUEST.len()]).is_ok_and(|n| n == REQUEST.len()));
    }

    fn wait_until(mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "it takes too long");
        }
    }

    #[test]
    fn a_sleep_has_one_timer_however_many_events_come_and_ends_when_the_connection_is_broken() {
        with_a_peer(|connections, id, peer, permits| {
            let mut poller = Watched::default();
            send(&peer, &connections.connections[id].socket);
            (0..9).for_each(|_| connections.advance(id, READABLE, &mut poller).unwrap());
            assert_eq!(poller.0, Some(Interest::Break));
            assert!(connections.sleeps.pop(Instant::now() + Duration::from_secs(3601)).is_some());
            assert!(connections.sleeps.timeout(Instant::now()).is_none(), "it has a second timer");
            assert_eq!(permits.available(), 0);
            connections.advance(id, Readiness { hung_up: true, broken: true, ..READABLE }, &mut poller).unwrap();
            assert_eq!(permits.available(), 1);
        });
    }

    #[test]
    fn a_last_reply_is_not_reset_away_where_more_bytes_and_the_end_of_the_stream_came_before_it() {
        with_a_peer(|connections, id, mut peer, permits| {
            let mut poller = Watched::default();
            send(&peer, &connections.connections[id].socket);
            connections.advance(id, READABLE, &mut poller).unwrap();
            send(&peer, &connections.connections[id].socket);
            peer.shutdown(Shutdown::Write).unwrap();
            connections.advance(id, Readiness { hung_up: true, ..READABLE }, &mut poller).unwrap();
            connections.connections[id].conn.woke(Instant::now() + Duration::from_secs(3601));
            wait_until(|| {
                connections.resume(id, &mut poller).unwrap();
                permits.available() == 1
            });
            let mut reply = String::new();
            peer.read_to_string(&mut reply).unwrap();
            assert!(reply.ends_with("late"), "{reply}");
        });
    }
}
