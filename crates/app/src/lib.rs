//! What every server serves: the routes, the workloads, the shared data. Request in, reply out.
#![forbid(unsafe_code)]

mod conditions;
mod date;
mod default_files;
mod files;
mod handlers;
mod nods;
mod range;
mod routes;
mod store;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use http::{Answer, Conn, Handler, Limits, Request, Served};
use scoreboard::{Counters, Scoreboard};

pub use date::imf_fixdate;
pub use default_files::{default_files_dir, make_files};
pub use handlers::Fields;
pub use http::{Body, Reply, reason};
pub use store::prepare_store;

use files::Files;
use store::Store;

/// What a service was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Event loops, for models that have them: one thread each.
    pub threads: usize,
    /// Open connections above which accepting waits.
    pub max_connections: usize,
    /// The directory behind `/files/`.
    pub files: PathBuf,
    /// The file of the nods, as [`prepare_store`] has left it.
    pub store: PathBuf,
    /// Does `POST /counter` read, and then write, so that updates get lost where two do so at once?
    pub racy: bool,
    /// What one peer may ask of one connection.
    pub limits: Limits,
    /// The values of the flags that only this model has.
    pub own: Vec<(&'static str, usize)>,
}

impl Settings {
    /// One loop, a hundred connections, and what else is usual.
    pub fn with_files(files: impl Into<PathBuf>, store: impl Into<PathBuf>) -> Settings {
        Settings {
            threads: 1,
            max_connections: 100,
            files: files.into(),
            store: store.into(),
            racy: false,
            limits: Limits::default(),
            own: Vec::new(),
        }
    }

    /// The value of a flag that only this model has.
    ///
    /// # Panics
    /// If the model has not declared it.
    pub fn flag(&self, name: &str) -> usize {
        let value = self.own.iter().find(|(own, _)| *own == name);
        value.unwrap_or_else(|| panic!("the model has no flag --{name}")).1
    }
}

/// A handle on the application; copies are the same one. It lives as long as the process.
#[derive(Clone, Copy)]
pub struct App {
    shared: &'static Shared,
    counters: &'static Counters,
}

struct Shared {
    settings: Settings,
    files: Files,
    store: Store,
    board: Scoreboard,
}

impl App {
    /// Opens what the application needs.
    ///
    /// Fails if the directory of [`Settings::files`] cannot be opened; the error's text names it.
    pub fn new(settings: Settings, board: Scoreboard) -> io::Result<App> {
        let files = Files::beneath(&settings.files)?;
        let store = Store::at(&settings.store);
        let shared = Box::leak(Box::new(Shared { settings, files, store, board }));
        Ok(App { shared, counters: shared.board.claim() })
    }

    /// The same application for one more worker, which counts by itself.
    pub fn worker(&self) -> App {
        App { counters: self.shared.board.claim(), ..*self }
    }

    /// A connection that was just accepted.
    pub fn connect(&self, now: Instant) -> Conn<App> {
        Conn::new(*self, &self.shared.settings.limits, now)
    }

    /// Answers a complete, valid request.
    pub fn respond(&self, request: &Request<'_>) -> Answer {
        routes::answer(self.shared, request)
    }

    /// Counts a reply that is out.
    pub fn count_served(&self, Served { status, mark, took }: Served) {
        self.counters.served(mark.into(), status, took);
    }

    /// Serves one request to nobody, so that what is found out once is found out now, and not by every forked child.
    ///
    /// The CPU's features are such a thing: asking for them (CPUID) traps in a virtual machine, and a child that has to
    /// ask spends a tenth of its life on it.
    pub fn warm_up(&self) {
        let now = Instant::now();
        let mut conn = self.connect(now);
        conn.received(b"GET / HTTP/1.1\r\nHost: rehearsal\r\n\r\n", now);
    }

    /// What the service was started with.
    pub fn settings(&self) -> &'static Settings {
        &self.shared.settings
    }

    /// States a fact about the model, for /info and /metrics: [`Scoreboard::state`].
    pub fn state(&self, name: &str, value: &str) {
        self.shared.board.state(name, value);
    }

    /// This worker's counters.
    pub fn counters(&self) -> &'static Counters {
        self.counters
    }
}

impl Handler for App {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        self.respond(request)
    }

    fn date(&mut self, now: Instant) -> [u8; 29] {
        date::imf_fixdate(now)
    }

    fn served(&mut self, served: Served) {
        self.count_served(served);
    }
}

#[cfg(test)]
mod tests;
