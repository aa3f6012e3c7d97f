//! The handlers one by one, for a framework that has its own router. Each turns a part of a request into a reply.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http1::Reply;
use scoreboard::Route;

use crate::{App, nods, routes};

/// Looks a field of the request up: returns the value of each line with that name (any case), in the order sent.
pub type Fields<'f, 'a> = &'f dyn Fn(&str) -> Vec<&'a [u8]>;

/// The handlers for a framework's routes. An error is a reply, too.
impl App {
    /// `GET /`.
    pub fn hello(&self) -> Reply {
        routes::hello()
    }

    /// `GET /files/<name>`, the name percent-decoded; `HEAD` too, for which a Range means nothing.
    pub fn file(&self, name: &str, method: &str, fields: Fields<'_, '_>) -> Reply {
        self.shared.files.answer(name.as_bytes(), method, fields, Instant::now())
    }

    /// `GET /sleep/<ms>`: the time to wait and then the reply; or the reply to a request that is wrong, at once.
    pub fn sleep(&self, ms: &str) -> Result<(Duration, Reply), Reply> {
        routes::sleep(ms.as_bytes())
    }

    /// `GET /work/<iterations>`. The call computes for as long as the iterations take.
    pub fn work(&self, iterations: &str) -> Reply {
        routes::work(iterations.as_bytes())
    }

    /// `GET /counter`.
    pub fn count(&self) -> Reply {
        routes::counter(self.shared.board.counter().load(Ordering::Relaxed))
    }

    /// `POST /counter`.
    pub fn increment(&self) -> Reply {
        routes::counter(routes::increment(self.shared))
    }

    /// `POST /nod`: saves the form's nod for the account that the cookie names. The call blocks while the store does.
    pub fn nod(&self, fields: Fields<'_, '_>, form: &[u8]) -> Reply {
        let content_type = fields("content-type").first().copied();
        nods::nod(self.shared, nods::account(fields("cookie").into_iter()), content_type, form)
    }

    /// `GET /nods`. The call blocks while the store does.
    pub fn nods(&self) -> Reply {
        nods::nods(self.shared)
    }

    /// The reply to a request without a handler: the router does not know its path (404) or lacks its method (405), or
    /// it is OPTIONS (204).
    pub fn unhandled(&self, method: &str, path: &str) -> Reply {
        routes::unhandled(method, path)
    }

    /// The route under which a request is counted, from its path as sent. The error is a reply: 501 for an unknown
    /// method, 400 if the path's percent-encoding is not valid.
    pub fn route(&self, method: &str, path: &str) -> Result<Route, Reply> {
        routes::route(method, path)
    }
}
