//! The application that every server serves: routes, workloads and shared data. It turns a request into a reply.
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

use http1::{Answer, Conn, Handler, Request, Served};
use scoreboard::{Counters, Scoreboard};

pub use date::imf_fixdate;
pub use default_files::{default_files_dir, is_tmpfs, make_files, temporary_dir};
pub use handlers::Fields;
pub use http1::{Body, Decoder, Framing, Limits, Refusal, Reply, is_host, reason, refused_line};
pub use store::prepare_store;

use files::Files;
use store::Store;

/// The settings that a service was started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The number of event loops, in models that have them; each has a thread.
    pub threads: usize,
    /// The limit of open connections; at this number, the service stops accepting until one closes.
    pub max_connections: usize,
    /// The directory whose files `/files/` serves.
    pub files: PathBuf,
    /// The database of the nods, made by [`prepare_store`].
    pub store: PathBuf,
    /// Does `POST /counter` read and then write? Updates get lost when two workers do so at once.
    pub racy: bool,
    /// The limits on what one peer may demand of one connection.
    pub limits: Limits,
    /// The flags that only this model has, and their values.
    pub own: Vec<(&'static str, usize)>,
}

impl Settings {
    /// Settings with these files and this store: one event loop, 100 connections, default limits.
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
    /// If the model has not declared the flag.
    pub fn flag(&self, name: &str) -> usize {
        let value = self.own.iter().find(|(own, _)| *own == name);
        value.unwrap_or_else(|| panic!("the model has no flag --{name}")).1
    }
}

/// A handle on the application, which lives as long as the process. Copies are handles on the same application.
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
    /// Opens the directory of the files and claims a shard of counters.
    ///
    /// Fails if the directory of [`Settings::files`] cannot be opened; the error's text names it.
    pub fn new(settings: Settings, board: Scoreboard) -> io::Result<App> {
        let files = Files::beneath(&settings.files)?;
        let store = Store::at(&settings.store);
        let shared = Box::leak(Box::new(Shared { settings, files, store, board }));
        Ok(App { shared, counters: shared.board.claim() })
    }

    /// The same application for one more worker, with a shard of counters of its own.
    pub fn worker(&self) -> App {
        App { counters: self.shared.board.claim(), ..*self }
    }

    /// A connection that was just accepted.
    pub fn connect(&self, now: Instant) -> Conn<App> {
        Conn::new(*self, &self.shared.settings.limits, now)
    }

    /// Answers a complete, valid request.
    pub fn respond(&self, request: &Request<'_>) -> Answer {
        routes::answer(self.shared, request, Instant::now)
    }

    /// Counts a reply that was written completely.
    pub fn count_served(&self, Served { status, mark, took }: Served) {
        self.counters.served(mark.into(), status, took);
    }

    /// Answers one request without a socket, so that a process caches before it forks what each child would otherwise
    /// have to find out.
    ///
    /// The CPU's features are the important part: the instruction that reads them (CPUID) traps in a virtual machine,
    /// and a child that had to execute it would spend a tenth of its life on that.
    pub fn warm_up(&self) {
        let now = Instant::now();
        let mut conn = self.connect(now);
        conn.received(b"GET / HTTP/1.1\r\nHost: warm-up\r\n\r\n", now);
    }

    /// The settings that the service was started with.
    pub fn settings(&self) -> &'static Settings {
        &self.shared.settings
    }

    /// Publishes a fact about the model on /info and /metrics: [`Scoreboard::state`].
    pub fn state(&self, name: &str, value: &str) {
        self.shared.board.state(name, value);
    }

    /// This worker's counters.
    pub fn counters(&self) -> &'static Counters {
        self.counters
    }
}

impl Handler for App {
    fn answer(&mut self, request: &Request<'_>, now: Instant) -> Answer {
        routes::answer(self.shared, request, || now)
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
