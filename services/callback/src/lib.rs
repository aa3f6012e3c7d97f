//! **callback**: one thread; a function that would have to wait registers a callback instead, and returns.
//!
//! Continuation-passing style, as in libasync: a function does what can be done now, and registers the function that goes
//! on when more can be done. The callbacks share the client's state by reference counting: when no callback refers to it
//! any more, its socket is closed.

pub mod reactor;
mod server;

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use app::App;
use driver::{Acceptor, Calls, MAX_STEPS, Permits, Sigterm};
use http1::{Conn, Want};
use slotmap::DefaultKey;
use supervisor::Model;

use reactor::{Op, Reactor, Timecb, wrap};
use server::Server;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Registers the callbacks for a new connection, for a finished job, and for SIGTERM; all others follow from these.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let permits = Permits::new(app.settings().max_connections);
    let calls = Calls(app.counters());
    let sigterm = Sigterm::new()?;
    let mut reactor = Reactor::new(calls)?;
    let server = Server::new(app, Acceptor::new(&listener, calls, &permits)?)?;
    server.listen(&mut reactor)?;
    reactor.fdcb(&*server.helpers.borrow(), Op::Read, wrap(&server, Server::finish_jobs))?;
    reactor.fdcb(&sigterm, Op::Read, {
        let (server, sigterm) = (Rc::clone(&server), &sigterm);
        move |reactor| {
            reactor.fdcb_remove(sigterm, Op::Read); // the descriptor stays readable
            server.stop(reactor)
        }
    })?;
    while !server.is_finished() {
        reactor.run_once()?;
    }
    Ok(())
}

/// A connection. Only the callbacks that wait for something of it hold a reference.
struct Client<'a> {
    server: Rc<Server<'a>>,
    key: DefaultKey,
    socket: TcpStream,
    state: RefCell<State>,
}

struct State {
    conn: Conn<App>,
    /// The one timer for its deadline.
    timer: Option<Timecb>,
    /// The end of a sleep, or the next turn.
    resume: Option<Timecb>,
}

impl<'a> Client<'a> {
    /// A connection was accepted; `readable` says that its request is probably here too.
    fn begin(server: &Rc<Server<'a>>, socket: TcpStream, readable: bool, reactor: &mut Reactor<'a>) -> io::Result<()> {
        server.new_client(socket, reactor.now()).go_on(reactor, readable)
    }

    fn readable(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.go_on(reactor, true)
    }

    fn writable(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.go_on(reactor, false)
    }

    /// The client has reset it while it slept.
    fn broken(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.close(&mut self.state.borrow_mut(), reactor)
    }

    /// Its sleep is over, or the other clients have had their turn.
    fn resume(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.resume = None;
        reactor.fdcb_remove(&self.socket, Op::Break);
        state.conn.woke(reactor.now());
        drop(state);
        self.go_on(reactor, false)
    }

    /// Its timer has run out: ends the connection if its deadline has passed, and sets another timer if not.
    fn timed_out(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.timer = None;
        if state.conn.deadline().is_some_and(|deadline| deadline <= reactor.seen_until()) {
            state.conn.expired(reactor.seen_until());
            drop(state);
            return self.go_on(reactor, false);
        }
        self.set_timer(&mut state, reactor);
        Ok(())
    }

    /// Does what can be done now, and registers a callback for the rest.
    fn go_on(self: &Rc<Self>, reactor: &mut Reactor<'a>, mut readable: bool) -> io::Result<()> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let calls = self.server.calls;
        for step in 0.. {
            if step == MAX_STEPS {
                self.resume_after(Duration::ZERO, state, reactor);
                break;
            }
            let done = match state.conn.want() {
                Want::Read if !readable => {
                    self.wait_until(Op::Read, reactor)?;
                    break;
                }
                Want::Read => {
                    readable = false; // if there are more bytes, the kernel reports the socket again
                    let mut buffer = self.server.buffer.borrow_mut();
                    let read = calls.read(&self.socket, &mut buffer);
                    read.map(|n| {
                        state.conn.received(&buffer[..n], reactor.now());
                        if n == buffer.len() {
                            state.conn.unread();
                        }
                    })
                }
                Want::Write { bytes, more } => {
                    calls.write(&self.socket, bytes, more).map(|n| state.conn.sent(n, reactor.catch_up()))
                }
                Want::SendFile(range) => {
                    calls.sendfile(&self.socket, range).map(|n| state.conn.sent(n, reactor.catch_up()))
                }
                Want::Sleep(until) => {
                    self.wait_for_break(reactor)?;
                    self.resume_after(until.saturating_duration_since(reactor.now()), state, reactor);
                    break;
                }
                Want::Block(job) => {
                    self.wait_for_nothing(reactor);
                    if self.server.run_job(self, job).is_err() {
                        return self.close(state, reactor); // no thread for it: that costs this connection alone
                    }
                    break;
                }
                Want::Pending => break,
                Want::Shut => self.socket.shutdown(Shutdown::Write).map(|()| state.conn.shut(reactor.now())),
                Want::Close => return self.close(state, reactor),
            };
            match done {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // After a read that found nothing, the next step waits.
                    if !matches!(state.conn.want(), Want::Read) {
                        self.wait_until(Op::Write, reactor)?;
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(state, reactor), // an error of this socket or file costs this connection alone
                Ok(()) => {}
            }
        }
        self.set_timer(state, reactor);
        Ok(())
    }

    /// Registers the callback that goes on when the socket is ready. The one for reads stays from request to request.
    fn wait_until(self: &Rc<Self>, op: Op, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let other = if op == Op::Read { Op::Write } else { Op::Read };
        reactor.fdcb_remove(&self.socket, other);
        match op {
            _ if reactor.has_fdcb(&self.socket, op) => Ok(()),
            Op::Read => reactor.fdcb(&self.socket, op, wrap(self, Client::readable)),
            Op::Write => reactor.fdcb(&self.socket, op, wrap(self, Client::writable)),
            Op::Break => reactor.fdcb(&self.socket, op, wrap(self, Client::broken)),
        }
    }

    /// While it sleeps, neither bytes nor the end of the client's stream matter.
    fn wait_for_break(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.wait_for_nothing(reactor);
        self.wait_until(Op::Break, reactor)
    }

    fn wait_for_nothing(&self, reactor: &mut Reactor<'a>) {
        reactor.fdcb_remove(&self.socket, Op::Read);
        reactor.fdcb_remove(&self.socket, Op::Write);
    }

    fn resume_after(self: &Rc<Self>, delay: Duration, state: &mut State, reactor: &mut Reactor<'a>) {
        state.resume.get_or_insert_with(|| reactor.delaycb(delay, wrap(self, Client::resume)));
    }

    /// Sets its timer, unless the one that is set runs out before the deadline anyway. So a request, which moves the deadline
    /// away, costs nothing here.
    fn set_timer(self: &Rc<Self>, state: &mut State, reactor: &mut Reactor<'a>) {
        let Some(deadline) = state.conn.deadline() else { return };
        if state.timer.is_some_and(|timer| timer.when() <= deadline) {
            return;
        }
        state.timer.into_iter().for_each(|timer| reactor.timecb_remove(timer));
        let delay = deadline.saturating_duration_since(reactor.now());
        state.timer = Some(reactor.delaycb(delay, wrap(self, Client::timed_out)));
    }

    /// Removes every callback that refers to it. Then only the caller does, and when that returns, the socket is closed.
    fn close(&self, state: &mut State, reactor: &mut Reactor<'a>) -> io::Result<()> {
        reactor.forget(&self.socket);
        [state.timer.take(), state.resume.take()]
            .into_iter()
            .flatten()
            .for_each(|timecb| reactor.timecb_remove(timecb));
        self.server.closed(self.key, reactor)
    }
}
