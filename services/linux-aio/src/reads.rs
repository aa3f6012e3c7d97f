//! The reads of one loop. A chunk of a file that is in memory goes to the socket at once, by sendfile(2); any other one is
//! read past the page cache into a slot, and copied from there to the socket.
//!
//! There are 64 slots, and each goes round in this circle. A connection has one slot at most:
//!
//! ```text
//!          take: its read is put into the batch          completion
//!   Free ───────────────────────────────────► Reading ──────────────────► Read ──┐ send(2): some of it is sent
//!    ▲                                           │                          │ ◄──┘
//!    │                                           │ its connection closes:   │
//!    │                                           │ the kernel still writes  │ all of it is sent; or its connection closes;
//!    │                                           ▼                          │ or it is the least recently used, and another
//!    │              completion               Reading,                       │ connection needs a slot
//!    └──────────────────────────────── without a connection ◄───────────────┘
//! ```
//!
//! When all slots are in the state `Reading`, further connections wait in a queue.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use app::App;
use driver::direct::{NO_DIRECT_READS, SLOT, Slots, aligned, is_direct, is_in_memory, set_direct};
use driver::{Calls, Id, SendFile};
use http1::FileRange;
use nix::errno::Errno;

use crate::context::Context;

/// Chunks of a loop that are in memory at a time.
const SLOTS: usize = 64;

/// The files that go out to the connections of a loop.
pub struct Reads {
    app: App,
    calls: Calls,
    context: Context, // dropped before the memory, since it waits until nothing is being read into it
    memory: Slots,
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

/// A slot, and what it holds.
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
            memory: Slots::new(SLOTS)?,
            slots: [Slot::Free; SLOTS],
            waiting: HashSet::new(),
            queue: VecDeque::new(),
            next: None,
            direct: None,
            clock: 0,
        })
    }

    /// Submits all reads that the connections have asked for since the last time.
    ///
    /// # Errors
    /// A system call failed for a reason that the model cannot handle.
    pub fn submit(&mut self) -> io::Result<()> {
        self.context.submit()
    }

    /// The connections whose read is complete. The loop watches the context for that.
    ///
    /// # Errors
    /// As [`Reads::submit`].
    pub fn complete(&mut self) -> io::Result<Vec<Id>> {
        let mut ids = Vec::new();
        for completion in self.context.completions()? {
            let slot = &mut self.slots[completion.data as usize];
            *slot = match *slot {
                Slot::Reading { id: Some(id), from } => {
                    self.clock += 1;
                    ids.push(id);
                    Slot::Read { id, from, bytes: completion.result, used: self.clock }
                }
                _ => Slot::Free, // its connection has closed
            };
        }
        Ok(ids)
    }

    /// The connection that has waited longest for a slot, if it can have one now.
    pub fn next_in_queue(&mut self) -> Option<Id> {
        let Reads { waiting, queue, slots, .. } = self;
        let is_there = !queue.is_empty() && slots.iter().any(|slot| !matches!(slot, Slot::Reading { .. }));
        self.next = is_there.then(|| std::iter::from_fn(|| queue.pop_front()).find(|id| waiting.remove(id))).flatten();
        self.next
    }

    /// Puts the read of the chunk in which the range starts into the batch, or lets the connection wait in the queue. It queues
    /// again for each chunk, so a large file does not keep its slot to its end.
    fn read(&mut self, id: Id, range: FileRange<'_>) -> io::Result<()> {
        let may_take = self.waiting.is_empty() || self.next == Some(id);
        let Some(at) = self.find_slot().filter(|_| may_take) else {
            self.waiting.insert(id);
            self.queue.push_back(id);
            return Ok(());
        };
        if self.direct != Some(false) {
            self.make_direct(range.file)?;
        }
        let (from, bytes) = aligned(range.offset, range.len);
        // SAFETY: the slot is taken until the completion has come, and the memory is dropped after the context.
        unsafe { self.context.read(range.file, from, self.memory.address(at), bytes, at as u64)? };
        self.slots[at] = Slot::Reading { id: Some(id), from };
        Ok(())
    }

    /// A free slot, or else the least recently used one that is not being read into: its connection, whose peer is slow, has to
    /// read the chunk again.
    fn find_slot(&self) -> Option<usize> {
        let used = |(at, slot): (usize, &Slot)| match slot {
            Slot::Free => Some((0, at)),
            Slot::Read { used, .. } => Some((*used, at)),
            Slot::Reading { .. } => None,
        };
        self.slots.iter().enumerate().filter_map(used).min().map(|(_, at)| at)
    }

    /// Makes reads of a request's own open file bypass the page cache, where its file system can do that.
    fn make_direct(&mut self, file: &File) -> io::Result<()> {
        match set_direct(file, true, self.calls) {
            Err(NO_DIRECT_READS) => self.found(false),
            set => set?,
        }
        Ok(())
    }

    /// Makes reads of the file go through the page cache again. `false` if they did already.
    fn make_buffered(&mut self, file: &File) -> io::Result<bool> {
        if !is_direct(file, self.calls)? {
            return Ok(false);
        }
        set_direct(file, false, self.calls)?;
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
            if is_in_memory(range.file, range.offset, range.len.min(SLOT as u64), self.calls) {
                return self.calls.sendfile(socket, range).map(Some);
            }
            self.read(id, range)?;
            return Ok(None);
        };
        let Slot::Read { from, bytes, .. } = self.slots[at] else { return Ok(None) };
        let bytes = match bytes {
            // The file system accepted the flag, but refuses the read.
            Err(NO_DIRECT_READS) if self.make_buffered(range.file)? => {
                self.slots[at] = Slot::Free;
                self.read(id, range)?;
                return Ok(None);
            }
            bytes => bytes?,
        };
        if self.direct.is_none() {
            self.found(true);
        }
        // SAFETY: the kernel has read that many bytes into the slot, which is not being read into.
        let chunk = unsafe { self.memory.bytes(at, bytes as usize) };
        let rest = chunk.get((range.offset - from) as usize..).unwrap_or_default();
        let rest = &rest[..rest.len().min(range.len as usize)];
        if rest.is_empty() {
            self.slots[at] = Slot::Free;
            return Ok(Some(0)); // the file has shrunk
        }
        let sent = self.calls.write(socket, rest, (rest.len() as u64) < range.len)?;
        if sent < rest.len() {
            self.clock += 1;
            self.slots[at] = Slot::Read { id, from, bytes: Ok(bytes), used: self.clock };
            return Ok(Some(sent));
        }
        self.slots[at] = Slot::Free;
        if let Some(rest) = range.after(sent) {
            self.read(id, rest)?; // the disk need not wait for the connection's next turn
        }
        Ok(Some(sent))
    }

    fn closed(&mut self, id: Id) {
        self.waiting.remove(&id);
        let Some(at) = self.slots.iter().position(|slot| slot.is_for(id)) else { return };
        self.slots[at] = match self.slots[at] {
            Slot::Reading { from, .. } => Slot::Reading { id: None, from },
            _ => Slot::Free,
        };
    }
}

impl AsFd for Reads {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.context.as_fd()
    }
}
