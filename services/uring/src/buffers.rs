//! Provided buffers: the kernel takes one when bytes arrive, so a connection that waits needs none.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

/// Buffers at most.
const COUNT: u16 = 1024;
/// Buffers at first.
const AT_FIRST: u16 = 64;

/// A ring of buffers that is shared with the kernel: io_uring_register_buf_ring(3).
pub struct Buffers {
    ring: NonNull<BufRingEntry>,
    /// The memory of all buffers. A buffer that was never provided costs none.
    memory: Vec<u8>,
    /// How many buffers have been provided: the kernel has them, or fills them, or they are about to be given back.
    used: u16,
    tail: u16,
}

impl Buffers {
    /// The group's number in submissions.
    pub const GROUP: u16 = 0;
    /// Bytes of one buffer.
    pub const SIZE: u32 = 4 << 10;

    /// Makes the buffers and provides a few of them to the kernel.
    ///
    /// # Errors
    /// Those of io_uring_register(2) and mmap(2).
    pub fn register(submitter: &Submitter<'_>) -> io::Result<Buffers> {
        let bytes =
            NonZeroUsize::new(usize::from(COUNT) * size_of::<BufRingEntry>()).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new anonymous mapping overlaps nothing; it is page-aligned, as the kernel asks.
        let ring = unsafe {
            mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)?
        };
        // SAFETY: the mapping has room for COUNT entries, and is never unmapped: it lives as long as the process.
        unsafe { submitter.register_buf_ring_with_flags(ring.as_ptr() as u64, COUNT, Buffers::GROUP, 0)? };
        let memory = vec![0; usize::from(COUNT) * Buffers::SIZE as usize];
        let mut buffers = Buffers { ring: ring.cast(), memory, used: 0, tail: 0 };
        (0..AT_FIRST).for_each(|_| buffers.add());
        Ok(buffers)
    }

    /// The first `len` bytes of a buffer that the kernel has filled.
    pub fn get(&self, id: u16, len: usize) -> &[u8] {
        let start = usize::from(id) * Buffers::SIZE as usize;
        &self.memory[start..start + len]
    }

    /// Provides one buffer more, if there is another one.
    pub fn add(&mut self) {
        if self.used < COUNT {
            self.used += 1;
            self.give_back(self.used - 1);
        }
    }

    /// Provides a buffer to the kernel (again).
    pub fn give_back(&mut self, id: u16) {
        let start = usize::from(id) * Buffers::SIZE as usize;
        let address = self.memory.as_mut_ptr().wrapping_add(start) as u64;
        // SAFETY: the index is below COUNT, and the kernel reads this entry only once the tail says that it is there.
        let entry = unsafe { self.ring.add(usize::from(self.tail % COUNT)).as_mut() };
        entry.set_addr(address);
        entry.set_len(Buffers::SIZE);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring's first entry has the tail in a field of its own, aligned, which only this thread writes.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
