//! The pages: all runs, the report on each, two of them side by side, and the run that goes on.
//!
//! `lab pages` serves them for a folder of results, and a run of the lab for its own; both read nothing but that folder, in which
//! a run that goes on writes what happens ([`results::live`]).

mod folder;
mod follow;
mod site;
mod summaries;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use loadtest::cpus::yield_to_all;
use loadtest::front::{Exit, Failure, RunFlags, say};
use loadtest::stop_on_signals;
use tokio::runtime::Builder;

use folder::Runs;
use site::Site;

/// The port of the pages, if it is free and nothing else is asked for.
const PORT: u16 = 8000;
/// At the end of a run, viewers have so long to get the report.
const FAREWELL: Duration = Duration::from_secs(3);

/// A viewer is no longer counted when it has its last event, which is then still on its way to the socket.
const FLUSH: Duration = Duration::from_millis(200);

/// The arguments of `lab pages`.
#[derive(Debug, clap::Args)]
pub struct PagesFlags {
    /// The folder in which each run has a folder
    #[arg(long, value_name = "DIR", default_value = "results", env = "PAGES_RESULTS")]
    results: PathBuf,
    /// Address of the pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", env = "PAGES_LISTEN")]
    listen: SocketAddr,
    /// Where Grafana is, for a link to it
    #[arg(long, value_name = "URL", env = "PAGES_DASHBOARDS")]
    dashboards: Option<String>,
}

/// Serves the pages until a signal comes.
///
/// # Errors
/// The folder or the address cannot be used.
pub fn pages(flags: PagesFlags) -> Result<Exit, Failure> {
    let stop = stop_on_signals();
    let runs = Runs::open(&flags.results)
        .map_err(|error| Failure::usage(format!("--results {}: {error}", flags.results.display())))?;
    let listener = TcpListener::bind(flags.listen)
        .map_err(|error| Failure::usage(format!("--listen {}: {error}; choose another address", flags.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::usage(error.to_string()))?;
    let site = Site::new(runs, flags.dashboards);
    start(listener, site.router(), || {})
        .map_err(|error| Failure(Exit::Failed, format!("the pages cannot be served: {error}")))?;
    say(&format!("pages of {}: http://{address}", flags.results.display()));
    while !stop.load(Relaxed) {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Exit::Done)
}

/// The flags of the page that shows a run while it goes on.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct PageFlags {
    /// Open the page of this run in a browser
    #[arg(long)]
    open: bool,
    /// Serve no page beside this run
    #[arg(long, conflicts_with = "open", env = "LAB_NO_PAGE")]
    no_page: bool,
}

impl PageFlags {
    /// Serves the pages of a run's folder of results, and says where; `None` where they are not wanted, where there is no such folder,
    /// and where they cannot be served, which is said.
    pub fn start(self, run: &RunFlags) -> Option<Pages> {
        let results = run.results.as_deref().filter(|_| !self.no_page && !run.quiet)?;
        let pages =
            Pages::start(results).map_err(|error| say(&format!("there is no page of this run: {error}"))).ok()?;
        say(&format!("page: {}", pages.url()));
        if self.open {
            open(&pages.url());
        }
        Some(pages)
    }
}

/// Opens an address in the user's browser.
fn open(url: &str) {
    let program = std::env::var("BROWSER").unwrap_or_else(|_| "xdg-open".into());
    let opened =
        Command::new(&program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = opened {
        say(&format!("--open: {program}: {error}; open the page yourself"));
    }
}

/// The pages of a run, beside it.
pub struct Pages {
    address: SocketAddr,
    viewers: Arc<AtomicUsize>,
    /// The folder of results, if it was made for this; if nothing is in it at the end, it goes.
    made: Option<PathBuf>,
}

impl Pages {
    /// Serves the pages of this folder of results on the loopback interface, from a thread of its own, which runs on the CPUs of the
    /// calling thread.
    ///
    /// # Errors
    /// There can be no listener, no thread, or no such folder.
    pub fn start(results: &Path) -> io::Result<Pages> {
        let made = (!results.exists()).then(|| results.to_owned());
        fs::create_dir_all(results)?;
        let listener = loopback()?;
        let address = listener.local_addr()?;
        let site = Site::new(Runs::open(results)?, None);
        let viewers = site.viewers();
        start(listener, site.router(), yield_to_all)?; // the load has the first right to its CPUs
        Ok(Pages { address, viewers, made })
    }

    /// Where the newest run is shown.
    pub fn url(&self) -> String {
        format!("http://{}/newest", self.address)
    }

    /// Waits until each viewer has the report of the run that has ended, but not for long.
    pub fn farewell(&self) {
        if self.viewers.load(Relaxed) == 0 {
            return;
        }
        let until = Instant::now() + FAREWELL;
        while self.viewers.load(Relaxed) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(FLUSH);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(folder) = &self.made {
            let _ = fs::remove_dir(folder); // fails if something is in it
        }
    }
}

/// Serves a single page on the loopback interface until the program ends, and returns its address.
///
/// # Errors
/// There can be no listener or no thread.
pub fn index(page: String) -> io::Result<SocketAddr> {
    let listener = loopback()?;
    let address = listener.local_addr()?;
    start(listener, site::of_one_page(page), || {})?;
    Ok(address)
}

/// A listener on the usual port, or where that is in use on another one.
fn loopback() -> io::Result<TcpListener> {
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    at(PORT).or_else(|_| at(0))
}

/// Serves the router from a thread, which first does what `begin` says.
fn start(listener: TcpListener, router: Router, begin: fn()) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    thread::Builder::new().name("pages".into()).spawn(move || {
        begin();
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => drop(axum::serve(listener, router).await),
                Err(error) => say(&format!("the pages cannot be served: {error}")),
            }
        });
    })?;
    Ok(())
}
