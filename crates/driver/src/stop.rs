use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Readable from the moment that SIGTERM has come: signalfd(2).
///
/// The signal is never taken out, so every thread's `Stop` sees it. The supervisor has blocked it for us.
pub struct Stop(SignalFd);

impl Stop {
    /// One for this thread.
    pub fn new() -> io::Result<Stop> {
        signals([Signal::SIGTERM]).map(Stop)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Stop {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Blocks these signals in this thread; what is given is readable when one has come: signalfd(2).
pub fn signals(signals: impl IntoIterator<Item = Signal>) -> io::Result<SignalFd> {
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Runs the loop on `threads` threads, this one among them, until all have returned.
///
/// A loop that fails or panics takes the process with it, and so does a thread that cannot be started: half a server
/// would be worse than a restarted one. Only `ErrorKind::Unsupported`, which all of them meet, is handed on.
pub fn on_each_thread(threads: usize, body: impl Fn() -> io::Result<()> + Sync) -> io::Result<()> {
    let run = || match std::panic::catch_unwind(std::panic::AssertUnwindSafe(&body)) {
        Ok(Err(error)) if error.kind() != ErrorKind::Unsupported => give_up("a loop has failed", &error),
        Ok(ended) => ended,
        Err(_) => std::process::abort(),
    };
    thread::scope(|scope| {
        let start = |n| thread::Builder::new().name(format!("loop-{n}")).spawn_scoped(scope, run);
        let others: Vec<_> = (1..threads)
            .map(|n| start(n).unwrap_or_else(|error| give_up("there is no thread for another loop", &error)))
            .collect();
        let mine = run();
        others.into_iter().map(|t| t.join().unwrap_or_else(|_| std::process::abort())).fold(mine, Result::and)
    })
}

fn give_up(what: &str, error: &io::Error) -> ! {
    eprintln!("{what}: {error}");
    std::process::exit(1)
}
