//! The handlers one by one, for a router of another make: what was asked in, a reply out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Reply;
use scoreboard::Route;

use crate::{App, nods, routes};

/// Looks a field of the request up: gives the value of each line with that name (any case), in the order sent.
pub type Fields<'f, 'a> = &'f dyn Fn(&str) -> Vec<&'a [u8]>;

/// What a framework's routes call. What is wrong with a request is a reply, too.
impl App {
    /// `GET /`.
    pub fn hello(&self) -> Reply {
        routes::hello()
    }

    /// `GET /files/<name>`, the name percent-decoded; `HEAD` too, which pays no heed to a Range.
    pub fn file(&self, name: &str, method: &str, fields: Fields<'_, '_>) -> Reply {
        self.shared.files.answer(name.as_bytes(), method, fields)
    }

    /// `GET /sleep/<ms>`: how long to wait before the reply is sent; or an error's reply at once.
    pub fn sleep(&self, ms: &str) -> Result<(Duration, Reply), Reply> {
        routes::sleep(ms.as_bytes())
    }

    /// `GET /work/<iterations>`. It takes as long as the work does.
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

    /// `POST /nod`: what the form says is saved for the account that the cookie names. It blocks as long as the store does.
    pub fn nod(&self, fields: Fields<'_, '_>, form: &[u8]) -> Reply {
        let content_type = fields("content-type").first().copied();
        nods::nod(self.shared, nods::account(fields("cookie").into_iter()), content_type, form)
    }

    /// `GET /nods`. It blocks as long as the store does.
    pub fn nods(&self) -> Reply {
        nods::nods(self.shared)
    }

    /// What no handler is for: a path that the router does not know (404), a method that it lacks (405),
    /// and OPTIONS (204).
    pub fn unhandled(&self, method: &str, path: &str) -> Reply {
        routes::unhandled(method, path)
    }

    /// The route that a path, as sent, is counted under. The error is a reply: 501 where nobody knows the method, 400
    /// where the path's percent-encoding is not valid.
    pub fn route(&self, method: &str, path: &str) -> Result<Route, Reply> {
        routes::route(method, path)
    }
}
