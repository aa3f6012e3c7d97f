//! A server and the response to a request, by node's names.

use std::borrow::Cow;
use std::io;
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use driver::{Calls, Id};
use http1::{Answer, Body, Conn, Handler, Limits, Reply, Request, Served};
use scoreboard::Scoreboard;

use crate::{callbacks, run};

type OnRequest = Box<dyn Fn(&Request<'_>, Response)>;
type OnFinish = Box<dyn Fn(Served)>;

/// The callbacks of a server.
pub struct Server {
    on_request: OnRequest,
    on_finish: OnFinish,
}

/// A server that runs a callback for each request: node's `http.createServer`.
///
/// The request is whole, its body included, and lasts as long as the callback; the response lasts until it is ended.
pub fn create_server(on_request: impl Fn(&Request<'_>, Response) + 'static) -> Server {
    Server { on_request: Box::new(on_request), on_finish: Box::new(|_| {}) }
}

impl Server {
    /// Runs a callback for each response whose last byte the kernel has taken: node's event `finish`.
    #[must_use]
    pub fn on_finish(self, callback: impl Fn(Served) + 'static) -> Server {
        Server { on_finish: Box::new(callback), ..self }
    }

    /// Binds the port; 0 takes one that is free. Clients that connect wait until the server [runs](Listening::run).
    ///
    /// # Errors
    /// What bind(2) says: the port is taken, or not ours to have, or the host is no address of this machine.
    pub fn listen(self, port: u16, host: &str) -> io::Result<Listening> {
        Ok(Listening { server: self, listener: TcpListener::bind((host, port))? })
    }

    /// A connection that was just accepted.
    pub(crate) fn connect(&self, id: Id, limits: &'static Limits, now: Instant) -> Conn<Caller<'_>> {
        Conn::new(Caller { server: self, id }, limits, now)
    }
}

/// A server whose port is bound.
pub struct Listening {
    server: Server,
    listener: TcpListener,
}

impl Listening {
    /// The address at which it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Runs the loop on this thread until SIGTERM has come and every connection is closed. Node does that by itself after
    /// the program's last line. (A thread that does not block SIGTERM would take the signal first.)
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle.
    pub fn run(self) -> io::Result<()> {
        let counters = Box::leak(Box::new(Scoreboard::map()?)).claim();
        let limits = Box::leak(Box::new(Limits::default()));
        run(&self.server, &self.listener, usize::MAX, limits, Calls(counters))
    }
}

/// A connection's way to the callbacks.
pub(crate) struct Caller<'a> {
    server: &'a Server,
    id: Id,
}

impl Handler for Caller<'_> {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        (self.server.on_request)(request, Response::to(self.id));
        callbacks::take_reply_at_once(self.id).map_or(Answer::Later, Answer::Reply)
    }

    fn date(&mut self, now: Instant) -> [u8; 29] {
        app::imf_fixdate(now)
    }

    fn served(&mut self, served: Served) {
        (self.server.on_finish)(served);
    }
}

/// The response to one request, which waits until the response is ended. A response that is dropped without that is a 500.
///
/// It stays on the loop's thread:
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<event_loop::Response>();
/// ```
pub struct Response {
    id: Id,
    reply: Reply,
    ended: bool,
    /// Its end is put into a list of this thread's.
    _not_send: PhantomData<*const ()>,
}

/// The fields that the connection adds by itself.
const ITS_OWN: [&str; 4] = ["Date", "Server", "Content-Length", "Connection"];

impl Response {
    fn to(id: Id) -> Response {
        let reply = Reply { content_type: "", ..Reply::text("") };
        Response { id, reply, ended: false, _not_send: PhantomData }
    }

    /// Sets the status and the header fields: node's `writeHead`. Without it, the status is 200, and there are no fields
    /// but Date, Server, Content-Length and Connection: the connection adds those, and they are ignored here.
    pub fn write_head(&mut self, status: u16, fields: impl IntoIterator<Item = (&'static str, &'static str)>) {
        self.reply.status = status;
        for (name, value) in fields {
            if name.eq_ignore_ascii_case("Content-Type") {
                self.reply.content_type = value;
            } else if !ITS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                self.reply.fields.push((name, value.to_owned()));
            }
        }
    }

    /// Ends the response with this content.
    pub fn end(mut self, content: impl Into<Cow<'static, str>>) {
        self.reply.body = match self.reply.status {
            204 | 304 => Body::None, // which have no content: RFC 9110, 6.4.1
            _ => Reply::text(content).body,
        };
        self.ended = true;
    }

    /// Ends the response with a whole reply: express's `send`.
    pub fn send(mut self, reply: Reply) {
        self.reply = reply;
        self.ended = true;
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        let reply = std::mem::replace(&mut self.reply, Reply::text(""));
        callbacks::end(self.id, if self.ended { reply } else { Reply::status(500) });
    }
}
