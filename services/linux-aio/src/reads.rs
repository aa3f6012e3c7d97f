//! The reads of one loop: from the file, past the page cache, into a slot of pages, and from there to the socket.
//!
//! There are 64 slots, and each goes round in this circle. A connection has one slot at most:
//!
//! ```text
//!            take: io_submit(2)             completion
//!   Free ─────────────────────► Reading ──────────────────► Read ──┐ sendfile(2): some of it is sent
//!    ▲                             │                          │ ◄──┘
//!    │                             │ its connection closes:   │
//!    │                             │ the kernel still writes  │ all of it is sent; or its connection closes;
//!    │                             ▼                          │ or it is the least recently used, and another
//!    │        completion       Reading,                       │ connection needs a slot
//!    ├───────────────────── without a connection              │
//!    └────────────────────────────────────────────────────────┘
//!      release: fallocate(2) takes the slot's pages out of the file, since sockets may still refer to them
//! ```
//!
//! When all slots are in the state `Reading`, further connections wait in a queue.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use app::App;
use driver::{Calls, Id, SendFile};
use http1::FileRange;
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
    /// The connections that wait for a slot.
    waiting: HashSet<Id>,
    /// The same in the order in which they came, and connections that have closed since.
    queue: VecDeque<Id>,
    /// The connection that was taken from the queue and may now take a slot.
    next: Option<Id>,
    /// Does O_DIRECT work, as far as is known?
    direct: Option<bool>,
    /// Counts uses of slots, to find the least recently used one.
    clock: u64,
}

/// A slot, and what it holds. A slot that has held a chunk is free only when it has fresh pages.
#[derive(Clone, Copy)]
enum Slot {
    Free,
    /// The kernel reads the chunk that starts at `from` in the file, for that connection; `None` if it has closed.
    Reading {
        id: Option<Id>,
        from: u64,
    },
    /// The chunk that starts at `from` is here: how many bytes of it, or why none.
    Read {
        id: Id,
        from: u64,
        bytes: Result<u64, Errno>,
        used: u64,
    },
}

impl Slot {
    fn is_for(&self, connection: Id) -> bool {
        match self {
            Slot::Free => false,
            Slot::Reading { id, .. } => *id == Some(connection),
            Slot::Read { id, .. } => *id == connection,
        }
    }
}

impl Reads {
    /// The reads of one loop.
    ///
    /// # Errors
    /// Those of [`Context::new`], and where the machine has no descriptor or address space left.
    pub fn new(app: App, calls: Calls) -> io::Result<Reads> {
        Ok(Reads {
            app,
            calls,
            context: Context::new(SLOTS, calls)?,
            pages: Pages::new(SLOTS, calls)?,
            slots: [Slot::Free; SLOTS],
            waiting: HashSet::new(),
            queue: VecDeque::new(),
            next: None,
            direct: None,
            clock: 0,
        })
    }

    /// The connections whose read is complete. The loop watches the context for that.
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle.
    pub fn complete(&mut self) -> io::Result<Vec<Id>> {
        let mut ids = Vec::new();
        let mut unwanted = Vec::new();
        for completion in self.context.completions()? {
            let slot = completion.data as usize;
            match self.slots[slot] {
                Slot::Reading { id: Some(id), from } => {
                    self.clock += 1;
                    self.slots[slot] = Slot::Read { id, from, bytes: completion.result, used: self.clock };
                    ids.push(id);
                }
                _ => unwanted.push(slot),
            }
        }
        unwanted.into_iter().try_for_each(|slot| self.release(slot))?;
        Ok(ids)
    }

    /// The connection that has waited longest for a slot, if it can have one now.
    pub fn next_in_queue(&mut self) -> Option<Id> {
        let Reads { waiting, queue, slots, .. } = self;
        let is_there = !queue.is_empty() && slots.iter().any(|slot| !matches!(slot, Slot::Reading { .. }));
        self.next = is_there.then(|| std::iter::from_fn(|| queue.pop_front()).find(|id| waiting.remove(id))).flatten();
        self.next
    }

    /// Submits the read of the chunk in which the range starts, or lets the connection wait in the queue. It queues again for
    /// each chunk, so a large file does not keep its slot to its end.
    fn read(&mut self, id: Id, range: FileRange<'_>) -> io::Result<()> {
        let may_take = self.waiting.is_empty() || self.next == Some(id);
        let Some(at) = may_take.then(|| self.take()).transpose()?.flatten() else {
            self.waiting.insert(id);
            self.queue.push_back(id);
            return Ok(());
        };
        if self.direct != Some(false) {
            self.make_direct(range.file)?;
        }
        let from = range.offset - range.offset % ALIGNMENT;
        let bytes = (range.offset + range.len - from).next_multiple_of(ALIGNMENT).min(SLOT as u64) as usize;
        // SAFETY: the slot is taken until the completion has come, and the pages are dropped after the context.
        unsafe { self.context.read(range.file, from, self.pages.address(at), bytes, at as u64)? };
        self.slots[at] = Slot::Reading { id: Some(id), from };
        Ok(())
    }

    /// A free slot, or else the least recently used one that is not being read into: its connection, whose peer is slow, has to
    /// read the chunk again.
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

    /// Makes reads of a request's own open file bypass the page cache, where its file system can do that.
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

    /// Makes reads of the file go through the page cache again. `false` if they did already.
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
    fn send(&mut self, id: Id, socket: &TcpStream, range: FileRange<'_>) -> io::Result<Option<usize>> {
        if self.waiting.contains(&id) {
            return Ok(None);
        }
        let Some(at) = self.slots.iter().position(|slot| slot.is_for(id)) else {
            self.read(id, range)?;
            return Ok(None);
        };
        let Slot::Read { from, bytes, .. } = self.slots[at] else { return Ok(None) };
        let bytes = match bytes {
            // The file system accepted the flag, but refuses the read.
            Err(Errno::EINVAL) if self.make_buffered(range.file)? => {
                self.release(at)?;
                self.read(id, range)?;
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
            self.slots[at] = Slot::Read { id, from, bytes: Ok(bytes), used: self.clock };
        }
        Ok(Some(sent))
    }

    fn closed(&mut self, id: Id) {
        self.waiting.remove(&id);
        let Some(at) = self.slots.iter().position(|slot| slot.is_for(id)) else { return };
        if let Slot::Reading { from, .. } = self.slots[at] {
            self.slots[at] = Slot::Reading { id: None, from };
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
