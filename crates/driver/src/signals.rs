use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// A descriptor that is readable from the moment that SIGTERM has come: signalfd(2).
///
/// The signal is never read, so the descriptor of each thread stays readable. (The supervisor has blocked the signal before
/// the model starts.)
pub struct Sigterm(SignalFd);

impl Sigterm {
    /// One for this thread.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn new() -> io::Result<Sigterm> {
        signal_fd([Signal::SIGTERM]).map(Sigterm)
    }
}

impl AsFd for Sigterm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Sigterm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Blocks these signals in this thread, and returns a descriptor that is readable when one has come: signalfd(2).
///
/// # Errors
/// Those of signalfd(2).
pub fn signal_fd(signals: impl IntoIterator<Item = Signal>) -> io::Result<SignalFd> {
    let signals: SigSet = signals.into_iter().collect();
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}
