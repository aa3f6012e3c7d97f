//! The admin endpoint: /metrics, /healthz, /info.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use http::{Answer, Body, Handler, Limits, Reply, Request};
use nix::poll::{PollFd, PollFlags};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};

use crate::client::Client;
use crate::status::{Phase, Shared};
use crate::{info, metrics};
use driver::BACK_OFF;

/// Connections at a time; another one takes the place of the one that has been still for longest.
const CLIENTS: usize = 64;
/// Connections accepted in one turn of the loop.
const ARRIVALS: usize = 16;

/// The endpoint with its connections, driven by the supervisor's loop.
pub(crate) struct Admin {
    listener: TcpListener,
    clients: Vec<Client<Endpoint>>,
    endpoint: Endpoint,
    limits: &'static Limits,
    resting_until: Option<Instant>,
}

impl Admin {
    /// Serves on that socket from now on.
    pub fn new(listener: TcpListener, status: Shared) -> io::Result<Admin> {
        listener.set_nonblocking(true)?;
        let registry = metrics::registry(status.clone()).map_err(io::Error::other)?;
        // A scraper keeps its connection from one scrape to the next, and some scrape only once a minute.
        let limits = Limits { idle_time: Duration::from_secs(150), body: 0, ..Limits::default() };
        Ok(Admin {
            listener,
            clients: Vec::new(),
            endpoint: Endpoint { status, registry },
            limits: Box::leak(Box::new(limits)),
            resting_until: None,
        })
    }

    /// Appends what to wait for; gives the time by which to be served in any case.
    pub fn watch<'fd>(&'fd mut self, now: Instant, fds: &mut Vec<PollFd<'fd>>) -> Option<Instant> {
        self.resting_until = self.resting_until.filter(|&until| until > now);
        let accept = if self.resting_until.is_none() { PollFlags::POLLIN } else { PollFlags::empty() };
        fds.push(PollFd::new(self.listener.as_fd(), accept));
        let mut next = self.resting_until;
        for client in &mut self.clients {
            let interest = client.interest();
            next = next.into_iter().chain(client.deadline()).min();
            let client: &'fd Client<_> = client;
            fds.push(PollFd::new(client.as_fd(), interest));
        }
        next
    }

    /// Sees to those who are ready, in the order in which [`watch`](Admin::watch) has named them.
    pub fn serve(&mut self, ready: &[bool], now: Instant) {
        let mut of_clients = ready.iter().skip(1);
        self.clients.retain_mut(|client| {
            let is_ready = of_clients.next().is_some_and(|&ready| ready);
            (!is_ready || client.turn(now)) && client.expire(now)
        });
        if ready.first().is_some_and(|&ready| ready) {
            self.accept(now);
        }
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ARRIVALS {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    if socket.set_nonblocking(true).is_err() {
                        continue;
                    }
                    if self.clients.len() >= CLIENTS
                        && let Some((stillest, _)) =
                            self.clients.iter().enumerate().min_by_key(|(_, client)| client.moved)
                    {
                        self.clients.swap_remove(stillest);
                    }
                    self.clients.push(Client::new(socket, self.endpoint.clone(), self.limits, now));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // That connection's own error: accept(2).
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        self.resting_until = Some(now + BACK_OFF);
                        return;
                    }
                },
            }
        }
    }
}

/// What is served.
#[derive(Clone)]
struct Endpoint {
    status: Shared,
    registry: Registry,
}

impl Endpoint {
    fn metrics(&self) -> Reply {
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(text) => Reply { content_type: TEXT_FORMAT, ..Reply::text(text) },
            Err(error) => Reply { status: 500, ..Reply::text(format!("{error}\n")) },
        }
    }

    fn healthz(&self) -> Reply {
        match self.status.get().phase {
            Phase::Serving(_) => Reply::text("ok\n"),
            Phase::Unsupported(_) => Reply::text("unsupported\n"), // well, as far as it can be; /info says why
            Phase::Restarting => Reply { status: 503, ..Reply::text("restarting\n") },
            Phase::Stopping(_) => Reply { status: 503, ..Reply::text("stopping\n") },
        }
    }

    fn info(&self) -> Reply {
        match info::json(&mut self.status.get()) {
            Ok(json) => Reply { content_type: "application/json", body: Body::Bytes(json.into()), ..Reply::text("") },
            Err(error) => Reply { status: 500, ..Reply::text(format!("{error}\n")) },
        }
    }
}

impl Handler for Endpoint {
    fn answer(&mut self, request: &Request<'_>, _now: Instant) -> Answer {
        let page = match request.path {
            "/metrics" => Endpoint::metrics,
            "/healthz" => Endpoint::healthz,
            "/info" => Endpoint::info,
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
