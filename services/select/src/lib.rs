//! **select**: a few threads, and readiness: at each wait, the kernel is handed a bit for every socket to look at.
//!
//! Each thread has its own sets of bits and its own connections; all accept from one listener. Descriptors are looked
//! at from 0 to the highest, so what one wait costs depends on how many are open, and not on how many are busy.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use app::App;
use driver::{
    Arrivals, Calls, HELPERS, LISTENER, Peers, Places, Readiness, STOP, Stop, Trigger, Watch, on_each_thread,
};
use nix::errno::Errno;
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

/// What the kernel is to watch for this loop. It remembers nothing: it is handed all the bits each time.
struct Interest {
    reads: Vec<u64>,
    writes: Vec<u64>,
    /// What select() overwrites with what is ready.
    results: [Vec<u64>; 2],
    /// Whom each descriptor is about.
    keys: Vec<u64>,
    calls: Calls,
}

impl Interest {
    fn new(calls: Calls) -> io::Result<Interest> {
        Ok(Interest { reads: Vec::new(), writes: Vec::new(), results: Default::default(), keys: Vec::new(), calls })
    }

    /// Watches a connection for that, and no longer for anything else.
    fn watch(&mut self, fd: RawFd, key: u64, watch: Watch) -> io::Result<()> {
        let (index, word, bit) = (fd as usize, fd as usize / 64, 1 << (fd % 64));
        if self.reads.len() <= word {
            // As many bits as there are descriptors: an fd_set has FD_SETSIZE, and FD_SET() on a higher one writes past it.
            self.reads.resize(word + 1, 0);
            self.writes.resize(word + 1, 0);
            self.keys.resize((word + 1) * 64, 0);
        }
        self.reads[word] &= !bit;
        self.writes[word] &= !bit;
        match watch {
            Watch::Nothing => {}
            Watch::Reads => self.reads[word] |= bit,
            Watch::Writes => self.writes[word] |= bit,
        }
        self.keys[index] = key;
        Ok(())
    }

    /// Watches something of the loop's own, as long as it is readable; or no longer.
    fn listen(&mut self, own: &impl AsFd, key: u64, on: bool) -> io::Result<()> {
        self.watch(own.as_fd().as_raw_fd(), key, if on { Watch::Reads } else { Watch::Nothing })
    }

    /// Waits until something is ready, at most for the `pause`, and appends what is.
    fn wait(&mut self, ready: &mut Vec<(u64, Readiness)>, pause: Option<Duration>) -> io::Result<()> {
        let [readable, writable] = &mut self.results;
        // select() overwrites its sets, so it is handed copies. select(2)
        readable.clone_from(&self.reads);
        writable.clone_from(&self.writes);
        self.calls.0.syscall(Syscall::Select);
        let mut found = match select(readable, writable, pause) {
            Ok(n) => n,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        // The kernel says how many bits are left, not which: that is to be found out.
        for (word, (&readable, &writable)) in readable.iter().zip(writable.iter()).enumerate() {
            if found == 0 {
                break;
            }
            let mut left = readable | writable;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                let key = self.keys[word * 64 + left.trailing_zeros() as usize];
                ready.push((key, readiness(readable & bit != 0, writable & bit != 0)));
                left &= !bit;
            }
            found = found.saturating_sub((readable.count_ones() + writable.count_ones()) as usize);
        }
        Ok(())
    }
}

/// Whoever has hung up is readable: a read says so.
fn readiness(readable: bool, writable: bool) -> Readiness {
    Readiness { readable, writable, hung_up: false }
}

/// select(2), on sets of any size; leaves the bits of those that are ready, and says how many.
fn select(reads: &mut [u64], writes: &mut [u64], pause: Option<Duration>) -> Result<usize, Errno> {
    let bits = (reads.len().min(writes.len()) * 64) as libc::c_int;
    let mut timeout = pause
        .map(|pause| libc::timeval { tv_sec: pause.as_secs() as libc::time_t, tv_usec: pause.subsec_micros().into() });
    let timeout = timeout.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: the kernel reads and writes `bits` bits of each set, in whole words, and both have as many.
    let found = unsafe {
        libc::select(bits, reads.as_mut_ptr().cast(), writes.as_mut_ptr().cast(), std::ptr::null_mut(), timeout)
    };
    Errno::result(found).map(|found| found as usize)
}
