//! **event-loop**: one thread calls back whoever waits for something, and no callback ever waits: node.js.
//!
//! A server is a callback. It gets a request and the response to it, which it ends at once, or in a callback that comes
//! later: after a time-out, or when a helper thread has made a call that blocks.

mod callbacks;
mod files;
mod server;

use std::io;
use std::net::TcpListener;

use app::App;
use driver::{Arrivals, Calls, Epoll, HELPERS, LISTENER, Peers, Places, Readiness, STOP, Stop, Trigger};
use http::{Answer, Limits};
use supervisor::Model;

use callbacks::Callbacks;
use files::Files;

pub use callbacks::{queue_work, set_timeout};
pub use server::{Listening, Response, Server, create_server};

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// The lab's workloads, as a program for this loop.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let server = create_server(move |request, response| match app.respond(request) {
        Answer::Reply(reply) => response.send(reply),
        Answer::Sleep(time, reply) => set_timeout(|| response.send(reply), time),
        Answer::Block(call) => queue_work(|| call.run(), |reply| response.send(reply)),
        Answer::Later => {}
    })
    .on_finish(move |served| app.count_served(served));
    let settings = app.settings();
    run(server, &listener, settings.max_connections, &settings.limits, Calls(app.counters()))
}

/// The loop: wait until something has happened, and call back for each thing that has, one after the other.
fn run(
    server: Server,
    listener: &TcpListener,
    max_connections: usize,
    limits: &'static Limits,
    calls: Calls,
) -> io::Result<()> {
    let places = Places::new(max_connections);
    let arrivals = Arrivals::new(listener, calls, &places)?;
    let mut peers =
        Peers::new(arrivals, Files::new(calls), Trigger::Edge, |key, now| server.connect(key, limits, now))?;
    let mut callbacks = Callbacks::new()?;
    let mut interest = Epoll::new(calls)?;
    let stop = Stop::new()?;
    interest.listen(&stop, STOP, true)?;
    interest.listen(&callbacks, HELPERS, true)?;
    let mut listening = false;
    let mut ready = Vec::new();
    while !peers.is_finished() {
        if listening != peers.accepts() {
            listening = !listening;
            interest.listen(peers.arrivals(), LISTENER, listening)?;
        }
        let pauses = [peers.pause(), callbacks.pause()];
        interest.wait(&mut ready, pauses.into_iter().flatten().min())?;
        peers.waited();
        callbacks.timeouts();
        for (key, readiness) in ready.drain(..) {
            match key {
                LISTENER => peers.accept()?,
                HELPERS => callbacks.work_done(),
                STOP => {
                    interest.listen(&stop, STOP, false)?; // it stays readable
                    peers.stop();
                }
                _ => peers.turn(key, readiness)?, // each request that it brings is a callback
            }
        }
        for key in peers.files().read() {
            peers.turn(key, Readiness::default())?;
        }
        peers.work()?;
        for (key, reply) in callbacks::ended() {
            peers.done(key, reply)?; // of a request that was not answered at once
        }
        callbacks.hand_out_work()?;
        peers.changes(|fd, key, watch| interest.watch(fd, key, watch))?;
    }
    Ok(())
}
