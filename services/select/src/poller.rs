//! What the loop passes to select(2), and what select(2) returns.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use driver::{Calls, Event, Interest, Key, Poller, Readiness, Trigger};
use nix::errno::Errno;
use scoreboard::Syscall;

/// The sets of descriptors that the kernel is handed at each wait. It remembers nothing.
pub struct Select {
    reads: Vec<u64>,
    writes: Vec<u64>,
    /// Those of `reads` that are watched for a break only.
    breaks: Vec<u64>,
    /// Copies of the two sets, in which select() leaves only the bits of what is ready.
    ready: [Vec<u64>; 2],
    /// What each descriptor's events are about.
    keys: Vec<Key>,
    calls: Calls,
}

impl Select {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// None.
    pub fn new(calls: Calls) -> io::Result<Select> {
        let [reads, writes, breaks] = Default::default();
        Ok(Select { reads, writes, breaks, ready: Default::default(), keys: Vec::new(), calls })
    }
}

impl Poller for Select {
    const TRIGGER: Trigger = Trigger::Level;

    fn watch(&mut self, fd: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        let fd_number = fd.as_raw_fd() as usize;
        if self.keys.len() <= fd_number {
            // Room for every descriptor: an fd_set has FD_SETSIZE (1024), and FD_SET() on a higher one writes past its end.
            let words = fd_number / 64 + 1;
            self.reads.resize(words, 0);
            self.writes.resize(words, 0);
            self.breaks.resize(words, 0);
            self.keys.resize(words * 64, key);
        }
        self.keys[fd_number] = key;
        self.change(fd, key, interest)
    }

    fn change(&mut self, fd: BorrowedFd<'_>, _key: Key, interest: Interest) -> io::Result<()> {
        self.forget(fd)?;
        let (word, bit) = position(fd);
        match interest {
            Interest::Break => {
                self.reads[word] |= bit;
                self.breaks[word] |= bit;
            }
            Interest::Read => self.reads[word] |= bit,
            Interest::Write => self.writes[word] |= bit,
        }
        Ok(())
    }

    fn forget(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let (word, bit) = position(fd);
        self.reads[word] &= !bit;
        self.writes[word] &= !bit;
        self.breaks[word] &= !bit;
        Ok(())
    }

    /// Its number is used again, so it must not stay in the sets.
    fn forget_closing(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.forget(fd)
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Event>) -> io::Result<()> {
        let [reads, writes] = &mut self.ready;
        // select() overwrites its sets, so it gets copies: select(2).
        reads.clone_from(&self.reads);
        writes.clone_from(&self.writes);
        self.calls.0.syscall(Syscall::Select);
        let mut bits_left = match select(reads, writes, timeout) {
            Ok(n) => n,
            Err(Errno::EINTR) => 0, // a signal: the next wait looks again
            Err(errno) => return Err(errno.into()),
        };
        // The kernel says how many bits it left, not where: the loop has to look for them.
        for (word, (&reads, &writes)) in reads.iter().zip(writes.iter()).enumerate() {
            if bits_left == 0 {
                break;
            }
            let mut either = reads | writes;
            while either != 0 {
                let bit = either & either.wrapping_neg();
                let fd_number = word * 64 + either.trailing_zeros() as usize;
                either &= !bit;
                let for_break = self.breaks[word] & bit != 0;
                if for_break && !self.calls.is_broken(fd_number as RawFd) {
                    // Bytes, or the end of the stream: select() would report them again and again.
                    self.reads[word] &= !bit;
                    continue;
                }
                let (readable, writable) = (reads & bit != 0, writes & bit != 0);
                ready.push(Event { key: self.keys[fd_number], readiness: readiness(readable, writable, for_break) });
            }
            bits_left = bits_left.saturating_sub((reads.count_ones() + writes.count_ones()) as usize);
        }
        Ok(())
    }
}

/// Where in a set a descriptor has its bit.
fn position(fd: BorrowedFd<'_>) -> (usize, u64) {
    let fd_number = fd.as_raw_fd() as usize;
    (fd_number / 64, 1 << (fd_number % 64))
}

/// select() reports a hang-up and a break as readable, and the read then says so. (Its third set is for urgent data alone.)
fn readiness(readable: bool, writable: bool, broken: bool) -> Readiness {
    Readiness { readable, writable, hung_up: broken, broken }
}

/// select(2) on sets of any size. Leaves the bits of what is ready, and returns how many.
fn select(reads: &mut [u64], writes: &mut [u64], timeout: Option<Duration>) -> Result<usize, Errno> {
    let bits = (reads.len().min(writes.len()) * 64) as libc::c_int;
    let timeval =
        |time: Duration| libc::timeval { tv_sec: time.as_secs() as libc::time_t, tv_usec: time.subsec_micros().into() };
    let mut timeout = timeout.map(timeval);
    let timeout = timeout.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: the kernel reads and writes `bits` bits of each set, in whole words, and both have as many.
    let left = unsafe {
        libc::select(bits, reads.as_mut_ptr().cast(), writes.as_mut_ptr().cast(), std::ptr::null_mut(), timeout)
    };
    Errno::result(left).map(|left| left as usize)
}
