//! What all clients share: arrivals, the read buffer, helper threads, and the end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use app::App;
use driver::{Arrivals, BUFFER, Calls, Helpers};
use http::Job;
use slotmap::{DefaultKey, Key, SlotMap};

use crate::reactor::{Op, Reactor, Timecb, wrap};
use crate::{Client, State};

pub struct Server<'a> {
    pub calls: Calls,
    pub buffer: RefCell<Box<[u8]>>,
    pub helpers: RefCell<Helpers>,
    app: App,
    arrivals: RefCell<Arrivals<'a>>,
    /// Everybody, to be told of SIGTERM. This keeps nobody alive.
    clients: RefCell<SlotMap<DefaultKey, Weak<Client<'a>>>>,
    /// Who goes on when a helper is done; the only circle of references, and it ends with the job.
    jobs: RefCell<HashMap<u64, Rc<Client<'a>>>>,
    /// Looks whether accepting still rests.
    rest: Cell<Option<Timecb>>,
    stopping: Cell<bool>,
}

impl<'a> Server<'a> {
    /// Has no clients yet.
    pub fn new(app: App, arrivals: Arrivals<'a>) -> io::Result<Rc<Server<'a>>> {
        Ok(Rc::new(Server {
            calls: arrivals.calls(),
            buffer: RefCell::new(vec![0; BUFFER].into_boxed_slice()),
            helpers: RefCell::new(Helpers::new()?),
            app,
            arrivals: RefCell::new(arrivals),
            clients: RefCell::default(),
            jobs: RefCell::default(),
            rest: Cell::new(None),
            stopping: Cell::new(false),
        }))
    }

    /// Has arrivals accepted from now on, or when accepting has rested.
    pub fn listen(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.rest.take().into_iter().for_each(|rest| reactor.timecb_remove(rest));
        let arrivals = self.arrivals.borrow();
        if let Some(pause) = arrivals.pause(reactor.now()) {
            reactor.fdcb_remove(&*arrivals, Op::Read);
            self.rest.set(Some(reactor.delaycb(pause, wrap(self, Server::listen))));
        } else if arrivals.is_over() {
            reactor.fdcb_remove(&*arrivals, Op::Read);
        } else if self.stopping.get() {
            // Until the queue is known to be dry, which the kernel does not say by itself.
            reactor.fdcb_remove(&*arrivals, Op::Read);
            self.rest.set(Some(reactor.delaycb(Duration::ZERO, wrap(self, Server::accept))));
        } else if !reactor.has_fdcb(&*arrivals, Op::Read) {
            reactor.fdcb(&*arrivals, Op::Read, wrap(self, Server::accept))?;
        }
        Ok(())
    }

    /// Takes in who has arrived.
    fn accept(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        let most = self.arrivals.borrow_mut().round();
        for _ in 0..most {
            let Some(socket) = self.arrivals.borrow_mut().next(reactor.now())? else { break };
            Client::begin(self, socket, most > 1, reactor)?;
        }
        self.listen(reactor)
    }

    /// A client that nobody holds yet but who gets it.
    pub fn take_in(self: &Rc<Self>, socket: TcpStream, now: Instant) -> Rc<Client<'a>> {
        let mut conn = self.app.connect(now);
        if self.stopping.get() {
            driver::stop(&mut conn, &socket, now);
        }
        let state = RefCell::new(State { conn, kill: None, resume: None });
        let mut clients = self.clients.borrow_mut();
        let key = clients.insert(Weak::new());
        let client = Rc::new(Client { server: Rc::clone(self), key, socket, state });
        clients[key] = Rc::downgrade(&client);
        client
    }

    /// A place is free.
    pub fn closed(self: &Rc<Self>, key: DefaultKey, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.clients.borrow_mut().remove(key);
        self.arrivals.borrow_mut().closed();
        if self.rest.get().is_some() { self.listen(reactor) } else { Ok(()) }
    }

    /// Has a helper thread do the job, after which the client goes on.
    pub fn hand_out(&self, client: &Rc<Client<'a>>, job: Job) -> io::Result<()> {
        let key = client.key.data().as_ffi();
        self.helpers.borrow_mut().run(key, || job.run())?;
        self.jobs.borrow_mut().insert(key, Rc::clone(client));
        Ok(())
    }

    /// The helpers are readable.
    pub fn finish_jobs(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        loop {
            let done = self.helpers.borrow().done();
            let Some((key, reply)) = done else { return Ok(()) };
            let client = self.jobs.borrow_mut().remove(&key);
            if let Some(client) = client {
                client.state.borrow_mut().conn.done(reply, reactor.now());
                client.go_on(reactor, false)?;
            }
        }
    }

    /// SIGTERM has come: the queue is taken dry, who is idle is closed, and the rest is finished.
    pub fn stop(self: &Rc<Self>, reactor: &mut Reactor<'a>) -> io::Result<()> {
        self.stopping.set(true);
        self.arrivals.borrow_mut().stop();
        let clients: Vec<_> = self.clients.borrow().values().filter_map(Weak::upgrade).collect();
        for client in clients {
            driver::stop(&mut client.state.borrow_mut().conn, &client.socket, reactor.now());
            client.go_on(reactor, false)?;
        }
        self.listen(reactor)
    }

    pub fn is_finished(&self) -> bool {
        self.stopping.get() && self.arrivals.borrow().is_over() && self.clients.borrow().is_empty()
    }
}
