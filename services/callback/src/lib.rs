//! **callback**: one thread; whoever waits for something leaves a callback, and returns.
//!
//! Continuation-passing style, as in libasync: a function does what can be done now, and registers the one that goes on
//! when more can be done. What is handed on is the client's state, which is reference counted: when no callback refers
//! to it any more, its socket is closed.

pub mod reactor;
mod server;

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use app::App;
use driver::{Arrivals, Calls, Places, Stop, TURN};
use http::{Conn, Want};
use slotmap::DefaultKey;
use supervisor::Model;

use reactor::{Op, Reactor, Timecb, wrap};
use server::Server;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Registers who is called when somebody arrives, when a job is done, and at SIGTERM; all else follows from these.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let places = Places::new(app.settings().max_connections);
    let calls = Calls(app.counters());
    let stop = Stop::new()?;
    let mut reactor = Reactor::new(calls)?;
    let server = Server::new(app, Arrivals::new(&listener, calls, &places)?)?;
    server.listen(&mut reactor)?;
    reactor.fdcb(&*server.helpers.borrow(), Op::Read, wrap(&server, Server::finish_jobs))?;
    reactor.fdcb(&stop, Op::Read, {
        let (server, stop) = (Rc::clone(&server), &stop);
        move |reactor| {
            reactor.fdcb_remove(stop, Op::Read); // it stays readable
            server.stop(reactor)
        }
    })?;
    while !server.is_finished() {
        reactor.run_once()?;
    }
    Ok(())
}

/// A connection. The callbacks that wait for something of it hold it, and nobody else does.
struct Client<'a> {
    server: Rc<Server<'a>>,
    key: DefaultKey,
    socket: TcpStream,
    state: RefCell<State>,
}

struct State {
    conn: Conn<App>,
    /// The killing task, and there is but one: it looks at the connection's deadline when it comes due.
    kill: Option<Timecb>,
    /// The end of a sleep, or the next turn.
    resume: Option<Timecb>,
}

impl<'a> Client<'a> {
    /// Somebody has arrived; `at_once` says that the request is probably here too.
    fn begin(server: &Rc<Server<'a>>, socket: TcpStream, at_once: bool, reactor: &mut Reactor<'a>) -> io::Result<()> {
        server.take_in(socket, reactor.now()).go_on(reactor, at_once)
    }

    fn readable(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.go_on(reactor, true)
    }

    fn writable(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.go_on(reactor, false)
    }

    /// It has slept enough, or others have had their turn.
    fn resume(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.resume = None;
        state.conn.woke(reactor.now());
        drop(state);
        self.go_on(reactor, false)
    }

    /// The killing task: ends who takes too long. Whoever is not late is left alone, and looked at again.
    fn kill(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.kill = None;
        if state.conn.deadline().is_some_and(|deadline| deadline <= reactor.now()) {
            state.conn.expired(reactor.now());
            drop(state);
            return self.go_on(reactor, false);
        }
        self.remind(&mut state, reactor);
        Ok(())
    }

    /// Does what can be done now, and leaves a callback for the rest.
    fn go_on(self: &Rc<Self>, reactor: &mut Reactor<'a>, mut readable: bool) -> io::Result<()> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let calls = self.server.calls;
        for step in 0.. {
            if step == TURN {
                self.resume_after(Duration::ZERO, state, reactor);
                break;
            }
            let done = match state.conn.want() {
                Want::Read if !readable => {
                    self.wait_until(Op::Read, reactor)?;
                    break;
                }
                Want::Read => {
                    readable = false; // should there be more, the kernel says so again
                    let mut buffer = self.server.buffer.borrow_mut();
                    let read = calls.read(&self.socket, &mut buffer);
                    read.map(|n| state.conn.received(&buffer[..n], reactor.now()))
                }
                Want::Write { bytes, more } => {
                    calls.write(&self.socket, bytes, more).map(|n| state.conn.sent(n, reactor.catch_up()))
                }
                Want::SendFile(range) => {
                    calls.sendfile(&self.socket, range).map(|n| state.conn.sent(n, reactor.catch_up()))
                }
                Want::Sleep(until) => {
                    self.wait_for_nothing(reactor);
                    self.resume_after(until.saturating_duration_since(reactor.now()), state, reactor);
                    break;
                }
                Want::Block(job) => {
                    self.wait_for_nothing(reactor);
                    if self.server.hand_out(self, job).is_err() {
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
                    // A read that was in vain is followed by another look at what is wanted, which is to wait.
                    if !matches!(state.conn.want(), Want::Read) {
                        self.wait_until(Op::Write, reactor)?;
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(state, reactor), // a broken peer costs its own connection
                Ok(()) => {}
            }
        }
        self.remind(state, reactor);
        Ok(())
    }

    /// What goes on when the socket is ready. A callback for reads is registered once, and stays from request to request.
    fn wait_until(self: &Rc<Self>, op: Op, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let other = if op == Op::Read { Op::Write } else { Op::Read };
        reactor.fdcb_remove(&self.socket, other);
        match op {
            _ if reactor.has_fdcb(&self.socket, op) => Ok(()),
            Op::Read => reactor.fdcb(&self.socket, op, wrap(self, Client::readable)),
            Op::Write => reactor.fdcb(&self.socket, op, wrap(self, Client::writable)),
        }
    }

    fn wait_for_nothing(&self, reactor: &mut Reactor<'a>) {
        reactor.fdcb_remove(&self.socket, Op::Read);
        reactor.fdcb_remove(&self.socket, Op::Write);
    }

    fn resume_after(self: &Rc<Self>, delay: Duration, state: &mut State, reactor: &mut Reactor<'a>) {
        state.resume.get_or_insert_with(|| reactor.delaycb(delay, wrap(self, Client::resume)));
    }

    /// Has the killing task come in time for the deadline. A request moves that away, which costs nothing here.
    fn remind(self: &Rc<Self>, state: &mut State, reactor: &mut Reactor<'a>) {
        let Some(deadline) = state.conn.deadline() else { return };
        if state.kill.is_some_and(|kill| kill.when() <= deadline) {
            return;
        }
        state.kill.into_iter().for_each(|kill| reactor.timecb_remove(kill));
        let delay = deadline.saturating_duration_since(reactor.now());
        state.kill = Some(reactor.delaycb(delay, wrap(self, Client::kill)));
    }

    /// Removes every callback that holds it: the last one is the caller, and with it goes the socket.
    fn close(&self, state: &mut State, reactor: &mut Reactor<'a>) -> io::Result<()> {
        reactor.forget(&self.socket);
        [state.kill.take(), state.resume.take()].into_iter().flatten().for_each(|timecb| reactor.timecb_remove(timecb));
        self.server.closed(self.key, reactor)
    }
}
