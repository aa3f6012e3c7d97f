//! **event-loop**: one thread runs callbacks, and no callback ever waits: node.js.
//!
//! A server is a callback. It gets a request and the response to it, which it ends at once, or in a callback that comes
//! later: after a time-out, or when a helper thread has made a call that blocks.

mod callbacks;
mod files;
mod server;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Instant;

use app::App;
use driver::{Acceptor, Calls, Connections, Event, Interest, Key, Permits, Poller};
use epoll::Epoll;
use http1::{Answer, Limits};
use supervisor::Model;

use callbacks::Callbacks;
use files::Files;
use server::Caller;

pub use callbacks::{queue_work, set_timeout};
pub use server::{Listening, Response, Server, create_server};

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// A helper thread has finished a call that a callback has asked for.
const WORK: Key = Key::Own(0);

/// The lab's workloads, as a program for this loop.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let server = create_server(move |request, response| match app.respond(request) {
        Answer::Reply(reply) => response.send(reply),
        Answer::Sleep(time, reply) => set_timeout(|| response.send(reply), time),
        Answer::Block(call) => queue_work(|| call.run(), |reply| response.send(reply)),
        Answer::Later => {}
    })
    .on_finish(move |served| app.count_served(served));
    let settings = app.settings();
    run(&server, &listener, settings.max_connections, &settings.limits, Calls(app.counters()))
}

/// Runs the loop on this thread until SIGTERM has come and every connection is closed.
fn run(
    server: &Server,
    listener: &TcpListener,
    max_connections: usize,
    limits: &'static Limits,
    calls: Calls,
) -> io::Result<()> {
    let permits = Permits::new(max_connections);
    let acceptor = Acceptor::new(listener, calls, &permits)?;
    let connect = |id, now| server.connect(id, limits, now);
    let connections = Connections::new(acceptor, Files::new(calls), connect)?;
    run_loop(connections, Epoll::new(calls)?)
}

/// epoll's loop: wait until something has happened, and run the callback of each thing that has, one after the other.
fn run_loop(mut connections: Connections<'_, Caller<'_>, Files>, mut poller: Epoll) -> io::Result<()> {
    let mut callbacks = Callbacks::new()?;
    connections.watch_own(&mut poller)?;
    poller.watch(callbacks.as_fd(), WORK, Interest::Read)?;
    let mut ready = Vec::new();
    while !connections.is_finished() {
        let timeouts = [connections.timeout(), callbacks.timeout()];
        poller.wait(timeouts.into_iter().flatten().min(), &mut ready)?; // epoll_wait(2)
        connections.set_now(Instant::now());
        callbacks.run_timeouts();
        for Event { key, readiness } in ready.drain(..) {
            match key {
                Key::Listener => connections.accept(&mut poller)?,
                Key::Helpers => connections.finish_jobs(&mut poller)?,
                Key::Stop => connections.stop(&mut poller)?,
                Key::Connection(id) => connections.advance(id, readiness, &mut poller)?, // each request is a callback
                Key::Own(_) => callbacks.run_finished_work(),
            }
        }
        for id in connections.files().take_read() {
            connections.resume(id, &mut poller)?;
        }
        connections.run_timers(&mut poller)?;
        for (id, reply) in callbacks::take_replies() {
            connections.reply(id, reply, &mut poller)?; // to a request that was not answered at once
        }
        callbacks.start_work()?;
    }
    Ok(())
}
