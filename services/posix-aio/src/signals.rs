//! The real-time signal of one loop, by which glibc says that reads are complete.

use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};

use driver::{Calls, Id};
use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use scoreboard::Syscall;

/// The most signals that are taken at a time.
const MOST: usize = 32;
const SIGINFO: usize = size_of::<libc::signalfd_siginfo>();

/// Readable when the signal has come: signalfd(2).
pub struct Signals {
    /// Its number.
    pub number: i32,
    fd: SignalFd,
}

impl Signals {
    /// The signal must be [blocked](block) in all threads.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn new(number: i32) -> io::Result<Signals> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Signals { number, fd: SignalFd::with_flags(&set(number..=number), flags)? })
    }

    /// Takes some of the signals that have come, and appends the connections whose ids they carry.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn take(&self, calls: Calls, ids: &mut Vec<Id>) -> io::Result<()> {
        let mut signals = [0; SIGINFO * MOST];
        calls.0.syscall(Syscall::Read);
        let n = match nix::unistd::read(&self.fd, &mut signals) {
            Err(Errno::EAGAIN | Errno::EINTR) => 0,
            n => n?,
        };
        let at = offset_of!(libc::signalfd_siginfo, ssi_ptr);
        for signal in signals[..n].chunks_exact(SIGINFO) {
            let mut value = [0; size_of::<u64>()];
            value.copy_from_slice(&signal[at..at + size_of::<u64>()]);
            ids.push(Id::from_bits(u64::from_ne_bytes(value)));
        }
        Ok(())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Blocks these signals in this thread, and in the threads that it starts.
pub fn block(signals: RangeInclusive<i32>) -> io::Result<()> {
    Ok(set(signals).thread_block()?)
}

/// A set of signals, real-time ones too, for which nix has no name: sigsetops(3).
fn set(signals: RangeInclusive<i32>) -> SigSet {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set before it is used; the numbers are those of signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        signals.for_each(|signal| {
            libc::sigaddset(set.as_mut_ptr(), signal);
        });
        SigSet::from_sigset_t_unchecked(set.assume_init())
    }
}
