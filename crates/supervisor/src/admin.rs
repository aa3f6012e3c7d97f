//! The admin endpoint, which serves /metrics, /account, /healthz and /info, and at / a page with links to them, from the supervisor's own loop.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use http1::{Answer, Handler, Limits, Reply, Request};
use nix::poll::{PollFd, PollFlags};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde::Serialize;

use crate::connection::Connection;
use crate::healthcheck::address_to_connect;
use crate::status::{Phase, Program, SharedStatus, Status};
use crate::{account, info, metrics};
use driver::BACK_OFF;

/// The page with links to the others.
const INDEX: &str = include_str!("admin.html");
/// The most connections at a time. A further one replaces the one whose last activity is longest ago.
const MAX_CONNECTIONS: usize = 64;
/// The most connections accepted in one turn of the loop.
const MAX_ACCEPTS: usize = 16;
/// How long a guest may take to accept a connection. The kernel accepts for it at once, unless its backlog is full; meanwhile
/// the supervisor waits.
const GUEST_ACCEPTS_WITHIN: Duration = Duration::from_millis(10);

/// The endpoint with its connections, driven by the supervisor's loop.
pub(crate) struct Admin {
    listener: TcpListener,
    connections: Vec<Connection<Pages>>,
    pages: Pages,
    limits: &'static Limits,
    /// The end of the back-off, if accepting is paused.
    paused_until: Option<Instant>,
}

impl Admin {
    /// Serves on that socket from now on.
    pub fn new(listener: TcpListener, status: SharedStatus) -> io::Result<Admin> {
        listener.set_nonblocking(true)?;
        let registry = metrics::registry(status.clone()).map_err(io::Error::other)?;
        // A scraper keeps its connection from one scrape to the next, and some scrape only once a minute.
        let limits = Limits { idle_time: Duration::from_secs(150), body: 0, ..Limits::default() };
        Ok(Admin {
            listener,
            connections: Vec::new(),
            pages: Pages { status, registry },
            limits: Box::leak(Box::new(limits)),
            paused_until: None,
        })
    }

    /// Appends the sockets and their interest to `fds`. Returns the next deadline, at which [`serve`](Admin::serve)
    /// must be called even if no socket is ready.
    pub fn watch<'fd>(&'fd mut self, now: Instant, fds: &mut Vec<PollFd<'fd>>) -> Option<Instant> {
        self.paused_until = self.paused_until.filter(|&until| until > now);
        let accept = if self.paused_until.is_none() { PollFlags::POLLIN } else { PollFlags::empty() };
        fds.push(PollFd::new(self.listener.as_fd(), accept));
        let mut next = self.paused_until;
        for connection in &mut self.connections {
            let interest = connection.interest();
            next = next.into_iter().chain(connection.deadline()).min();
            let connection: &'fd Connection<_> = connection;
            fds.push(PollFd::new(connection.as_fd(), interest));
        }
        next
    }

    /// Serves the sockets that are ready. `ready` is in the order in which [`watch`](Admin::watch) appended the
    /// sockets.
    pub fn serve(&mut self, ready: &[bool], now: Instant) {
        let mut ready_connections = ready.iter().skip(1);
        self.connections.retain_mut(|connection| {
            let is_ready = ready_connections.next().is_some_and(|&ready| ready);
            (!is_ready || connection.advance(now)) && connection.expire(now)
        });
        if ready.first().is_some_and(|&ready| ready) {
            self.accept(now);
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..MAX_ACCEPTS {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    if socket.set_nonblocking(true).is_err() {
                        continue;
                    }
                    if self.connections.len() >= MAX_CONNECTIONS
                        && let Some((quietest, _)) =
                            self.connections.iter().enumerate().min_by_key(|(_, connection)| connection.last_activity)
                    {
                        self.connections.swap_remove(quietest);
                    }
                    self.connections.push(Connection::new(socket, self.pages.clone(), self.limits, now));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The error concerns only the connection that was to be accepted: accept(2).
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.paused_until = Some(now + BACK_OFF);
                        return;
                    }
                },
            }
        }
    }
}

/// The handler of the endpoint's connections: makes the pages.
#[derive(Clone)]
struct Pages {
    status: SharedStatus,
    registry: Registry,
}

impl Pages {
    fn metrics(&self) -> Reply {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(text) => Reply { content_type: TEXT_FORMAT, ..Reply::text(text) },
            Err(error) => Reply { status: 500, ..Reply::text(format!("{error}\n")) },
        }
    }

    fn healthz(&self) -> Reply {
        let unhealthy = |text: String| Reply { status: 503, ..Reply::text(text + "\n") };
        let status = self.status.get();
        match &status.phase {
            Phase::Serving(_) => match serves(&status) {
                Ok(()) => Reply::text("ok\n"),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => unhealthy("starting".into()),
                Err(error) => unhealthy(format!("no connection to the guest: {error}")),
            },
            // With status 200, since nothing is broken and a restart would not help; /info gives the reason.
            Phase::Unsupported(_) => Reply::text("unsupported\n"),
            Phase::Restarting => unhealthy("restarting".into()),
            Phase::Stopping(_) => unhealthy("stopping".into()),
        }
    }

    fn info(&self) -> Reply {
        json(Ok(info::page(&mut self.status.get())))
    }

    fn account(&self) -> Reply {
        json(account::page(&mut self.status.get()))
    }
}

/// Whether connections are accepted. Those of a model are, because the supervisor has bound its listener; a guest binds its own.
///
/// # Errors
/// ConnectionRefused if the guest does not listen (yet), TimedOut if its backlog is full.
fn serves(status: &Status) -> io::Result<()> {
    let address = address_to_connect(status.service.listen);
    match status.service.program {
        Program::Model(_) => Ok(()),
        Program::Guest(_) => TcpStream::connect_timeout(&address, GUEST_ACCEPTS_WITHIN).map(drop),
    }
}

/// A page of JSON, which ends with a line feed.
fn json(page: io::Result<impl Serialize>) -> Reply {
    match page.and_then(|page| Ok(serde_json::to_string_pretty(&page)?)) {
        Ok(json) => Reply { content_type: "application/json", ..Reply::text(json + "\n") },
        Err(error) => Reply { status: 500, ..Reply::text(format!("{error}\n")) },
    }
}

impl Handler for Pages {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        let page: fn(&Pages) -> Reply = match request.path {
            "/" => |_| Reply { content_type: "text/html; charset=utf-8", ..Reply::text(INDEX) },
            "/metrics" => Pages::metrics,
            "/account" => Pages::account,
            "/healthz" => Pages::healthz,
            "/info" => Pages::info,
            _ => return Answer::Reply(Reply::status(404)),
        };
        Answer::Reply(match request.method {
            "GET" | "HEAD" => page(self),
            _ => Reply::status(405).with("Allow", "GET, HEAD"),
        })
    }

    fn date(&mut self, now: Instant) -> [u8; 29] {
        app::imf_fixdate(now)
    }
}
