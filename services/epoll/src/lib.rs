//! **epoll**: a few threads, and readiness: the kernel remembers the sockets, and says which will not block.
//!
//! Each thread has its own epoll instance and its own connections; all accept from one listener. Sockets are watched
//! edge-triggered, so a request costs no epoll_ctl(2): one epoll_wait(2) for a batch, one read, one write.

use std::io;
use std::net::TcpListener;

use app::App;
use driver::{Arrivals, Calls, HELPERS, LISTENER, Peers, Places, STOP, Stop, Trigger, on_each_thread};
use supervisor::Model;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is finished.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let places = Places::new(app.settings().max_connections);
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let arrivals = Arrivals::new(&listener, calls, &places)?;
        run(Peers::new(arrivals, calls, Trigger::Edge, |_, now| app.connect(now))?, Interest::new(calls)?)
    })
}

/// The loop: wait until something is ready, do what can be done without waiting, and wait again.
fn run(mut peers: Peers<'_, App>, mut interest: Interest) -> io::Result<()> {
    let stop = Stop::new()?;
    interest.listen(&stop, STOP, true)?;
    interest.listen(peers.helpers(), HELPERS, true)?;
    let mut listening = false;
    let mut ready = Vec::new();
    while !peers.is_finished() {
        if listening != peers.accepts() {
            listening = !listening;
            interest.listen(peers.arrivals(), LISTENER, listening)?;
        }
        interest.wait(&mut ready, peers.pause())?;
        peers.waited();
        for (key, readiness) in ready.drain(..) {
            match key {
                LISTENER => peers.accept()?,
                HELPERS => peers.finish_jobs()?,
                STOP => {
                    interest.listen(&stop, STOP, false)?; // it stays readable
                    peers.stop();
                }
                _ => peers.turn(key, readiness)?,
            }
        }
        peers.work()?;
        peers.changes(|fd, key, watch| interest.watch(fd, key, watch))?;
    }
    Ok(())
}

/// What the kernel watches for this loop. It remembers: it is told of a connection once, and most never again.
type Interest = driver::Epoll;
