//! **poll**: a few threads, and readiness: at each wait, the kernel is handed the list of all sockets to look at.
//!
//! Each thread has its own list and its own connections; all accept from one listener. The list has no limit, unlike
//! select's sets; but the kernel goes through all of it at every wait, and so do we after it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use app::App;
use driver::{
    Arrivals, Calls, HELPERS, LISTENER, Peers, Places, Readiness, STOP, Stop, Trigger, Watch, on_each_thread, timeout,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use scoreboard::Syscall;
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
        run(Peers::new(arrivals, calls, Trigger::Level, |_, now| app.connect(now))?, Interest::new(calls)?)
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

/// What the kernel is to watch for this loop. It remembers nothing: it is handed the whole list each time.
struct Interest {
    fds: Vec<PollFd<'static>>,
    /// Whom each of `fds` is about.
    keys: Vec<u64>,
    /// Where in `fds` a descriptor stands.
    places: Vec<Option<usize>>,
    calls: Calls,
}

impl Interest {
    fn new(calls: Calls) -> io::Result<Interest> {
        Ok(Interest { fds: Vec::new(), keys: Vec::new(), places: Vec::new(), calls })
    }

    /// Watches a connection for that, and no longer for anything else.
    fn watch(&mut self, fd: RawFd, key: u64, watch: Watch) -> io::Result<()> {
        let index = fd as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        if let Some(place) = self.places[index].take() {
            self.fds.swap_remove(place);
            self.keys.swap_remove(place);
            if let Some(moved) = self.fds.get(place) {
                self.places[moved.as_fd().as_raw_fd() as usize] = Some(place);
            }
        }
        let flags = match watch {
            Watch::Nothing => return Ok(()), // asked for nothing, poll would still report a hang-up, again and again
            Watch::Reads => PollFlags::POLLIN,
            Watch::Writes => PollFlags::POLLOUT,
        };
        self.places[index] = Some(self.fds.len());
        // SAFETY: it leaves the list when it is closed, before the next wait.
        self.fds.push(PollFd::new(unsafe { BorrowedFd::borrow_raw(fd) }, flags));
        self.keys.push(key);
        Ok(())
    }

    /// Watches something of the loop's own, as long as it is readable; or no longer.
    fn listen(&mut self, own: &impl AsFd, key: u64, on: bool) -> io::Result<()> {
        self.watch(own.as_fd().as_raw_fd(), key, if on { Watch::Reads } else { Watch::Nothing })
    }

    /// Waits until something is ready, at most for the `pause`, and appends what is.
    fn wait(&mut self, ready: &mut Vec<(u64, Readiness)>, pause: Option<Duration>) -> io::Result<()> {
        self.calls.0.syscall(Syscall::Poll);
        let mut found = match poll(&mut self.fds, timeout(pause)) {
            Ok(n) => n as usize,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        // The kernel says how many are ready, not which: that is to be found out.
        for (fd, &key) in self.fds.iter().zip(&self.keys) {
            if found == 0 {
                break;
            }
            let events = fd.revents().unwrap_or(PollFlags::POLLERR);
            if !events.is_empty() {
                ready.push((key, readiness(events)));
                found -= 1;
            }
        }
        Ok(())
    }
}

fn readiness(events: PollFlags) -> Readiness {
    let broken = events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
    Readiness {
        readable: broken || events.intersects(PollFlags::POLLIN),
        writable: broken || events.intersects(PollFlags::POLLOUT),
        hung_up: broken,
    }
}
