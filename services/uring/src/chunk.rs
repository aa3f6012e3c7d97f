//! A chunk of a file on its way from the disk to the socket.
//!
//! A chunk is read into a slot of the loop: past the page cache, unless it is there. Where all slots are in use, a connection reads
//! smaller chunks into memory of its own, through the page cache.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::ops::Range;

use driver::direct::{NO_DIRECT_READS, SLOT, Slots, aligned, is_direct, is_in_memory, set_direct};
use driver::{Calls, Id};
use http1::FileRange;
use nix::errno::Errno;

use crate::ring::Ring;

/// Chunks of a loop that are in slots at a time.
const SLOTS: usize = 64;
/// Bytes of a chunk that is in no slot.
const OWN: u64 = 64 << 10;

/// The slots of a loop.
pub struct Pool {
    memory: Slots,
    free: Vec<usize>,
    /// As far as is known: a file system may refuse them.
    has_direct_reads: bool,
    calls: Calls,
}

impl Pool {
    /// # Errors
    /// The machine has no address space left.
    pub fn new(calls: Calls) -> io::Result<Pool> {
        Ok(Pool { memory: Slots::new(SLOTS)?, free: (0..SLOTS).rev().collect(), has_direct_reads: true, calls })
    }
}

/// Memory of a chunk.
enum Memory {
    Slot(usize),
    Own(Vec<u8>),
}

/// A chunk of a file that a connection reads and sends.
#[derive(Default)]
pub struct Chunk {
    memory: Option<Memory>,
    /// What of the memory is still to be sent.
    unsent: Range<usize>,
    /// Where in the file the memory begins.
    from: u64,
}

impl Chunk {
    /// Sends the rest of the chunk, or reads the next one; returns whether it reads.
    ///
    /// # Errors
    /// Those of io_uring_enter(2).
    ///
    /// # Safety
    /// The chunk must stay as it is until the completion has come.
    pub unsafe fn send_or_read(
        &mut self,
        id: Id,
        socket: &TcpStream,
        range: FileRange<'_>,
        ring: &mut Ring,
        pool: &mut Pool,
    ) -> io::Result<bool> {
        let reads = self.unsent.is_empty();
        if reads {
            // SAFETY: the caller keeps the chunk as it is, and with it the memory.
            unsafe { self.read(id, range, ring, pool)? };
        } else {
            let rest = match &self.memory {
                // SAFETY: the kernel has read the bytes into the slot, and reads nothing else into it before they are sent.
                Some(Memory::Slot(slot)) => unsafe { &pool.memory.bytes(*slot, self.unsent.end)[self.unsent.start..] },
                Some(Memory::Own(bytes)) => &bytes[self.unsent.clone()],
                None => &[],
            };
            // SAFETY: the caller keeps the chunk as it is, and with it the memory.
            unsafe { ring.send(id, socket, rest, (rest.len() as u64) < range.len)? };
        }
        Ok(reads)
    }

    /// Submits the read of the next chunk.
    unsafe fn read(&mut self, id: Id, range: FileRange<'_>, ring: &mut Ring, pool: &mut Pool) -> io::Result<()> {
        let memory = self.memory.take().unwrap_or_else(|| match pool.free.pop() {
            Some(slot) => Memory::Slot(slot),
            None => Memory::Own(vec![0; range.len.min(OWN) as usize]),
        });
        let (from, address, bytes) = match self.memory.insert(memory) {
            Memory::Slot(slot) => {
                if pool.has_direct_reads
                    && !is_in_memory(range.file, range.offset, range.len.min(SLOT as u64), pool.calls)
                {
                    pool.has_direct_reads = set_direct(range.file, true, pool.calls) != Err(NO_DIRECT_READS);
                }
                let (from, bytes) = aligned(range.offset, range.len);
                (from, pool.memory.address(*slot), bytes)
            }
            Memory::Own(bytes) => (range.offset, bytes.as_mut_ptr(), bytes.len().min(range.len as usize)),
        };
        self.from = from;
        // SAFETY: the caller keeps the memory.
        unsafe { ring.read(id, range.file, from, address, bytes) }
    }

    /// The file has given that many bytes, of which some are of the range. None are, if the file has shrunk.
    pub fn filled(&mut self, n: usize, range: FileRange<'_>, pool: &mut Pool) -> bool {
        let skip = (range.offset - self.from) as usize;
        self.unsent = skip..n.min(skip.saturating_add(range.len as usize)).max(skip);
        if self.unsent.is_empty() {
            self.free(pool);
        }
        !self.unsent.is_empty()
    }

    /// The read has failed. Returns whether another one may succeed: through the page cache, if the file system took the flag for
    /// direct reads, and refuses them.
    pub fn failed(&mut self, errno: Errno, file: &File, pool: &mut Pool) -> bool {
        match errno {
            NO_DIRECT_READS if is_direct(file, pool.calls) == Ok(true) => {
                pool.has_direct_reads = false;
                set_direct(file, false, pool.calls).is_ok()
            }
            Errno::EINTR | Errno::EAGAIN => true,
            _ => false,
        }
    }

    /// The socket has taken that many bytes, which were of this chunk if there is one.
    pub fn sent(&mut self, n: usize, pool: &mut Pool) {
        if !self.unsent.is_empty() {
            self.unsent.start += n;
            if self.unsent.is_empty() {
                self.free(pool);
            }
        }
    }

    /// Gives its memory back. No operation of it may be in progress.
    pub fn free(&mut self, pool: &mut Pool) {
        if let Some(Memory::Slot(slot)) = std::mem::take(self).memory {
            pool.free.push(slot);
        }
    }
}
