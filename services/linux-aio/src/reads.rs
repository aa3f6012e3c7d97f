//! The reads of one loop: from the file, past the page cache, into a slot of pages, and from there to the socket.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use app::App;
use driver::{Calls, SendFile};
use http::FileRange;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use scoreboard::Syscall;

use crate::context::Context;
use crate::pages::{Pages, SLOT};

/// Chunks of a loop that are in memory at a time.
const SLOTS: usize = 64;
/// Where a direct read may start and end in the file: no file system asks for more than a page.
const ALIGNMENT: u64 = 4 << 10;

/// The files that go out to the connections of a loop.
pub struct Reads {
    app: App,
    calls: Calls,
    context: Context, // dropped before the pages, since it waits until nothing is being read into them
    pages: Pages,
    slots: [Slot; SLOTS],
    /// Keys of those for whom no slot was left; in the line, those that are gone may stand as well.
    waiting: HashSet<u64>,
    line: VecDeque<u64>,
    /// Who is next in line, and has a turn now.
    called: Option<u64>,
    /// Does O_DIRECT work, as far as is known?
    direct: Option<bool>,
    /// Counts what is used, to know what was not for the longest time.
    clock: u64,
}

/// A slot, and what it holds. Once it has held something it is free only with fresh pages.
#[derive(Clone, Copy)]
enum Slot {
    Free,
    /// The chunk that starts there in the file, for a connection; for nobody, if that is gone.
    Reading {
        key: Option<u64>,
        from: u64,
    },
    /// What of it was read, or why nothing.
    Read {
        key: u64,
        from: u64,
        bytes: Result<u64, Errno>,
        used: u64,
    },
}

impl Slot {
    fn is_for(&self, connection: u64) -> bool {
        match self {
            Slot::Free => false,
            Slot::Reading { key, .. } => *key == Some(connection),
            Slot::Read { key, .. } => *key == connection,
        }
    }
}

impl Reads {
    /// Of one loop.
    ///
    /// # Errors
    /// `ErrorKind::Unsupported` where the machine does not permit them.
    pub fn new(app: App, calls: Calls) -> io::Result<Reads> {
        Ok(Reads {
            app,
            calls,
            context: Context::new(SLOTS, calls)?,
            pages: Pages::new(SLOTS, calls)?,
            slots: [Slot::Free; SLOTS],
            waiting: HashSet::new(),
            line: VecDeque::new(),
            called: None,
            direct: None,
            clock: 0,
        })
    }

    /// Keys of the connections that are to have a turn, since their read is complete; the loop watches us for that.
    pub fn complete(&mut self) -> io::Result<Vec<u64>> {
        let mut keys = Vec::new();
        let mut unwanted = Vec::new();
        for completion in self.context.completions()? {
            let at = completion.data as usize;
            match self.slots[at] {
                Slot::Reading { key: Some(key), from } => {
                    self.clock += 1;
                    self.slots[at] = Slot::Read { key, from, bytes: completion.result, used: self.clock };
                    keys.push(key);
                }
                _ => unwanted.push(at),
            }
        }
        unwanted.into_iter().try_for_each(|at| self.release(at))?;
        Ok(keys)
    }

    /// The key of one that waits for a slot, if there is one for it.
    pub fn next_in_line(&mut self) -> Option<u64> {
        let Reads { waiting, line, slots, .. } = self;
        let is_there = !line.is_empty() && slots.iter().any(|slot| !matches!(slot, Slot::Reading { .. }));
        self.called =
            is_there.then(|| std::iter::from_fn(|| line.pop_front()).find(|key| waiting.remove(key))).flatten();
        self.called
    }

    /// Submits the read of the chunk in which the range starts, or has the connection wait in line: chunk by chunk, so
    /// that a large file does not keep its slot to its end.
    fn read(&mut self, key: u64, range: FileRange<'_>) -> io::Result<()> {
        let may_take = self.waiting.is_empty() || self.called == Some(key);
        let Some(at) = may_take.then(|| self.take()).transpose()?.flatten() else {
            self.waiting.insert(key);
            self.line.push_back(key);
            return Ok(());
        };
        if self.direct != Some(false) {
            self.make_direct(range.file)?;
        }
        let from = range.offset - range.offset % ALIGNMENT;
        let bytes = (range.offset + range.len - from).next_multiple_of(ALIGNMENT).min(SLOT as u64) as usize;
        // SAFETY: the slot is taken until the completion has come, and the pages are dropped after the context.
        unsafe { self.context.read(range.file, from, self.pages.address(at), bytes, at as u64)? };
        self.slots[at] = Slot::Reading { key: Some(key), from };
        Ok(())
    }

    /// A free slot, or that which was not used for the longest time: a slow peer costs a second read, and that peer only.
    fn take(&mut self) -> io::Result<Option<usize>> {
        if let Some(at) = self.slots.iter().position(|slot| matches!(slot, Slot::Free)) {
            return Ok(Some(at));
        }
        let used = |(at, slot): (usize, &Slot)| match slot {
            Slot::Read { used, .. } => Some((*used, at)),
            _ => None,
        };
        let Some((_, at)) = self.slots.iter().enumerate().filter_map(used).min() else { return Ok(None) };
        self.release(at)?;
        Ok(Some(at))
    }

    fn release(&mut self, at: usize) -> io::Result<()> {
        self.pages.replace(at)?;
        self.slots[at] = Slot::Free;
        Ok(())
    }

    /// Has a request's own open file read past the page cache, where its file system can.
    fn make_direct(&mut self, file: &File) -> io::Result<()> {
        self.calls.0.syscall(Syscall::Fcntl);
        match fcntl(file, FcntlArg::F_SETFL(OFlag::O_DIRECT)) {
            Err(Errno::EINVAL) => self.found(false),
            set => {
                set?;
            }
        }
        Ok(())
    }

    /// Has it read through the page cache again; `false` if it was.
    fn make_buffered(&mut self, file: &File) -> io::Result<bool> {
        self.calls.0.syscall(Syscall::Fcntl);
        if !OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?).contains(OFlag::O_DIRECT) {
            return Ok(false);
        }
        self.calls.0.syscall(Syscall::Fcntl);
        fcntl(file, FcntlArg::F_SETFL(OFlag::empty()))?;
        self.found(false);
        Ok(true)
    }

    fn found(&mut self, direct: bool) {
        if self.direct.is_none_or(|known| known && !direct) {
            self.direct = Some(direct);
            self.app.state("direct_io", if direct { "yes" } else { "no" });
        }
    }
}

impl SendFile for Reads {
    fn send(&mut self, key: u64, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        if self.waiting.contains(&key) {
            return Ok(None);
        }
        let Some(at) = self.slots.iter().position(|slot| slot.is_for(key)) else {
            self.read(key, range)?;
            return Ok(None);
        };
        let Slot::Read { from, bytes, .. } = self.slots[at] else { return Ok(None) };
        let bytes = match bytes {
            // The file system took the flag, but not the read.
            Err(Errno::EINVAL) if self.make_buffered(range.file)? => {
                self.release(at)?;
                self.read(key, range)?;
                return Ok(None);
            }
            bytes => bytes?,
        };
        if self.direct.is_none() {
            self.found(true);
        }
        let skip = range.offset - from;
        let len = bytes.saturating_sub(skip).min(range.len);
        if len == 0 {
            self.release(at)?;
            return Ok(Some(0)); // the file has shrunk
        }
        let chunk = FileRange { file: self.pages.file(), offset: (at * SLOT) as u64 + skip, len };
        let sent = self.calls.sendfile(socket, chunk)?;
        if sent as u64 == len {
            self.release(at)?;
        } else {
            self.clock += 1;
            self.slots[at] = Slot::Read { key, from, bytes: Ok(bytes), used: self.clock };
        }
        Ok(Some(sent))
    }

    fn gone(&mut self, key: u64) {
        self.waiting.remove(&key);
        let Some(at) = self.slots.iter().position(|slot| slot.is_for(key)) else { return };
        if let Slot::Reading { from, .. } = self.slots[at] {
            self.slots[at] = Slot::Reading { key: None, from };
        } else {
            let _ = self.release(at); // else it stays until the slot is needed
        }
    }
}

impl AsFd for Reads {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.context.as_fd()
    }
}
