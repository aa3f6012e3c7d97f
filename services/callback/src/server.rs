//! What all clients share: the acceptor, the read buffer, the helper threads, and the stop.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use app::App;
use driver::{Acceptor, Calls, Helpers, READ_BUFFER, stop_connection};
use http1::{Job, Reply};
use slotmap::{DefaultKey, SlotMap};

use crate::reactor::{Op, Reactor, Timecb, wrap};
use crate::{Client, State};

pub struct Server<'a> {
    pub calls: Calls,
    pub buffer: RefCell<Box<[u8]>>,
    pub helpers: RefCell<Helpers<DefaultKey, Reply>>,
    app: App,
    acceptor: RefCell<Acceptor<'a>>,
    /// All clients, which have to stop at SIGTERM. Weak references, so that a client ends with its last callback.
    clients: RefCell<SlotMap<DefaultKey, Weak<Client<'a>>>>,
    /// The clients that wait for a job. The only circle of references, and it ends with the job.
    jobs: RefCell<HashMap<DefaultKey, Rc<Client<'a>>>>,
    /// The timer after which the server accepts again.
    back_off: Cell<Option<Timecb>>,
    stopping: Cell<bool>,
}

impl<'a> Server<'a> {
    /// A server without clients.
    ///
    /// # Errors
    /// The machine has no descriptor left.
    pub fn new(app: App, acceptor: Acceptor<'a>) -> io::Result<Rc<Server<'a>>> {
        Ok(Rc::new(Server {
            calls: acceptor.calls(),
            buffer: RefCell::new(vec![0; READ_BUFFER].into_boxed_slice()),
            helpers: RefCell::new(Helpers::new()?),
            app,
            acceptor: RefCell::new(acceptor),
            clients: RefCell::default(),
            jobs: RefCell::default(),
            back_off: Cell::new(None),
            stopping: Cell::new(false),
        }))
    }

    /// Registers a callback for new connections, now or when the acceptor backs off no longer.
    pub fn listen(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.back_off.take().into_iter().for_each(|timer| reactor.timecb_remove(timer));
        let acceptor = self.acceptor.borrow();
        if let Some(delay) = acceptor.timeout(reactor.now()) {
            reactor.fdcb_remove(&*acceptor, Op::Read);
            self.back_off.set(Some(reactor.delaycb(delay, wrap(self, Server::listen))));
        } else if acceptor.is_drained() {
            reactor.fdcb_remove(&*acceptor, Op::Read);
        } else if self.stopping.get() {
            // Until an accept finds the backlog empty: the kernel does not report that by itself.
            reactor.fdcb_remove(&*acceptor, Op::Read);
            self.back_off.set(Some(reactor.delaycb(Duration::ZERO, wrap(self, Server::accept))));
        } else if !reactor.has_fdcb(&*acceptor, Op::Read) {
            reactor.fdcb(&*acceptor, Op::Read, wrap(self, Server::accept))?;
        }
        Ok(())
    }

    /// Accepts what has arrived, one batch of it.
    fn accept(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let batch = self.acceptor.borrow_mut().begin_batch(reactor.now());
        for _ in 0..batch {
            let Some(socket) = self.acceptor.borrow_mut().accept(reactor.now())? else { break };
            Client::begin(self, socket, batch > 1, reactor)?;
        }
        self.listen(reactor)
    }

    /// A client to which only the caller refers.
    pub fn new_client(self: &Rc<Self>, socket: TcpStream, now: Instant) -> Rc<Client<'a>> {
        let mut conn = self.app.connect(now);
        if self.stopping.get() {
            stop_connection(&mut conn, &socket, now);
        }
        let state = RefCell::new(State { conn, timer: None, resume: None });
        let mut clients = self.clients.borrow_mut();
        let key = clients.insert(Weak::new());
        let client = Rc::new(Client { server: Rc::clone(self), key, socket, state });
        clients[key] = Rc::downgrade(&client);
        client
    }

    /// A connection is closed, and its permit is free.
    pub fn closed(self: &Rc<Self>, key: DefaultKey, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.clients.borrow_mut().remove(key);
        self.acceptor.borrow_mut().closed();
        if self.back_off.get().is_some() { self.listen(reactor) } else { Ok(()) }
    }

    /// Lets a helper thread run the job, after which the client goes on.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn run_job(&self, client: &Rc<Client<'a>>, job: Job) -> io::Result<()> {
        self.helpers.borrow_mut().run(client.key, || job.run())?;
        self.jobs.borrow_mut().insert(client.key, Rc::clone(client));
        Ok(())
    }

    /// Hands the replies of finished jobs to their clients: the helper threads' eventfd is readable.
    pub fn finish_jobs(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        loop {
            let finished = self.helpers.borrow().finished();
            let Some((key, reply)) = finished else { return Ok(()) };
            let client = self.jobs.borrow_mut().remove(&key);
            if let Some(client) = client {
                client.state.borrow_mut().conn.done(reply, reactor.now());
                client.go_on(reactor, false)?;
            }
        }
    }

    /// SIGTERM has come: accepts what is in the backlog, closes idle clients, and finishes the others.
    pub fn stop(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.stopping.set(true);
        self.acceptor.borrow_mut().drain();
        let clients: Vec<_> = self.clients.borrow().values().filter_map(Weak::upgrade).collect();
        for client in clients {
            stop_connection(&mut client.state.borrow_mut().conn, &client.socket, reactor.now());
            client.go_on(reactor, false)?;
        }
        self.listen(reactor)
    }

    pub fn is_finished(&self) -> bool {
        self.stopping.get() && self.acceptor.borrow().is_drained() && self.clients.borrow().is_empty()
    }
}
